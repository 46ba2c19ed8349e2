"""The queries of the slot search, and the updates of the hint by which it skips full slots."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.scheduling.documents import EITHER, SEARCH_INDEXES, SHORT, SeatClaim, Slot, SlotState
from backend.scheduling.repository import Row
from backend.scheduling.slots.repository import clear_hints_between

SLOT_FIELDS = dict.fromkeys(
    (
        *("doctor_id", "doctor_name", "specialty", "department_id", "clinic_id", "clinic_name", "city"),
        *(
            "time_zone",
            "start",
            "end",
            "day",
            "capacity",
            "max_patients_per_day",
            "first_seat",
            "online_from",
            "known_longest",
        ),
    ),
    1,
)
"""All that responses show of a slot, that its free seats are counted from, and a hint. Slots are read as they are
stored: a page takes half as long without models."""

_LONGEST_DAY = timedelta(hours=25)
LONGEST_VISIT = timedelta(minutes=600)
"""The longest visit with the longest buffer after it. No seat is held for longer after the start."""

_AT_ONCE = 1000
"""Slots that the database returns at once."""

Index = Sequence[tuple[str, int]]


def _slots() -> AsyncCollection[dict[str, Any]]:
    return Slot.get_pymongo_collection()


async def find_rows(where: Row, *, limit: int, index: Index | None = None, descending: bool = False) -> Sequence[Row]:
    """Returns slots by start, with the fields of `SLOT_FIELDS`. `index` is the index to use, if it is known."""
    direction = -1 if descending else 1
    by_start = [("start", direction), ("_id", direction)]
    found = _slots().find(where, SLOT_FIELDS, sort=by_start, limit=limit, batch_size=limit, hint=index)
    return await found.to_list()


async def find_open_of_doctor(
    doctor_id: PydanticObjectId, *, at: PydanticObjectId, since: datetime, until: datetime
) -> Sequence[Row]:
    """Returns the doctor's open slots at a clinic that start in a period (UTC, end exclusive), full ones too."""
    where = {"doctor_id": doctor_id, "is_active": True, "state": SlotState.OPEN, "clinic_id": at}
    either = {"is_online": EITHER, "known_full": EITHER}  # so that the index serves the start, too
    index = SEARCH_INDEXES[frozenset(["doctor_id"])]
    return await _slots().find({**where, **either, "start": {"$gte": since, "$lt": until}}, hint=index).to_list()


async def find_open_behind(
    slots: Iterable[Row], *, reach: timedelta, known_until: datetime | None = None
) -> Sequence[Row]:
    """Returns the open slots, full ones too, in which visits may go on that start in one of these slots.

    They have the same doctor and clinic and start within `reach` of it. With `known_until` (UTC), those that a search
    has counted are left out: what starts before and has no hint. They have just the fields that free seats are
    counted from, and the hints.
    """
    parts = list(_parts(slots, reach))
    if not parts:
        return []
    where: dict[str, Any] = {"is_active": True, "state": SlotState.OPEN, "is_online": EITHER, "known_full": EITHER}
    conditions: list[Row] = parts if len(parts) == 1 else [{"$or": parts}]
    if known_until is not None:
        conditions.append({"$or": [{"known_full": True}, SHORT, {"start": {"$gte": known_until}}]})
    index = SEARCH_INDEXES[frozenset(["doctor_id"])]
    found = _slots().find({**where, "$and": conditions}, _COUNTED_FIELDS, hint=index, batch_size=_AT_ONCE)
    return await found.to_list()


def _parts(slots: Iterable[Row], reach: timedelta) -> Iterator[Row]:
    """Yields filters for the time of visits that start in these slots, at their doctors: one a day or so.

    Each is a scan of the index for itself, so times with less than `_APART` between them are one.
    """
    by_clinic: dict[PydanticObjectId, list[tuple[datetime, PydanticObjectId]]] = {}
    for slot in slots:
        by_clinic.setdefault(slot["clinic_id"], []).append((slot["start"], slot["doctor_id"]))
    for clinic_id, starts in by_clinic.items():
        starts.sort()
        first = 0
        for place, (start, _) in enumerate(starts, 1):
            if place == len(starts) or starts[place][0] > start + reach + _APART:
                doctor_ids = {doctor_id for _, doctor_id in starts[first:place]}
                times = {"$gte": starts[first][0], "$lt": start + reach}
                yield {"clinic_id": clinic_id, "doctor_id": {"$in": list(doctor_ids)}, "start": times}
                first = place


