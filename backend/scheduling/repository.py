"""Every query and update of seat claims, and what booking reads of slots. For the rest see `slots/repository.py`."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import Any, TypeVar

from beanie import PydanticObjectId
from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from backend.core.mongo.updates import duplicates
from backend.scheduling.documents import COUNTED_STATUSES, SeatClaim, Slot

T = TypeVar("T")
Row = Mapping[str, Any]

DoctorDay = tuple[PydanticObjectId, str]
"""A doctor, and a calendar day of the clinic."""

CLAIM_FIELDS = dict.fromkeys(("seats", "doctor_id", "clinic_day", "daily_number", "active"), 1)
"""What choosing a free seat needs to know of each claim."""

IS_APPOINTMENT = {"patient_id": {"$exists": True}}
"""The condition that leaves out blocks."""

_AT_ONCE = 1000
"""Documents of one write. It then stays far below the time limit of an operation and lets other requests in between:
a week may well have hundreds of slots with many seats each."""


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yields items in parts that one write can take."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _claims() -> AsyncCollection[dict[str, Any]]:
    return SeatClaim.get_pymongo_collection()


# What booking reads


async def find_slot(slot_id: PydanticObjectId) -> Slot | None:
    """Returns a slot, bookable or not."""
    return await Slot.get(slot_id)


async def read_slots_with_claims(
    slot_ids: Iterable[PydanticObjectId], *lookups: Row
) -> tuple[Mapping[PydanticObjectId, Row], Mapping[PydanticObjectId, Sequence[Row]], Row]:
    """Returns slots, the doctor's claims on the day of each, both by the slot's id, and what `lookups` found.

    It is one command: each of `lookups` is a `$lookup` stage, and what it finds is under the name that it gives it.
    Claims are read only where there is a choice: for slots with several seats, or with a limit of patients per day.
    """
    pipeline: list[Row] = [{"$match": {"_id": {"$in": list(set(slot_ids))}}}, _WITH_CLAIMS, *lookups]
    (found,) = await (await Slot.get_pymongo_collection().aggregate(pipeline)).to_list()
    slots = {slot["_id"]: slot for slot in found["slots"]}
    claims = {row["_id"]: row["claims"] for row in found["claims"]}
    return slots, claims, found


async def find_claims(slot_ids: Sequence[PydanticObjectId], *, of_doctors_day: DoctorDay | None) -> Sequence[Row]:
    """Returns the claims on the slots' seats, blocks included; with `of_doctors_day` also those of that day."""
    where: Row = {"seats.slot": {"$in": slot_ids}, "active": True}
    if of_doctors_day is not None:
        where = {"$or": [where, _counted_on({of_doctors_day})]}
    return await _claims().find(where, CLAIM_FIELDS).to_list()


_HAS_A_CHOICE = {"$or": [{"capacity": {"$gt": 1}}, {"max_patients_per_day": {"$gt": 0}}]}

_SAME_DAY = {"$and": [{"$eq": ["$doctor_id", "$$doctor"]}, {"$eq": ["$clinic_day", "$$day"]}]}

_CLAIMS_OF_DAY = {
    "from": SeatClaim.Settings.name,
    "let": {"doctor": "$doctor_id", "day": "$day"},
    "pipeline": [{"$match": {"$expr": _SAME_DAY, "status": {"$in": COUNTED_STATUSES}}}, {"$project": CLAIM_FIELDS}],
    "as": "claims",
}

# MongoDB skips a stage that no document reaches: most slots never need the lookup.
_CLAIMS = [{"$match": _HAS_A_CHOICE}, {"$lookup": _CLAIMS_OF_DAY}, {"$project": {"claims": 1}}]

_WITH_CLAIMS = RawBSONDocument(encode({"$facet": {"slots": [{"$match": {}}], "claims": _CLAIMS}}))
"""Encoded once: it is the larger part of what a booking sends to the database."""


# Counting free seats. `only` is a further condition on the claims.


async def find_taken_seats(slot_ids: Iterable[PydanticObjectId], **only: Any) -> Sequence[Row]:
    """Returns the `seats` of each active claim in these slots; other slots of a visit may be among them."""
    where = {"seats.slot": {"$in": list(slot_ids)}, "active": True, **only}
    return await _claims().find(where, {"_id": 0, "seats": 1}).to_list()


