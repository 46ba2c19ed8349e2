"""The queries of the slot search, and the updates of the hint by which it skips full slots."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.scheduling.documents import EITHER, SEARCH_INDEXES, SeatClaim, Slot, SlotState
from backend.scheduling.repository import Row

SLOT_FIELDS = dict.fromkeys(
    (
        *("doctor_id", "doctor_name", "specialty", "department_id", "clinic_id", "clinic_name", "city"),
        *("time_zone", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat", "online_from"),
    ),
    1,
)
"""All that responses show of a slot, and all that its free seats are counted from. Slots are read as they are stored:
a page takes half as long without models."""

_LONGEST_DAY = timedelta(hours=25)
LONGEST_VISIT = timedelta(minutes=600)
"""The longest visit with the longest buffer after it. No seat is held for longer after the start."""

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
    return await _find_open([doctor_id], {"clinic_id": at, "start": {"$gte": since, "$lt": until}})


async def find_open_beside(
    doctor_ids: Iterable[PydanticObjectId],
    *,
    at: PydanticObjectId,
    since: datetime,
    last: datetime,
    until: datetime,
) -> Sequence[Row]:
    """Returns the doctors' open slots at a clinic that a search from `since` to `last` didn't find.

    Those are the ones marked as full, and all from `last` on; they start before `until`. UTC. They have just the
    fields that free seats are counted from, and `known_full`.
    """
    missing = [{"known_full": True}, {"start": {"$gte": last}}]
    where = {"clinic_id": at, "start": {"$gte": since, "$lt": until}, "$or": missing}
    return await _find_open(doctor_ids, where, _COUNTED_FIELDS)


_COUNTED_FIELDS = dict.fromkeys(
    (
        *("doctor_id", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat", "known_full"),
        "clinic_id",
    ),
    1,
)


async def _find_open(doctor_ids: Iterable[PydanticObjectId], where: Row, fields: Row | None = None) -> Sequence[Row]:
    open_ones = {"doctor_id": {"$in": list(doctor_ids)}, "is_active": True, "state": SlotState.OPEN}
    either = {"is_online": EITHER, "known_full": EITHER}  # so that the index serves the start, too
    index = SEARCH_INDEXES[frozenset(["doctor_id"])]
    return await _slots().find({**open_ones, **either, **where}, fields, hint=index).to_list()


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


# The full hint: see `full_hint.py`


async def announce_marking(slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId) -> None:
    """Announces on slots without a hint that a search is about to mark them as full."""
    where = {"_id": {"$in": slot_ids}, "known_full": False}
    await _slots().update_many(where, {"$set": {"marking": marking}})


async def find_announced(slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId) -> Sequence[Row]:
    """Returns the slots on which this announcement still stands."""
    where = {"_id": {"$in": slot_ids}, "marking": marking}
    return await _slots().find(where, SLOT_FIELDS, batch_size=len(slot_ids)).to_list()


async def mark_announced(slot_ids: Sequence[PydanticObjectId], marking: PydanticObjectId) -> None:
    """Marks slots as full where this announcement still stands."""
    await _slots().update_many(
        {"_id": {"$in": slot_ids}, "marking": marking}, {"$set": {"known_full": True}, "$unset": {"marking": ""}}
    )


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
    hinted = {"$or": [{"known_full": True}, {"marking": {"$exists": True}}]}
    await _slots().update_many(
        {
            **{"doctor_id": doctor_id, "is_active": True, "is_online": EITHER, "known_full": EITHER},
            **{"start": near, "$and": [there, hinted]},
        },
        {"$set": {"known_full": False}, "$unset": {"marking": ""}},
    )


async def clear_hints(slot_ids: Sequence[PydanticObjectId]) -> int:
    """Clears the hints of slots; returns how many had one."""
    result = await _slots().update_many(
        {"_id": {"$in": slot_ids}, "known_full": True}, {"$set": {"known_full": False}}
    )
    return result.modified_count