_APART = timedelta(hours=6)

_COUNTED_FIELDS = dict.fromkeys(
    (
        *("doctor_id", "clinic_id", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat"),
        *("known_full", "known_longest"),
    ),
    1,
)


async def find_rows_and_seats(
    where: Row, *, limit: int, index: Index | None, of_doctor: PydanticObjectId, since: datetime, until: datetime
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Returns slots like `find_rows`, and the claims on the doctor's seats between two moments (UTC): one command.

    One read costs half of two (314 µs for 560, in the database 400 for 470). It reads all of the doctor's claims in
    that time, so the time should be short.
    """
    # From before: a visit holds all slots that it overlaps.
    begun = {"$gte": since - LONGEST_VISIT, "$lt": until}
    held = {"doctor_id": of_doctor, "start": begun, "active": True}
    seats = [{"$match": held}, {"$project": {"_id": 0, "seats": 1}}]
    pipeline: list[dict[str, Any]] = [
        {"$match": where},
        {"$sort": {"start": 1, "_id": 1}},
        {"$limit": limit},
        {"$project": SLOT_FIELDS},
        {"$unionWith": {"coll": SeatClaim.Settings.name, "pipeline": seats}},
    ]
    hint: dict[str, Any] = {"hint": dict(index)} if index else {}
    rows = await (await _slots().aggregate(pipeline, **hint)).to_list()
    return [row for row in rows if "seats" not in row], [row for row in rows if "seats" in row]


# The hints: see `full_hint.py` and `length_hint.py`


async def announce_marking(slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId) -> None:
    """Announces on slots that aren't hinted as full that a search is about to set a hint."""
    where = {"_id": {"$in": slot_ids}, "known_full": False}
    await _slots().update_many(where, {"$set": {"marking": marking}})


async def find_announced(slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId) -> Sequence[Row]:
    """Returns the slots on which this announcement still stands."""
    where = {"_id": {"$in": slot_ids}, "marking": marking}
    return await _slots().find(where, SLOT_FIELDS, batch_size=len(slot_ids)).to_list()


async def mark_announced(
    slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId, hint: Mapping[str, Any]
) -> int:
    """Sets a hint on slots where this announcement still stands. Returns on how many."""
    done = await _slots().update_many(
        {"_id": {"$in": slot_ids}, "marking": marking}, {"$set": dict(hint), "$unset": {"marking": ""}}
    )
    return done.modified_count


async def clear_hints_of_day(
    *, doctor_id: PydanticObjectId, day: str, start: datetime, slot_ids: Sequence[PydanticObjectId]
) -> None:
    """Clears hints and announcements on a doctor's day and in slots. Call it after the write by which an appointment
    that `clears_full_hint` gives its seats back.

    `start` is that of the appointment (UTC), `slot_ids` are its slots, which may reach into the next day. The whole
    day: it may have been the last of a limited number.
    """
    near = {"$gt": start - _LONGEST_DAY, "$lt": start + _LONGEST_DAY}
    there = {"$or": [{"day": day}, {"_id": {"$in": slot_ids}}]}
    await clear_hints_between(doctor_id, near, where=there)


async def find_hinted(hint: Row, where: Row, *, limit: int, index: Index) -> Sequence[Row]:
    """Returns slots with a hint by start, with the fields of `SLOT_FIELDS`."""
    by_start = [("start", 1), ("_id", 1)]
    return await _slots().find({**where, **hint}, SLOT_FIELDS, sort=by_start, limit=limit, hint=index).to_list()
