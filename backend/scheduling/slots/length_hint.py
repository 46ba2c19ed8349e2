"""The hint that no visit longer than so many minutes can start in a free slot: `known_longest`.

Searches for longer visits skip such a slot without looking at those behind it. Like the hint that a slot is full, it
never decides: booking ignores it, and a wrong one would only hide where a visit fits. It is set in the same way. The
search announces it on the slot (`marking`), reads once more what lies behind the slot, and sets the hint unless
`marking` has gone meanwhile. It is set for one of two reasons, and whatever ends one of these removes hint and
`marking` after its own write and before the response:

- A slot of the same day that is `known_full`. All its appointments clear the hints of their doctor's day when they
  give their seat back: see `full_hint`.
- The doctor's open slots end there. Opening a slot clears the hints of the two hours before it.

A process that dies before it does so leaves a wrong hint, which `repair_full_hints` clears.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from beanie import PydanticObjectId
from pymongo.errors import PyMongoError

from backend.core import metrics
from backend.scheduling.documents import ANY_LENGTH, LENGTHS, LONGEST_HINTED
from backend.scheduling.repository import Row
from backend.scheduling.slots import search_repository

log = logging.getLogger(__name__)


def lengths_for(length: timedelta) -> list[int]:
    """Returns the values of `known_longest` with which a visit of some length may start in a slot."""
    return [*(known for known in LENGTHS if timedelta(minutes=known) >= length), ANY_LENGTH]


async def mark_short(slots: Sequence[Row]) -> None:
    """Sets the hint on free slots in which a visit was found not to fit.

    A failure of the database is logged and otherwise ignored.
    """
    if not slots:
        return
    marking = PydanticObjectId()
    try:
        shorter = [slot for slot, _ in await _shorter(slots)]
        if not shorter:
            return
        await search_repository.announce_marking([slot["_id"] for slot in shorter], marking)
        found: dict[int, list[PydanticObjectId]] = {}
        for slot, longest in await _shorter(shorter):
            found.setdefault(longest, []).append(slot["_id"])
        for longest, slot_ids in found.items():
            count = await search_repository.mark_announced(slot_ids, marking, {"known_longest": longest})
            metrics.slot_hints_set.labels("length").inc(count)
    except PyMongoError as error:
        log.warning("short slots were not all marked: %s", type(error).__name__)


async def find_wrong(slots: Sequence[Row]) -> list[Row]:
    """Returns those of the slots whose hint is shorter than what lies behind them."""
    longest = await _known_longest(slots)
    return [slot for slot in slots if slot["known_longest"] < longest[slot["_id"]]]


async def _shorter(slots: Sequence[Row]) -> list[tuple[Row, int]]:
    """Returns the slots for which a shorter hint than theirs is right, each with that hint."""
    longest = await _known_longest(slots)
    return [(slot, longest[slot["_id"]]) for slot in slots if longest[slot["_id"]] < slot["known_longest"]]


async def _known_longest(slots: Sequence[Row]) -> Mapping[PydanticObjectId, int]:
    rows = await search_repository.find_open_behind(slots, reach=LONGEST_HINTED + timedelta(minutes=1))
    open_slots = {(row["clinic_id"], row["doctor_id"], row["start"]): row for row in rows}
    return {slot["_id"]: _longest(slot, open_slots) for slot in slots}


def _longest(slot: Row, open_slots: Mapping[tuple[PydanticObjectId, PydanticObjectId, datetime], Row]) -> int:
    start = end = slot["start"]
    while end - start <= LONGEST_HINTED:
        row = open_slots.get((slot["clinic_id"], slot["doctor_id"], end))
        # A full slot of another day may be freed without the hints of this one being cleared.
        if row is None or (row["known_full"] and row["day"] == slot["day"]):
            return min(lengths_for(end - start))
        end = row["end"]
    return ANY_LENGTH
