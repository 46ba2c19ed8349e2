"""Which slots can be booked, and how many free seats they have: one rule for the search, single slots and hints."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.scheduling import repository
from backend.scheduling.documents import EITHER, Slot, SlotState
from backend.scheduling.repository import DoctorDay, Row
from backend.scheduling.slots.repository import ending_after


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot as it is stored, with its free seats. On a day that has all its patients there are none.

    `seats` are then those that nobody holds.
    """

    stored: Row
    free: int
    seats: int | None = None

    @property
    def id(self) -> PydanticObjectId:
        """The slot's id."""
        return PydanticObjectId(self.stored["_id"])

    def free_for(self, day: str) -> int:
        """Returns the free seats for a visit that begins on a day: only there it counts as one of the patients."""
        return self.free if self.seats is None or self.stored["day"] == day else self.seats


@dataclass(frozen=True, slots=True)
class BookableSlot:
    """A slot as a booking reads it. Building the model, and asking it for each field, would cost a booking 50 µs."""

    id: PydanticObjectId
    doctor_id: PydanticObjectId
    doctor_name: str
    specialty: str
    clinic_id: PydanticObjectId
    clinic_name: str
    time_zone: str
    start: datetime
    end: datetime
    day: str
    ticks: list[int]
    capacity: int
    max_patients_per_day: int | None
    first_seat: int
    state: SlotState
    is_active: bool
    is_online: bool

    @classmethod
    def of(cls, stored: Row) -> "BookableSlot":
        """Builds it from the whole document."""
        return cls(
            id=stored["_id"],
            state=SlotState(stored["state"]),
            max_patients_per_day=stored.get("max_patients_per_day"),
            **{name: stored[name] for name in _COPIED},
        )


_COPIED = {field.name for field in fields(BookableSlot)} - {"id", "state", "max_patients_per_day"}


def is_bookable(slot: Slot | BookableSlot, now: datetime) -> bool:
    """Returns whether patients can book a slot if it has a free seat: it is open, online and hasn't started."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.is_online and slot.start > now


def bookable(now: datetime) -> dict[str, Any]:
    """Returns the filter that finds the slots for which `is_bookable` is true."""
    return {"is_active": True, "state": SlotState.OPEN, "is_online": True, "start": {"$gt": now}}


def is_bookable_by_staff(slot: Slot | BookableSlot, now: datetime) -> bool:
    """Returns whether staff can book a slot if it has a free seat: it is open, and not over."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.end > now


def bookable_by_staff(now: datetime) -> dict[str, Any]:
    """Returns the filter that finds the slots for which `is_bookable_by_staff` is true."""
    return {"is_active": True, "state": SlotState.OPEN, "is_online": EITHER, **ending_after(now)}


async def with_free_seats(slots: Sequence[Row], **only: Any) -> list[OpenSlot]:
    """Returns bookable slots with their free seats: capacity less active appointments.

    If the doctor's day is full there are none. `only` is a further condition on the appointments that count.
    """
    if not slots:
        return []
    claims = await repository.find_taken_seats([slot["_id"] for slot in slots], **only)
    return await count_free_seats(slots, claims, **only)


async def count_free_seats(slots: Sequence[Row], claims: Iterable[Row], **only: Any) -> list[OpenSlot]:
    """Returns slots with their free seats. `claims` has all claims in them, and may have others too.

    `only` as for `with_free_seats`.
    """
    found, days = count_seats(slots, claims), limited_days(slots)
    if not days:
        return found
    visits = await repository.find_visits_on(days, **only)
    patients = Counter((visit["doctor_id"], visit["clinic_day"]) for visit in visits)

    def is_full_day(slot: Row) -> bool:
        limit = slot.get("max_patients_per_day")
        return limit is not None and patients[slot["doctor_id"], slot["day"]] >= limit

    return [OpenSlot(slot.stored, 0, seats=slot.free) if is_full_day(slot.stored) else slot for slot in found]


def count_seats(slots: Sequence[Row], claims: Iterable[Row]) -> list[OpenSlot]:
    """Returns slots with the seats that no active claim holds, whatever the limit of patients per day.

    `claims` are active. Those of earlier generations don't count.
    """
    first_seats = {slot["_id"]: slot["first_seat"] for slot in slots}
    taken = Counter(
        held["slot"]
        for claim in claims
        for held in claim["seats"]
        if held["seat"] >= first_seats.get(held["slot"], math.inf)
    )
    return [OpenSlot(slot, max(0, slot["capacity"] - taken[slot["_id"]])) for slot in slots]


def limited_days(slots: Iterable[Row]) -> set[DoctorDay]:
    """Returns the days of those slots whose doctor has a limit of patients per day."""
    return {(slot["doctor_id"], slot["day"]) for slot in slots if "max_patients_per_day" in slot}
