"""The queries of the slot search, and the updates of the hint by which it skips full slots."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.scheduling.documents import SeatClaim, Slot
from backend.scheduling.repository import Row

SLOT_FIELDS = dict.fromkeys(
    (
        *("doctor_id", "doctor_name", "specialty", "department_id", "clinic_id", "clinic_name", "city"),
        *("time_zone", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat"),
    ),
    1,
)
"""All that responses show of a slot, and all that its free seats are counted from. Slots are read as they are stored:
a page takes half as long without models."""

_LONGEST_DAY = timedelta(hours=25)

Index = Sequence[tuple[str, int]]


def _slots() -> AsyncCollection[dict[str, Any]]:
    return Slot.get_pymongo_collection()


async def find_rows(where: Row, *, limit: int, index: Index | None = None) -> Sequence[Row]:
    """Returns slots by start, with the fields of `SLOT_FIELDS`. `index` is the index to use, if it is known."""
    by_start = [("start", 1), ("_id", 1)]
    found = _slots().find(where, SLOT_FIELDS, sort=by_start, limit=limit, batch_size=limit, hint=index)
    return await found.to_list()


async def find_rows_and_seats(
    where: Row, *, limit: int, index: Index | None, of_doctor: PydanticObjectId, since: datetime, until: datetime
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Returns slots like `find_rows`, and the claims on the doctor's seats between two moments (UTC): one command.

    One read costs half of two (314 µs for 560, in the database 400 for 470). It reads all of the doctor's claims in
    that time, so the time should be short.
    """
    held = {"doctor_id": of_doctor, "start": {"$gte": since, "$lt": until}, "active": True}
    seats = [{"$match": held}, {"$project": {"_id": 0, "slot_id": 1, "seat": 1}}]
    pipeline: list[dict[str, Any]] = [
        {"$match": where},
        {"$sort": {"start": 1, "_id": 1}},
        {"$limit": limit},
        {"$project": SLOT_FIELDS},
        {"$unionWith": {"coll": SeatClaim.Settings.name, "pipeline": seats}},
    ]
    hint: dict[str, Any] = {"hint": dict(index)} if index else {}
    rows = await (await _slots().aggregate(pipeline, **hint)).to_list()
    return [row for row in rows if "slot_id" not in row], [row for row in rows if "slot_id" in row]


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


async def clear_hints_of_day(*, doctor_id: PydanticObjectId, day: str, start: datetime) -> None:
    """Clears hints and announcements on a doctor's day. Call it after the write by which an appointment that
    `clears_full_hint` gives its seat back.

    `start` is that of the seat's slot (UTC). The whole day: the seat may have been the last of a limited number.
    """
    near = {"$gt": start - _LONGEST_DAY, "$lt": start + _LONGEST_DAY}
    await _slots().update_many(
        {
            **{"doctor_id": doctor_id, "is_active": True, "known_full": {"$in": [True, False]}},
            **{"start": near, "day": day, "$or": [{"known_full": True}, {"marking": {"$exists": True}}]},
        },
        {"$set": {"known_full": False}, "$unset": {"marking": ""}},
    )


async def clear_hints(slot_ids: Sequence[PydanticObjectId]) -> int:
    """Clears the hints of slots; returns how many had one."""
    result = await _slots().update_many(
        {"_id": {"$in": slot_ids}, "known_full": True}, {"$set": {"known_full": False}}
    )
    return result.modified_count
