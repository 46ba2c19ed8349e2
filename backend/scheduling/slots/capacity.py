"""Which slots can be booked, and how many free seats they have: one rule for the search, single slots and hints."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.scheduling import repository
from backend.scheduling.documents import Slot, SlotState
from backend.scheduling.repository import DoctorDay, Row


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot as it is stored, with its free seats."""

    stored: Row
    free: int

    @property
    def id(self) -> PydanticObjectId:
        """The slot's id."""
        return PydanticObjectId(self.stored["_id"])


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
    """Returns whether a slot can be booked if it has a free seat: it is open and hasn't started."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.start > now


def bookable(now: datetime) -> dict[str, Any]:
    """Returns the filter that finds the slots for which `is_bookable` is true."""
    return {"is_active": True, "state": SlotState.OPEN, "start": {"$gt": now}}


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

    Claims of earlier generations don't count. `only` as for `with_free_seats`.
    """
    first_seats = {slot["_id"]: slot["first_seat"] for slot in slots}
    taken = Counter(
        claim["slot_id"]
        for claim in claims
        if claim["slot_id"] in first_seats and claim["seat"] >= first_seats[claim["slot_id"]]
    )
    days = limited_days(slots)
    visits = await repository.find_visits_on(days, **only) if days else ()
    patients = Counter((visit["doctor_id"], visit["clinic_day"]) for visit in visits)
    found = []
    for slot in slots:
        limit = slot.get("max_patients_per_day")
        is_full_day = limit is not None and patients[slot["doctor_id"], slot["day"]] >= limit
        free = 0 if is_full_day else max(0, slot["capacity"] - taken[slot["_id"]])
        found.append(OpenSlot(slot, free))
    return found


def limited_days(slots: Iterable[Row]) -> set[DoctorDay]:
    """Returns the days of those slots whose doctor has a limit of patients per day."""
    return {(slot["doctor_id"], slot["day"]) for slot in slots if "max_patients_per_day" in slot}
