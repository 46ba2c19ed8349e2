"""Every query and update of slots, but for those of booking (`scheduling/repository.py`) and of the search
(`search_repository.py`).

An update changes a slot only while its state and revision are as they were read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from backend.core.clock import utc_now
from backend.core.mongo.updates import changes, duplicates
from backend.scheduling.documents import SEATS_PER_GENERATION, Slot, SlotState
from backend.scheduling.repository import Row

NOT_FULL: Mapping[str, Any] = {"known_full": False, "marking": None}
"""The fields of a slot that searches look at again."""

_AT_ONCE = 500
"""Slots of one write, so that other requests come in between."""


def _slots() -> AsyncCollection[dict[str, Any]]:
    return Slot.get_pymongo_collection()


# Finding the slots of a doctor


async def find_active(
    doctor_id: PydanticObjectId, *, since: datetime, states: list[SlotState] | None = None
) -> list[Slot]:
    """Returns the doctor's slots that hold their time and start after a moment, by start."""
    where: dict[str, Any] = {"doctor_id": doctor_id, "is_active": True, "start": {"$gt": since}}
    if states:
        where["state"] = {"$in": states}
    found = Slot.find(where, batch_size=_AT_ONCE).sort("start", "_id")
    return [slot async for slot in found]


async def find_starting_between(
    doctor_id: PydanticObjectId, *, after: datetime, before: datetime
) -> list[Slot]:
    """Returns the doctor's slots that hold their time and start between two moments, both exclusive."""
    start = {"$gt": after, "$lt": before}
    return await Slot.find({"doctor_id": doctor_id, "is_active": True, "start": start}).to_list()


async def find_ids_on_days(
    doctor_id: PydanticObjectId, *, clinic_id: PydanticObjectId, days: list[str], state: SlotState
) -> set[PydanticObjectId]:
    """Returns the doctor's coming slots at a clinic on some days, in one state."""
    on_days = {
        "doctor_id": doctor_id,
        "is_active": True,
        "start": {"$gt": utc_now()},
        "clinic_id": clinic_id,
        "day": {"$in": days},
        "state": state,
    }
    return {row["_id"] async for row in _slots().find(on_days, {"_id": 1})}


async def find_withdrawn_ids(doctor_id: PydanticObjectId) -> list[PydanticObjectId]:
    """Returns the doctor's coming slots that are withdrawn and still hold their time."""
    withdrawn = {
        "doctor_id": doctor_id,
        "is_active": True,
        "start": {"$gt": utc_now()},
        "state": {"$in": [SlotState.CLOSED, SlotState.CLOSING, SlotState.REMOVED]},
    }
    return [row["_id"] async for row in _slots().find(withdrawn, {"_id": 1})]


async def find_doctors_with_slots(clinic_id: PydanticObjectId, *, since: datetime) -> list[PydanticObjectId]:
    """Returns the doctors who have active slots at a clinic that start after a moment."""
    where = {"clinic_id": clinic_id, "is_active": True, "start": {"$gt": since}}
    return await _slots().distinct("doctor_id", where)


async def find_present(slot_id: PydanticObjectId) -> Slot | None:
    """Returns a coming slot that still holds its time, open or not, unless staff removed it."""
    ahead = {"is_active": True, "start": {"$gt": utc_now()}, "state": {"$ne": SlotState.REMOVED}}
    return await Slot.find_one({"_id": slot_id, **ahead})


async def find_still_active(
    slot_ids: Iterable[PydanticObjectId], *, state: SlotState | None = None
) -> list[Slot]:
    """Returns those of these slots that hold their time, by start; with `state`, only those in it."""
    where: dict[str, Any] = {"_id": {"$in": list(slot_ids)}, "is_active": True}
    if state:
        where["state"] = state
    return await Slot.find(where, batch_size=_AT_ONCE).sort("start", "_id").to_list()


# Adding and opening


def batches(slots: Sequence[Slot]) -> Iterator[Sequence[Slot]]:
    """Yields slots in parts that one write can take."""
    for first in range(0, len(slots), _AT_ONCE):
        yield slots[first : first + _AT_ONCE]


async def insert_new(slots: Sequence[Slot]) -> None:
    """Inserts slots. Where the doctor's time is held already, it stays held and the slot is left out."""
    for batch in batches(slots):
        try:
            await _slots().insert_many([_raw(slot) for slot in batch], ordered=False)
        except BulkWriteError as error:
            duplicates(error)  # raises whatever isn't time that is held already


