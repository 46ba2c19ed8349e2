"""The invariants of the appointment book, checked on what the database holds."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from pymongo.database import Database

from backend.core.clock import utc_now

Row = dict[str, Any]

ACTIVE = {"scheduled", "confirmed", "checked_in"}
SEEN_THAT_DAY = {*ACTIVE, "completed"}
_LEADS_TO = {
    "book": {"scheduled"},
    "confirm": {"confirmed"},
    "cancel": {"cancelled"},
    "reschedule": {"scheduled"},
    "check_in": {"checked_in"},
    "complete": {"completed"},
    "no_show": {"no_show"},
    "correct": {"checked_in", "completed"},
    "undo_check_in": {"scheduled", "confirmed", "no_show"},
    "left": {"left"},
    "keep": ACTIVE,
}
_COMES_FROM = {
    "confirm": {"scheduled"},
    "cancel": {"scheduled", "confirmed", "checked_in"},
    "reschedule": {"scheduled", "confirmed", "checked_in"},
    "check_in": {"scheduled", "confirmed"},
    "complete": {"checked_in"},
    "no_show": {"scheduled", "confirmed"},
    "correct": {"no_show"},
    "undo_check_in": {"checked_in"},
    "left": {"checked_in"},
    "keep": ACTIVE,
}


@dataclass(frozen=True)
class Crowd:
    """How many patients each slot and each day of a doctor had at a moment.

    A lower capacity or limit doesn't send anybody away: what is allowed then is no more than there were before.
    """

    slots: Counter[Any] = field(default_factory=Counter)
    days: Counter[Any] = field(default_factory=Counter)


def crowd(db: Database[Row]) -> Crowd:
    """The crowd at this moment."""
    appointments = list(_planned(_appointments(db)))
    return Crowd(slots=_by_slot(appointments), days=_by_day(appointments))


def check_book(db: Database[Row], *, before: Crowd | None = None) -> None:
    """Raises `AssertionError` naming every rule of the book that is broken."""
    faults = list(faults_of(db, before or Crowd()))
    assert not faults, "\n".join(faults)


def faults_of(db: Database[Row], before: Crowd) -> Iterable[str]:
    """Every rule of the book that what is stored breaks, in words."""
    slots = _by_id(db, "slots")
    appointments = _appointments(db)
    for row in appointments:
        yield from _history_faults(row)
    yield from _seats_held_twice(row for row in appointments if row["active"])
    yield from _slots_overlapping(slot for slot in slots.values() if slot["is_active"])
    yield from _patients_in_two_places(row for row in appointments if row["active"])
    planned = list(_planned(appointments))
    active = [row for row in planned if row["active"]]
    yield from _doctors_in_two_slots(active)
    yield from _slots_overbooked(planned, slots, before)
    yield from _days_overbooked(planned, db, before)
    for row in active:
        yield from _place_faults(row, [slots[held["slot"]] for held in row["seats"]])


def _appointments(db: Database[Row]) -> list[Row]:
    """All of them, without the blocks that withdrawals leave."""
    return [row for row in _by_id(db, "appointments").values() if "patient_id" in row]


def _by_id(db: Database[Row], collection: str) -> dict[Any, Row]:
    """Everything in a collection. The server refuses what no index serves: so be it that of `_id`."""
    return {row["_id"]: row for row in db[collection].find({}, hint=[("_id", 1)])}


def _planned(appointments: Iterable[Row]) -> Iterable[Row]:
    """All but those whose patient was marked as a no-show and was there after all.

    He has his visit, whoever was given the seat meanwhile.
    """
    return (row for row in appointments if all(line["transition"] != "correct" for line in row["history"]))


def _by_slot(appointments: Iterable[Row]) -> Counter[Any]:
    return Counter(held["slot"] for row in appointments if row["active"] for held in row["seats"])


def _by_day(appointments: Iterable[Row]) -> Counter[Any]:
    """A visit that is over was one of the day's. Fit-ins may be more than the day allows."""
    seen = (row for row in appointments if row["status"] in SEEN_THAT_DAY and not row.get("overbooked"))
    return Counter((row["doctor_id"], row["clinic_day"]) for row in seen)