async def find_visits_on(days: Set[DoctorDay], **only: Any) -> Sequence[Row]:
    """Returns doctor and day of each appointment that counts against a doctor's limit on these days."""
    found = _claims().find({**_counted_on(days), **only}, {"_id": 0, "doctor_id": 1, "clinic_day": 1})
    return await found.to_list()


def _counted_on(days: Set[DoctorDay]) -> dict[str, Any]:
    wanted = [{"doctor_id": doctor_id, "clinic_day": day} for doctor_id, day in days]
    return {"$or": wanted, "status": {"$in": COUNTED_STATUSES}}


async def set_clears_full_hint(slot_ids: Sequence[PydanticObjectId], days: Set[DoctorDay]) -> None:
    """Makes the active claims in slots, and the counted appointments of days, clear the full hint when they end."""
    update = {"$set": {"clears_full_hint": True}}
    in_slots = {"seats.slot": {"$in": slot_ids}, "active": True}
    await _claims().update_many({**in_slots, "clears_full_hint": {"$ne": True}}, update)
    if days:
        await _claims().update_many({**_counted_on(days), "clears_full_hint": {"$ne": True}}, update)


# Withdrawing slots: see `slots/withdrawal.py`


async def find_seat_holders(first_seats: Mapping[PydanticObjectId, int], **only: Any) -> list[Row]:
    """Returns the active appointments and blocks that hold seats of slots, from each slot's first seat on.

    Each has one row for each of these slots in which it holds a seat: `slot`, `seat`, `reserved`, and the id. Blocks
    have no `patient_id`. `only` is a further condition, for example `IS_APPOINTMENT`.
    """
    rows = _claims().find(
        {"seats.slot": {"$in": list(first_seats)}, "active": True, **only}, {"seats": 1, "patient_id": 1}
    )
    return [
        {**holder, **held}
        async for holder in rows
        for held in holder.pop("seats")
        if held["seat"] >= first_seats.get(held["slot"], math.inf)
    ]


async def find_booked_slots(slot_ids: Iterable[PydanticObjectId]) -> set[PydanticObjectId]:
    """Returns which of these slots have active appointments, fit-ins without a seat included."""
    ids = set(slot_ids)
    with_seats = {row["slot"] for row in await find_seat_holders(dict.fromkeys(ids, 0), **IS_APPOINTMENT)}
    fit_ins = await find_overbooking(list(ids))
    return with_seats | {slot_id for each in fit_ins for slot_id in each.overbooked_slots or () if slot_id in ids}


# Fit-ins: see `fit_ins.py`


async def find_overbooking(slot_ids: Sequence[PydanticObjectId]) -> list[SeatClaim]:
    """Returns the active fit-ins that have no seat in some of these slots, the longest there first."""
    there = {"overbooked_slots": {"$in": slot_ids}, "active": True}
    return await SeatClaim.find(there).sort("_id").to_list()


async def give_seat(fit_in: SeatClaim, slot_id: PydanticObjectId, seat: int) -> None:
    """Gives a fit-in a seat in a slot that it overbooks, if it still does. Raises `DuplicateKeyError`."""
    still_there = {"_id": fit_in.id, "active": True, "overbooked_slots": slot_id}
    held = {"slot": slot_id, "seat": seat, "reserved": seat}
    await _claims().update_one(still_there, {"$push": {"seats": held}, "$pull": {"overbooked_slots": slot_id}})


async def insert_blocks(seats: Iterable[tuple[PydanticObjectId, int]], *, expires_at: datetime) -> None:
    """Blocks seats, each a slot and a seat number. A seat that somebody holds stays theirs."""
    blocks = [
        {"seats": [{"slot": slot_id, "seat": seat}], "active": True, "expires_at": expires_at}
        for slot_id, seat in sorted(seats)
    ]
    for batch in batches(blocks, _AT_ONCE):
        try:
            await _claims().insert_many(batch, ordered=False)
        except BulkWriteError as error:
            duplicates(error)  # raises whatever isn't a seat that is held already


