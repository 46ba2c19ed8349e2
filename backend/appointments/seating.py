"""Finding a seat in a slot. The unique indexes decide; what is read here only chooses which seat to ask for."""

from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.appointments.documents import Appointment
from backend.appointments.errors import DayFull, PatientBusy, SlotTaken
from backend.scheduling.documents import SEATS_PER_ROUND, SeatHolder, Slot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat to ask for, and a number among the doctor's patients of the day where these are limited."""

    seat: int
    day_seat: int | None


async def seat_in(
    slot: Slot,
    *,
    patient_id: PydanticObjectId,
    write: Callable[[Seat], Awaitable[T]],
    moving: Appointment | None = None,
) -> T:
    """Writes with the first seat that the indexes grant.

    The first attempt asks for a seat without reading which are free: in most slots there is but one. Only when
    that is held are the seats read. Each further refusal means that somebody else got a seat meanwhile, so the
    attempts are bounded by the seats there are. Raises `SlotTaken`, `DayFull`, `PatientBusy`.
    """
    seat = _first_guess(slot, patient_id, moving)
    for _ in range(slot.capacity + (slot.max_patients_per_day or 0) + 1):
        try:
            return await write(seat)
        except DuplicateKeyError as error:
            broken = (error.details or {}).get("keyPattern", {})
            is_seat = "seat" in broken or "kept_seat" in broken
            if is_seat and slot.capacity == 1:
                raise SlotTaken from None
            if is_seat or "day_seat" in broken:
                seat = await _free_seat(slot, patient_id, moving)
            elif "ticks" in broken:
                raise PatientBusy from None
            else:
                raise
    raise SlotTaken


def _first_guess(slot: Slot, patient_id: PydanticObjectId, moving: Appointment | None) -> Seat:
    """Spreads patients over the seats and the slots of a day over its numbers, so that guesses seldom collide."""
    place = _place_of(patient_id) % slot.capacity
    seat = slot.first_seat + place
    if slot.max_patients_per_day is None:
        return Seat(seat, None)
    if (
        moving
        and moving.day_seat is not None
        and (moving.doctor_id, moving.clinic_day)
        == (
            slot.doctor_id,
            slot.day,
        )
    ):
        return Seat(seat, moving.day_seat)
    ordinal = slot.ticks[0] // len(slot.ticks) * slot.capacity + place
    return Seat(seat, ordinal % slot.max_patients_per_day)


async def _free_seat(slot: Slot, patient_id: PydanticObjectId, moving: Appointment | None) -> Seat:
    """Reads who holds what and picks seats nobody has. Raises `SlotTaken` or `DayFull`."""
    place = _place_of(patient_id)
    holders = SeatHolder.get_pymongo_collection()
    own = moving.id if moving else None
    in_slot = holders.find({"slot_id": slot.id, "active": True}, {"seat": 1, "kept_seat": 1})
    taken = {
        seat async for row in in_slot if row["_id"] != own for seat in (row["seat"], row.get("kept_seat"))
    }
    seat = _free_one(range(slot.first_seat, slot.first_seat + slot.capacity), taken, place)
    if seat is None:
        raise SlotTaken
    if slot.max_patients_per_day is None:
        return Seat(seat, None)
    on_day = holders.find(
        {"doctor_id": slot.doctor_id, "clinic_day": slot.day, "active": True}, {"day_seat": 1}
    )
    numbers = [row.get("day_seat") async for row in on_day if row["_id"] != own]
    day_seat = _free_one(range(slot.max_patients_per_day), set(numbers), place)
    if day_seat is None or len(numbers) >= slot.max_patients_per_day:
        raise DayFull
    return Seat(seat, day_seat)


def _free_one(numbers: range, taken: Collection[int | None], place: int) -> int | None:
    """One of the free numbers, not the same for everybody: many who ask at once seldom ask for the same."""
    free = [number for number in numbers if number not in taken]
    return free[place % len(free)] if free else None


def _place_of(patient_id: PydanticObjectId) -> int:
    """A number that differs between patients: the counter in the id's last three bytes."""
    return int.from_bytes(patient_id.binary[-3:], "big")


def seats_above(seat: int) -> Iterator[int]:
    """The same place in this round and in later ones, for a correction that comes after a withdrawal."""
    return iter(range(seat, seat + SEATS_PER_ROUND * 50, SEATS_PER_ROUND))
