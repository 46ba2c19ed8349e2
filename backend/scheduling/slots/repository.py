"""Every query and update of slots, except those of booking and of the search, which have repositories of their own.

An update changes a slot only while its state and revision are as they were read.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from backend.core.clock import utc_now
from backend.core.mongo.updates import changes, duplicates
from backend.scheduling.availability import MOST_SLOT_MINUTES
from backend.scheduling.documents import (
    ANY_LENGTH,
    CAPACITY_IS_SET,
    EITHER,
    LONGEST_HINTED,
    SEATS_PER_GENERATION,
    SHORT,
    Slot,
    SlotSource,
    SlotState,
)
from backend.scheduling.repository import Row, batches

NO_HINTS: Mapping[str, Any] = {"known_full": False, "known_longest": ANY_LENGTH, "marking": None}
"""The fields of a slot that searches look at again."""

_HAS_HINT: Row = {"$or": [{"known_full": True}, SHORT, {"marking": {"$exists": True}}]}

_NO_LENGTHS: Mapping[str, Any] = {"known_longest": ANY_LENGTH, "marking": None}

AT_ONCE = 500
"""Slots of one write, so that other requests come in between."""


def _slots() -> AsyncCollection[dict[str, Any]]:
    return Slot.get_pymongo_collection()


def ending_after(moment: datetime) -> dict[str, Any]:
    """Returns the filter for slots that end after a moment. The index has their start, so it is bounded too."""
    return {"start": {"$gt": moment - timedelta(minutes=MOST_SLOT_MINUTES)}, "end": {"$gt": moment}}


async def find_active(where: Row) -> list[Slot]:
    """Returns the slots that hold their time and match a filter, by start."""
    found = Slot.find({**where, "is_active": True}, batch_size=AT_ONCE).sort("start", "_id")
    return [slot async for slot in found]


async def find_coming_ids(where: Row) -> set[PydanticObjectId]:
    """Returns the ids of the slots that hold their time, haven't started and match a filter."""
    coming = {**where, "is_active": True, "start": {"$gt": utc_now()}}
    return {row["_id"] async for row in _slots().find(coming, {"_id": 1})}


async def find_doctors_with_slots(clinic_id: PydanticObjectId, *, since: datetime) -> list[PydanticObjectId]:
    """Returns the doctors with slots at a clinic that end after a moment."""
    return await _slots().distinct("doctor_id", {"clinic_id": clinic_id, "is_active": True, **ending_after(since)})


async def insert_new(slots: Sequence[Slot]) -> None:
    """Inserts slots. Where the doctor's time is held already, it stays held and the slot is left out."""
    for batch in batches(slots, AT_ONCE):
        # Without Beanie, which takes twice as long: a horizon has a thousand slots.
        raw = [slot.model_dump(by_alias=True, exclude={"revision_id"}, exclude_none=True) for slot in batch]
        try:
            await _slots().insert_many(raw, ordered=False)
        except BulkWriteError as error:
            duplicates(error)  # raises whatever isn't time that is held already


async def open_unchanged(slots: Sequence[Slot], fields: Mapping[PydanticObjectId, Row]) -> int:
    """Opens slots of a doctor that nobody has changed since they were read, and sets these fields of each.

    Clears the hints of the slots before them. Returns how many it opened.
    """
    opened = 0
    for batch in batches(slots, AT_ONCE):
        updates = [
            UpdateOne(
                {"_id": slot.id, "revision": slot.revision, "state": slot.state, "is_active": True},
                changes({**fields[slot.id], "state": SlotState.OPEN, **NO_HINTS}),
            )
            for slot in batch
        ]
        opened += (await _slots().bulk_write(updates, ordered=False)).modified_count
    if opened:
        # Visits that end there now may go on.
        starts = [slot.start for slot in slots]
        before = {"$gte": min(starts) - LONGEST_HINTED, "$lt": max(starts)}
        await clear_hints_between(slots[0].doctor_id, before, hints=_NO_LENGTHS)
    return opened


async def clear_hints(slot_ids: Sequence[PydanticObjectId]) -> int:
    """Clears the hints of slots; returns how many had one."""
    where = {"_id": {"$in": slot_ids}, **_HAS_HINT}
    return (await _slots().update_many(where, changes(NO_HINTS))).modified_count


async def clear_hints_between(
    doctor_id: PydanticObjectId, start: Row, *, where: Row | None = None, hints: Mapping[str, Any] = NO_HINTS
) -> None:
    """Clears these hints, and announcements, on the doctor's slots whose start (UTC) meets a condition."""
    both = {"is_active": True, "is_online": EITHER, "known_full": EITHER}  # so that the index serves the start, too
    await _slots().update_many(
        {"doctor_id": doctor_id, **both, "start": start, "$and": [where or {}, _HAS_HINT]}, changes(hints)
    )


