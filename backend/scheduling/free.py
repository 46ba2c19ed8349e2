"""Which slots can be booked, and how many of their seats are free: what search, single slots and hints ask alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.scheduling import seats
from backend.scheduling.documents import Slot, SlotState

Stored = Mapping[str, Any]
"""A slot as it is stored, as far as it was read."""

READ = dict.fromkeys(
    (
        *("doctor_id", "doctor_name", "specialty", "department_id", "clinic_id", "clinic_name", "city"),
        *("time_zone", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat"),
    ),
    1,
)
"""All that is shown of a slot, or that its free seats are counted from. It is read as it is stored: a page takes half
as long without models."""


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot as it is stored, with its free seats."""

    stored: Stored
    free: int

    @property
    def slot_id(self) -> PydanticObjectId:
        """The slot's id."""
        return PydanticObjectId(self.stored["_id"])


def is_bookable(slot: Slot, now: datetime) -> bool:
    """Whether a slot may be booked if it has a free seat. What isn't open in the book never is."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.start > now


def bookable(now: datetime) -> dict[str, Any]:
    """The filter for the slots that `is_bookable` takes."""
    return {"is_active": True, "state": SlotState.OPEN, "start": {"$gt": now}}


async def with_free_seats(slots: Sequence[Stored], **holders: Any) -> list[OpenSlot]:
    """Bookable slots with their free seats: capacity less active appointments; none when the doctor's day is full.

    Only appointments are counted that have what `holders` asks for.
    """
    if not slots:
        return []
    taken = await seats.taken({slot["_id"]: slot["first_seat"] for slot in slots}, **holders)
    limited = seats.limited_days(slots)
    patients = await seats.patients_on(limited, **holders)
    found = []
    for slot in slots:
        most = slot.get("max_patients_per_day")
        is_full_day = most is not None and patients[slot["doctor_id"], slot["day"]] >= most
        free = 0 if is_full_day else max(0, slot["capacity"] - taken[slot["_id"]])
        found.append(OpenSlot(slot, free))
    return found