def _history_faults(row: Row) -> Iterable[str]:
    lines = row["history"]
    name = f"appointment {row['_id']} ({', '.join(line['transition'] for line in lines)})"
    if not lines or lines[0]["transition"] != "book" or any(line["transition"] == "book" for line in lines[1:]):
        yield f"{name}: the history doesn't begin with its one booking"
    for line in (each for each in lines if each["transition"] != "edit"):
        if line["status"] not in _LEADS_TO[line["transition"]]:
            yield f"{name}: {line['transition']} led to {line['status']}"
    yield from (f"{name}: {fault}" for fault in _undone_check_in_faults(lines))
    for earlier, later in pairwise(lines):
        if later["transition"] in ("edit", "keep"):
            if later["status"] != earlier["status"]:
                yield f"{name}: {later['transition']} changed the status"
        elif earlier["status"] not in _COMES_FROM[later["transition"]]:
            yield f"{name}: {later['transition']} came after {earlier['status']}"
        if later["at"] < earlier["at"]:
            yield f"{name}: the history runs backwards"
    if lines and lines[-1]["status"] != row["status"]:
        yield f"{name} is {row['status']}, its history ends with {lines[-1]['status']}"
    if row["active"] != (row["status"] in ACTIVE):
        yield f"{name} is {row['status']}, but active: {row['active']}"
    starts = [line["start"] for line in lines if "start" in line]
    if starts[-1:] != [row["start"]]:
        yield f"{name} starts at {row['start']}, its history says {starts}"
    if row["reschedule_count"] != sum(line["transition"] == "reschedule" for line in lines):
        yield f"{name}: moved {row['reschedule_count']} times"


def _undone_check_in_faults(lines: list[Row]) -> Iterable[str]:
    for number, line in enumerate(lines):
        if line["transition"] == "undo_check_in":
            before = [each["status"] for each in lines[:number] if each["status"] != "checked_in"][-1]
            if line["status"] != before:
                yield f"an undone check-in led to {line['status']}, it was {before} before"


def _seats_held_twice(active: Iterable[Row]) -> Iterable[str]:
    for number in ("seat", "reserved"):
        held_seats = Counter((held["slot"], held[number]) for row in active for held in row["seats"])
        for (slot_id, seat), count in held_seats.items():
            if count > 1:
                yield f"{number} {seat} of slot {slot_id} is held {count} times"


def _slots_overlapping(slots: Iterable[Row]) -> Iterable[str]:
    by_doctor: dict[Any, list[Row]] = defaultdict(list)
    for slot in slots:
        by_doctor[slot["doctor_id"]].append(slot)
    for doctor_id, found in by_doctor.items():
        found.sort(key=lambda slot: slot["start"])
        for earlier, later in pairwise(found):
            if later["start"] < earlier["end"]:
                yield f"doctor {doctor_id}: slots overlap at {later['start']}"


def _patients_in_two_places(active: Iterable[Row]) -> Iterable[str]:
    by_patient: dict[Any, list[Row]] = defaultdict(list)
    for row in active:
        by_patient[row["patient_id"]].append(row)
    for patient_id, found in by_patient.items():
        found.sort(key=lambda row: row["start"])
        for earlier, later in pairwise(found):
            if later["start"] < earlier["end"]:
                yield f"patient {patient_id} is in two places at {later['start']}"


def _doctors_in_two_slots(planned: Iterable[Row]) -> Iterable[str]:
    """Slots of a doctor don't overlap: visits that do must share one."""
    by_doctor: dict[Any, set[tuple[datetime, datetime, tuple[Any, ...]]]] = defaultdict(set)
    for row in (each for each in planned if not each.get("overbooked")):
        slots = tuple(held["slot"] for held in row["seats"])
        by_doctor[row["doctor_id"]].add((row["start"], row["end"], slots))
    for doctor_id, visits in by_doctor.items():
        for earlier, later in pairwise(sorted(visits)):
            if later[0] < earlier[1] and set(earlier[2]).isdisjoint(later[2]):
                yield f"doctor {doctor_id} has patients in two slots at {later[0]}"


def _slots_overbooked(planned: Iterable[Row], slots: dict[Any, Row], before: Crowd) -> Iterable[str]:
    for slot_id, count in _by_slot(planned).items():
        if count > max(slots[slot_id]["capacity"], before.slots[slot_id]):
            yield f"slot {slot_id} has {count} patients and {slots[slot_id]['capacity']} seats"


def _days_overbooked(planned: Iterable[Row], db: Database[Row], before: Crowd) -> Iterable[str]:
    profiles = {row["_id"]: row.get("doctor", {}) for row in _by_id(db, "users").values()}
    limits = {
        key: doctor["max_patients_per_day"] for key, doctor in profiles.items() if "max_patients_per_day" in doctor
    }
    for (doctor_id, day), count in _by_day(planned).items():
        if count > max(limits.get(doctor_id, count), before.days[doctor_id, day]):
            yield f"doctor {doctor_id} has {count} patients on {day}, {limits[doctor_id]} allowed"


