"""The search for open slots: first free first, and nothing that booking would refuse."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.core.pagination import BY_START, after, encode_cursor
from backend.core.words import fold
from backend.scheduling import seats
from backend.scheduling.documents import Slot, SlotState

_SPARE = 10
_LARGEST_BATCH = 1000


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot with its free seats."""

    slot: Slot
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a search asks for. Times are UTC, `until` exclusive."""

    doctor_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None
    department_id: PydanticObjectId | None = None
    specialty: str | None = None
    city: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self, now: datetime) -> dict[str, Any]:
        """The filter. Its conditions on the slot itself are those of `is_bookable`."""
        start: dict[str, datetime] = {"$gt": now}
        if self.since is not None:
            start["$gte"] = self.since
        if self.until is not None:
            start["$lt"] = self.until
        wanted: dict[str, Any] = {"is_active": True, "state": SlotState.OPEN, "start": start}
        for field in ("doctor_id", "clinic_id", "department_id"):
            if (value := getattr(self, field)) is not None:
                wanted[field] = value
        if self.specialty is not None:
            wanted["specialty_key"] = fold(self.specialty)
        if self.city is not None:
            wanted["city_key"] = fold(self.city)
        return wanted


def is_bookable(slot: Slot, now: datetime) -> bool:
    """Whether a slot may be booked if it has a free seat. What isn't open in the book never is."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.start > now


async def free_seats(slots: list[Slot]) -> dict[PydanticObjectId, int]:
    """The free seats of bookable slots: capacity less active appointments; none when the doctor's day is full."""
    taken = await seats.taken(slots)
    limited = [slot for slot in slots if slot.max_patients_per_day is not None]
    patients = await seats.patients_on((slot.doctor_id, slot.day) for slot in limited)
    free = {slot.slot_id: max(0, slot.capacity - taken[slot.slot_id]) for slot in slots}
    for slot in limited:
        if patients[slot.doctor_id, slot.day] >= (slot.max_patients_per_day or 0):
            free[slot.slot_id] = 0
    return free


async def find_open(
    wanted: Wanted, *, limit: int, cursor: str | None = None
) -> tuple[list[OpenSlot], str | None]:
    """The first free slots and the cursor of the next page.

    Full slots are passed over in growing batches, so that a full book costs few round trips.
    """
    query = wanted.query(utc_now())
    position = after(cursor, *BY_START)
    found: list[OpenSlot] = []
    size = limit + _SPARE
    while True:
        batch = await Slot.find({"$and": [query, position]}).sort("start", "_id").limit(size).to_list()
        free = await free_seats(batch)
        found.extend(OpenSlot(slot, free[slot.slot_id]) for slot in batch if free[slot.slot_id])
        if len(found) > limit:
            last = found[limit - 1].slot
            return found[:limit], encode_cursor(last.start, last.slot_id)
        if len(batch) < size:
            return found, None
        position = {
            "$or": [
                {"start": {"$gt": batch[-1].start}},
                {"start": batch[-1].start, "_id": {"$gt": batch[-1].slot_id}},
            ]
        }
        size = min(size * 2, _LARGEST_BATCH)


async def next_free(doctor_id: PydanticObjectId, *, limit: int = 3) -> list[OpenSlot]:
    """The doctor's next free slots, for somebody whose choice was just taken."""
    slots, _ = await find_open(Wanted(doctor_id=doctor_id), limit=limit)
    return slots