async def move_to_seat(holder: Row, seat: int) -> bool:
    """Moves an appointment to another seat of a slot; its seats in other slots stay.

    Returns False if it has left that slot or seat. Raises `DuplicateKeyError`.
    """
    is_there = {"$elemMatch": {"slot": holder["slot"], "seat": holder["seat"]}}
    where = {"_id": holder["_id"], "active": True, "seats": is_there}
    result = await _claims().update_one(where, {"$set": {"seats.$.seat": seat}})
    return result.matched_count > 0


async def release_reserved_seats(holders: Iterable[Row]) -> None:
    """Ends the hold of appointments on the reserved seat from which they have moved, now that a block holds it."""
    updates = []
    for holder in holders:
        left = {"slot": holder["slot"], "reserved": holder["reserved"]}
        has_moved = {"$elemMatch": {**left, "seat": {"$ne": holder["reserved"]}}}
        # That seat only: letting go of those in other slots, where no block is yet, would admit a late booking.
        is_it = {"$and": [{"$eq": [f"$$held.{name}", value]} for name, value in left.items()]}
        released = {"$mergeObjects": ["$$held", {"reserved": "$$held.seat"}]}
        seats = {"$map": {"input": "$seats", "as": "held", "in": {"$cond": [is_it, released, "$$held"]}}}
        where = {"_id": holder["_id"], "active": True, "seats": has_moved}
        updates.append(UpdateOne(where, [{"$set": {"seats": seats}}]))
    for batch in batches(updates, _AT_ONCE):
        await _claims().bulk_write(batch, ordered=False)


# Appointments, as far as scheduling knows them


async def find_booked(where: Row) -> list[SeatClaim]:
    """Returns active appointments, by start."""
    return await SeatClaim.find({**where, "active": True, **IS_APPOINTMENT}).sort("start", "_id").to_list()


async def find_booked_in(slots: Iterable[Slot]) -> list[SeatClaim]:
    """Returns the active appointments whose visit takes place in these slots, by start.

    A visit whose buffer alone reaches into one of them isn't among them: the patient has left by then.
    """
    by_id = {slot.id: slot for slot in slots}
    booked = await find_booked(in_slots(list(by_id)))
    return [claim for claim in booked if any(_takes_place_in(claim, by_id.get(each)) for each in claim.slot_ids)]


def in_slots(slot_ids: Sequence[PydanticObjectId]) -> Row:
    """Returns the filter for the active appointments in these slots, fit-ins without a seat included."""
    there = {"$in": slot_ids}
    return {"$or": [{field: there, "active": True} for field in ("seats.slot", "overbooked_slots")]}


def _takes_place_in(claim: SeatClaim, slot: Slot | None) -> bool:
    return slot is not None and claim.end is not None and claim.end > slot.start


async def find_in_other_zone(
    clinic_id: PydanticObjectId, time_zone: str, *, limit: int, **only: Any
) -> Sequence[Row]:
    """Returns appointments of a clinic that show another time zone than this one. `only` is a further condition."""
    where = {"clinic_id": clinic_id, "time_zone": {"$ne": time_zone}, **only}
    return await _claims().find(where, {"start": 1, "clinic_day": 1}, limit=limit).to_list()


async def set_zone(rows: Iterable[Row], days: Mapping[PydanticObjectId, str], *, time_zone: str) -> None:
    """Sets time zone and day of appointments that still have the time at which they were read.

    An appointment that comes to another day loses its daily number, which somebody may have there.
    """
    updates = []
    for row in rows:
        day = days[row["_id"]]
        update: dict[str, Any] = {"$set": {"time_zone": time_zone, "clinic_day": day}}
        if day != row["clinic_day"]:
            update["$unset"] = {"daily_number": ""}
        updates.append(UpdateOne({key: row[key] for key in ("_id", "start", "clinic_day")}, update))
    await _claims().bulk_write(updates, ordered=False)


async def rename_on_appointments(where: Row, names: Mapping[str, str]) -> None:
    """Writes a new name of a person, a clinic or a visit type onto appointments, past and future."""
    await _claims().update_many(where, {"$set": names})