def _place_faults(row: Row, slots: list[Row]) -> Iterable[str]:
    name = f"appointment {row['_id']}"
    seconds = [int(row[each].replace(tzinfo=UTC).timestamp()) for each in ("start", "end")]
    if row["ticks"] != list(range(*(second // 300 for second in seconds))):
        yield f"{name}: its ticks are not its time"
    if row.get("overbooked"):
        if any(slot["doctor_id"] != row["doctor_id"] or not _hits(slot, row) for slot in slots):
            yield f"{name}: has a seat that is not of its doctor's time"
        return
    first = slots[0]
    for slot in slots:
        if not slot["is_active"]:
            yield f"{name} ({row['status']}) lies in slot {slot['_id']}, which doesn't hold its time any more"
        for each in ("doctor_id", "clinic_id"):
            if row[each] != slot[each]:
                yield f"{name}: {each} is {row[each]}, its slot's is {slot[each]}"
    if row["start"] != first["start"] or row["clinic_day"] != first["day"]:
        yield f"{name}: at {row['start']} on {row['clinic_day']}, its slot at {first['start']} on {first['day']}"
    if any(earlier["end"] != later["start"] for earlier, later in pairwise(slots)):
        yield f"{name}: there is a gap between its slots"
    if "visit_type_id" not in row and (row["end"] != first["end"] or len(slots) > 1):
        yield f"{name}: ends at {row['end']}, its slot at {first['end']}"
    if row["end"] > slots[-1]["end"]:
        yield f"{name} ends at {row['end']}, its last slot at {slots[-1]['end']}"


def check_slots(db: Database[Row]) -> None:
    """Raises `AssertionError` for every open slot that leave, a closure, or who is active forbids."""
    faults = list(slots_against_facts(db))
    assert not faults, "\n".join(faults)


def slots_against_facts(db: Database[Row]) -> Iterable[str]:
    """Open slots to come that shouldn't be, in words. Weekly hours are left to the rules' own tests."""
    doctors, clinics, leaves = _by_id(db, "users"), _by_id(db, "clinics"), _by_id(db, "leaves").values()
    for slot in _by_id(db, "slots").values():
        if not slot["is_active"] or slot["state"] != "open" or slot["start"] <= utc_now():
            continue
        doctor, clinic = doctors[slot["doctor_id"]], clinics[slot["clinic_id"]]
        away = [
            *(row for row in leaves if row["doctor_id"] == slot["doctor_id"]),
            *clinic["closures"],
        ]
        name = f"slot {slot['_id']} of {slot['start']}"
        if any(row["start"] < slot["end"] and slot["start"] < row["end"] for row in away):
            yield f"{name} is open in spite of leave or a closure"
        if not doctor["is_active"] or not clinic["is_active"]:
            yield f"{name} is open, but its doctor or its clinic is not active"
        if slot["clinic_id"] not in doctor["doctor"]["clinic_ids"]:
            yield f"{name} is open at a clinic where the doctor doesn't work"
        if slot["doctor_name"] != doctor["name"] or slot["clinic_name"] != clinic["name"]:
            yield f"{name} bears an old name"
        if slot.get("max_patients_per_day") != doctor["doctor"].get("max_patients_per_day"):
            yield f"{name} bears an old limit"


def check_marks(db: Database[Row]) -> None:
    """Raises `AssertionError` unless just what leave and closures hit needs a decision, or was decided."""
    faults = list(_mark_faults(db))
    assert not faults, "\n".join(faults)


def _mark_faults(db: Database[Row]) -> Iterable[str]:
    leaves, clinics = _by_id(db, "leaves"), _by_id(db, "clinics")
    closures = {each["id"]: (key, each) for key, clinic in clinics.items() for each in clinic["closures"]}
    for row in _appointments(db):
        name = f"appointment {row['_id']} ({', '.join(line['transition'] for line in row['history'])})"
        needs, kept = row.get("needs_decision") or [], row.get("kept_despite") or []
        if needs and not row["active"]:
            yield f"{name} is over and needs a decision"
        if not row["active"] or any(line["transition"] == "correct" for line in row["history"]):
            continue  # a patient who came after all needs no decision
        known = {cause.get("id") for cause in (*needs, *kept)}
        off = [key for key, leave in leaves.items() if leave["doctor_id"] == row["doctor_id"] and _hits(leave, row)]
        off += [key for key, (at, each) in closures.items() if at == row["clinic_id"] and _hits(each, row)]
        # What was over when the absence was written down isn't hit.
        if row["end"] > utc_now() and not known.issuperset(off):
            yield f"{name} is off because of {set(off) - known}, and unmarked"
        for cause in needs:
            if cause["kind"] in ("leave", "closure") and cause["id"] not in off:
                yield f"{name} is marked for a {cause['kind']} that doesn't hit it"


def _hits(absence: Row, row: Row) -> bool:
    return bool(absence["start"] < row["end"] and row["start"] < absence["end"])