def _raw(slot: Slot) -> dict[str, Any]:
    """A slot as it is stored. A horizon has a thousand of them, and Beanie takes twice as long."""
    return {
        "_id": slot.id or PydanticObjectId(),
        **slot.model_dump(exclude={"id", "revision_id"}, exclude_none=True),
    }


async def open_unchanged(slots: Sequence[Slot], fields: Mapping[PydanticObjectId, Row]) -> int:
    """Opens slots that nobody has changed since they were read, and sets these fields of each.

    Returns how many it opened.
    """
    opened = 0
    for batch in batches(slots):
        updates = [
            UpdateOne(
                {"_id": slot.id, "revision": slot.revision, "state": slot.state, "is_active": True},
                changes({**fields[slot.slot_id], "state": SlotState.OPEN, **NOT_FULL}),
            )
            for slot in batch
        ]
        opened += (await _slots().bulk_write(updates, ordered=False)).modified_count
    return opened


async def refresh_names(
    doctor_id: PydanticObjectId, *, clinic_id: PydanticObjectId, names: Mapping[str, Any]
) -> None:
    """Writes names and limits onto a doctor's coming slots at a clinic.

    The revision goes up, so that nobody opens a slot with the names they read before.
    """
    await _slots().update_many(
        {
            "doctor_id": doctor_id,
            "clinic_id": clinic_id,
            "is_active": True,
            "state": {"$ne": SlotState.CLOSING},  # gets its names when it opens again
            "start": {"$gt": utc_now()},
        },
        # With a new daily limit a slot may have free seats again.
        {**changes({**names, **NOT_FULL}), "$inc": {"revision": 1}},
    )


# Withdrawing: see `withdrawal.py`


async def begin_withdrawal(slot_ids: Sequence[PydanticObjectId]) -> list[Slot]:
    """Sets slots to `closing`, except those that staff removed; returns all of them that are closing."""
    where = {"_id": {"$in": slot_ids}, "is_active": True}
    await _slots().update_many(
        {**where, "state": {"$ne": SlotState.REMOVED}},
        {"$set": {"state": SlotState.CLOSING}, "$inc": {"revision": 1}},
    )
    closing = Slot.find({**where, "state": SlotState.CLOSING}, batch_size=_AT_ONCE)
    return [slot async for slot in closing]


async def begin_removal(slot_id: PydanticObjectId) -> Slot | None:
    """Sets a slot to `closing` and `is_removed`; returns it, or None if it no longer holds its time."""
    raw = await _slots().find_one_and_update(
        {"_id": slot_id, "is_active": True},
        {"$set": {"state": SlotState.CLOSING, "is_removed": True}, "$inc": {"revision": 1}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else Slot.model_validate(raw)


async def unmark_removed(slot_ids: Sequence[PydanticObjectId]) -> None:
    """Sets removed slots to `closing` and forgets that staff removed them."""
    await _slots().update_many(
        {"_id": {"$in": slot_ids}, "is_active": True, "state": SlotState.REMOVED},
        {"$set": {"state": SlotState.CLOSING, "is_removed": False}},
    )


async def finish_withdrawal(closing: Iterable[Slot], *, booked: set[PydanticObjectId]) -> None:
    """Sets closing slots to `closed` or `removed`, and their seat numbers to the next generation.

    It changes a slot only as it was read. Several processes may withdraw a slot at once, but its generation may end
    only once: otherwise the appointments in it would be left a generation behind, on seats that nobody counts.
    """
    updates = []
    for slot in closing:
        state = SlotState.REMOVED if slot.is_removed else SlotState.CLOSED
        as_read = {
            "_id": slot.id,
            "state": SlotState.CLOSING,
            "revision": slot.revision,
            "first_seat": slot.first_seat,
        }
        is_active = slot.is_removed or slot.slot_id in booked
        update = {
            "$set": {"state": state, "is_active": is_active},
            "$inc": {"first_seat": SEATS_PER_GENERATION},
        }
        updates.append(UpdateOne(as_read, update))
    await _slots().bulk_write(updates, ordered=False)


async def hold_closed(slot_ids: Iterable[PydanticObjectId]) -> list[Slot]:
    """Increments the revision of closed slots, so that nobody opens them who read them before.

    Returns those that were opened just before: they have to be withdrawn.
    """
    where = {"_id": {"$in": list(slot_ids)}, "is_active": True}
    await _slots().update_many({**where, "state": SlotState.CLOSED}, {"$inc": {"revision": 1}})
    return await Slot.find({**where, "state": SlotState.OPEN}).to_list()