async def refresh_names(doctor_id: PydanticObjectId, clinic_id: PydanticObjectId, names: Row) -> None:
    """Writes names and limits onto a doctor's slots at a clinic that aren't over."""
    coming = {"doctor_id": doctor_id, "clinic_id": clinic_id, "is_active": True, **ending_after(utc_now())}
    # One that is closing gets its names when it opens again. With a new daily limit a slot may have free seats again.
    # The new revision keeps everybody from opening a slot with the names that they read before.
    update = {**changes({**names, **NO_HINTS}), "$inc": {"revision": 1}}
    await _slots().update_many({**coming, "state": {"$ne": SlotState.CLOSING}}, update)


async def set_capacity(slot_id: PydanticObjectId, capacity: int) -> bool:
    """Records the capacity with which a slot is to open; False if it no longer holds its time, or staff removed it.

    It takes effect when the doctor's slots are reconciled. The new revision keeps everybody from opening the slot
    with the capacity that they read before.
    """
    there = {"_id": slot_id, "is_active": True, "is_removed": False}
    update = {"$set": {"capacity_set": capacity}, "$inc": {"revision": 1}}
    return (await _slots().update_one(there, update)).matched_count > 0


async def find_set_capacities(doctor_id: PydanticObjectId, starts: Sequence[datetime]) -> list[Row]:
    """Returns slots of the weekly hours whose capacity staff have set, withdrawn ones too, the oldest first.

    They have these starts (UTC).
    """
    there = {"doctor_id": doctor_id, "start": {"$in": starts}, "source": SlotSource.HOURS, **CAPACITY_IS_SET}
    fields = dict.fromkeys(("clinic_id", "start", "end", "capacity_set"), 1)
    return sorted(await _slots().find(there, fields).to_list(), key=lambda row: row["_id"])


# Withdrawing: see `withdrawal.py`


async def begin_withdrawal(slot_ids: Sequence[PydanticObjectId]) -> list[Slot]:
    """Sets slots to `closing`, except those that staff removed; returns all of them that are closing."""
    where = {"_id": {"$in": slot_ids}, "is_active": True}
    await _slots().update_many(
        {**where, "state": {"$ne": SlotState.REMOVED}},
        {"$set": {"state": SlotState.CLOSING}, "$inc": {"revision": 1}},
    )
    closing = Slot.find({**where, "state": SlotState.CLOSING}, batch_size=AT_ONCE)
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


async def finish_withdrawal(closing: Iterable[Slot], *, holding: Set[PydanticObjectId]) -> None:
    """Sets closing slots to `closed` or `removed`, and their seat numbers to the next generation.

    Those `holding` their time keep it.

    It changes a slot only as it was read. Several processes may withdraw a slot at once, but its generation may end
    only once: otherwise the appointments in it would be left a generation behind, on seats that nobody counts.
    """
    updates = []
    for slot in closing:
        state = SlotState.REMOVED if slot.is_removed else SlotState.CLOSED
        as_read = {"_id": slot.id, "revision": slot.revision, "first_seat": slot.first_seat}
        new = {"state": state, "is_active": slot.is_removed or slot.id in holding}
        update = {"$set": new, "$inc": {"first_seat": SEATS_PER_GENERATION}}
        updates.append(UpdateOne({**as_read, "state": SlotState.CLOSING}, update))
    await _slots().bulk_write(updates, ordered=False)


async def set_zone_of_withdrawn(
    slots: Iterable[Slot], days: Mapping[PydanticObjectId, str], *, time_zone: str
) -> None:
    """Sets time zone and day of withdrawn slots, as far as they are still withdrawn."""
    updates = [
        UpdateOne(
            {"_id": slot.id, "is_active": True, "state": slot.state},
            {"$set": {"time_zone": time_zone, "day": days[slot.id]}},
        )
        for slot in slots
    ]
    await _slots().bulk_write(updates, ordered=False)


async def hold_closed(slot_ids: Iterable[PydanticObjectId]) -> list[Slot]:
    """Increments the revision of closed slots, so that nobody opens them who read them before.

    Returns those that were opened just before: they have to be withdrawn.
    """
    where = {"_id": {"$in": list(slot_ids)}, "is_active": True}
    await _slots().update_many({**where, "state": SlotState.CLOSED}, {"$inc": {"revision": 1}})
    return await Slot.find({**where, "state": SlotState.OPEN}).to_list()
