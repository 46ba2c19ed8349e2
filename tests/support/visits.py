"""The invariants of visits over several slots and of withdrawn slots, checked on what the database holds."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from backend.core.clock import utc_now

Row = dict[str, Any]

WITHDRAWN = ("closing", "closed", "removed")


def check_visits(db: Database[Row]) -> None:
    """Raises `AssertionError` naming every visit whose seats or marks don't fit its time and its slots."""
    faults = list(_faults(db))
    assert not faults, "\n".join(faults)


def _faults(db: Database[Row]) -> Iterable[str]:
    slots, kinds = _by_id(db, "slots"), _by_id(db, "visit_types")
    for row in _by_id(db, "appointments").values():
        if row.get("patient_id") is None or not row["active"]:
            continue
        if row.get("overbooked"):
            continue  # a fit-in has the seats that were free
        name = f"appointment {row['_id']} ({', '.join(line['transition'] for line in row['history'])})"
        yield from (f"{name}: {fault}" for fault in _seat_faults(row, slots, kinds))
        yield from (f"{name}: {fault}" for fault in _mark_faults(row, slots))


def _by_id(db: Database[Row], collection: str) -> dict[Any, Row]:
    return {row["_id"]: row for row in db[collection].find({}, hint=[("_id", 1)])}


def _seat_faults(row: Row, slots: dict[Any, Row], kinds: dict[Any, Row]) -> Iterable[str]:
    """A seat in each slot of the visit, from its start to its end; beyond that in no more than the buffer needs."""
    held = [slots[seat["slot"]] for seat in row["seats"]]
    kind = kinds.get(row.get("visit_type_id"))
    if not held:
        yield "it has no seat"
        return
    if kind is not None and row["end"] - row["start"] != timedelta(minutes=kind["minutes"]):
        yield f"it lasts {row['end'] - row['start']}"
    if held[-1]["end"] < row["end"]:
        yield "a part of the visit has no seat"
    buffer = timedelta(minutes=0 if kind is None else kind.get("buffer_minutes", 0))
    if held[-1]["start"] >= row["end"] + buffer:
        yield "it has a seat more than it needs"
    for seat, slot in zip(row["seats"], held, strict=True):
        if seat["seat"] != seat["reserved"]:
            yield f"a withdrawal left it between two seats of slot {slot['_id']}"
        if slot["state"] == "open" and not slot["first_seat"] <= seat["seat"] < slot["first_seat"] + 1000:
            yield f"seat {seat['seat']} is of another generation than the open slot {slot['_id']}"


def _mark_faults(row: Row, slots: dict[Any, Row]) -> Iterable[str]:
    """Who lost a slot of their visit is marked, or was kept; nobody else is marked for having lost one."""
    if row["start"] <= utc_now() or any(line["transition"] == "correct" for line in row["history"]):
        return
    visited = [slot for slot in (slots[seat["slot"]] for seat in row["seats"]) if slot["start"] < row["end"]]
    has_lost = any(slot["state"] in WITHDRAWN for slot in visited)
    needs, kept = row.get("needs_decision") or [], row.get("kept_despite") or []
    if has_lost and not needs and not kept:
        yield "it has lost a slot and is not marked"
    if not has_lost and any(cause["kind"] in ("hours", "slot") for cause in needs):
        yield "it is marked for a slot that it has"
