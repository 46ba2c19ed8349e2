"""Allocating a seat in a slot. Reads only choose which seat to try; the unique indexes decide."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role
from backend.appointments.documents import Appointment
from backend.appointments.errors import DayFull, PatientDoubleBooked, SlotTaken
from backend.core.mongo.batching import Batcher, SingleFlight
from backend.core.mongo.updates import breaks_index_on
from backend.scheduling import repository as scheduling
from backend.scheduling.documents import SEATS_PER_GENERATION
from backend.scheduling.hours.repository import request_sync
from backend.scheduling.repository import Row
from backend.scheduling.schemas import SlotOut
from backend.scheduling.slots.capacity import BookableSlot
from backend.scheduling.slots.search import next_free
from backend.scheduling.slots.search_repository import clear_hints_of_day

T = TypeVar("T")

_MOST_GENERATIONS = 50


@dataclass(frozen=True, slots=True)
class SeatNumbers:
    """A seat to try and, where the doctor has a limit of patients per day, a number of that day."""

    seat: int
    daily_number: int | None


@dataclass(frozen=True, slots=True)
class SlotToBook:
    """A slot and the claims on its seats and its day; with the patient's name if it was asked for."""

    slot: BookableSlot
    claims: Sequence[Row]
    patient_name: str | None = None


async def read_slot_to_book(
    slot_id: PydanticObjectId, *, patient_id: PydanticObjectId | None = None
) -> SlotToBook | None:
    """Reads all that booking a slot needs, in one command; None if there is no such slot.

    With `patient_id` it includes the name of that patient, if they are active.
    """
    if patient_id is None:
        return await _slots.load(slot_id)
    (slot,) = await _read_slots([slot_id], patient_id)
    return slot


async def _read_slots(
    slot_ids: Sequence[PydanticObjectId], patient_id: PydanticObjectId | None = None
) -> Sequence[SlotToBook | None]:
    slots, claims, user = await scheduling.read_slots_with_claims(slot_ids, user_id=patient_id)
    is_patient = user is not None and user["role"] == Role.PATIENT and user["is_active"]
    return [
        SlotToBook(
            BookableSlot.of(slots[slot_id]),
            claims.get(slot_id, ()),
            patient_name=user["name"] if user is not None and is_patient else None,
        )
        if slot_id in slots
        else None
        for slot_id in slot_ids
    ]


_slots: Batcher[PydanticObjectId, SlotToBook | None] = Batcher("slot", _read_slots)


async def allocate_seat(
    to_book: SlotToBook,
    *,
    patient_id: PydanticObjectId,
    write: Callable[[SeatNumbers], Awaitable[T]],
    rescheduled: Appointment | None = None,
) -> T:
    """Calls `write` with a free seat, and with others until the indexes accept one. Returns what `write` returns.

    A refusal means that somebody else took the seat or the daily number meanwhile, so the claims are read again.
    There are as many attempts as seats and numbers. `rescheduled` is the appointment that the write moves here, if
    it does. Raises `SlotTaken`, `DayFull`, `PatientDoubleBooked`.
    """
    slot = to_book.slot
    numbers = _choose(slot, to_book.claims, patient_id, rescheduled)
    for _ in range(slot.capacity + (slot.max_patients_per_day or 0) + 1):
        try:
            return await write(numbers)
        except DuplicateKeyError as error:
            seat_is_taken = breaks_index_on(error, "seat") or breaks_index_on(error, "reserved_seat")
            if seat_is_taken and slot.capacity == 1:
                raise SlotTaken from None
            if seat_is_taken or breaks_index_on(error, "daily_number"):
                numbers = _choose(slot, await _read_claims(slot), patient_id, rescheduled)
            elif breaks_index_on(error, "ticks"):
                raise PatientDoubleBooked from None
            else:
                raise
    raise SlotTaken


async def _read_claims(slot: BookableSlot) -> Sequence[Row]:
    day = None if slot.max_patients_per_day is None else (slot.doctor_id, slot.day)
    return await scheduling.find_claims(slot.id, of_doctors_day=day)


def _choose(
    slot: BookableSlot, claims: Sequence[Row], patient_id: PydanticObjectId, rescheduled: Appointment | None
) -> SeatNumbers:
    """Chooses a seat and a daily number that nobody has. Raises `SlotTaken` or `DayFull`."""
    own_id = rescheduled.id if rescheduled else None
    others = [claim for claim in claims if claim["_id"] != own_id]
    in_slot = [claim for claim in others if claim["slot_id"] == slot.id and claim["active"]]
    taken = {claim[field] for claim in in_slot for field in ("seat", "reserved_seat") if field in claim}
    seats = range(slot.first_seat, slot.first_seat + slot.capacity)
    seat = _pick([seat for seat in seats if seat not in taken], patient_id)
    if seat is None:
        raise SlotTaken
    if rescheduled and (rescheduled.doctor_id, rescheduled.clinic_day) == (slot.doctor_id, slot.day):
        return SeatNumbers(seat, rescheduled.daily_number)  # they are counted on this day already
    if slot.max_patients_per_day is None:
        return SeatNumbers(seat, None)
    on_day = {"doctor_id": slot.doctor_id, "clinic_day": slot.day}
    that_day = [claim for claim in others if all(claim.get(field) == on_day[field] for field in on_day)]
    number = _pick(_free_daily_numbers(slot.max_patients_per_day, that_day), patient_id)
    if number is None:
        raise DayFull
    return SeatNumbers(seat, number)


def _free_daily_numbers(limit: int, that_day: Sequence[Row]) -> list[int]:
    """Returns the numbers of the day that may be tried.

    Some patients of the day may have no number, or one above the limit: they were booked before the limit was set or
    lowered, or a correction brought them back. The highest free numbers are left free, one for each of them. Every
    booking leaves that many, so the numbers run out when the day is full, whatever was read and however many book at
    once.
    """
    numbers = {claim.get("daily_number") for claim in that_day}
    room = max(0, limit - len(that_day))
    return [number for number in range(limit) if number not in numbers][:room]


def _pick(free: Sequence[int], patient_id: PydanticObjectId) -> int | None:
    """Picks a different one for different patients, so that many who book at once seldom try the same."""
    counter = int.from_bytes(patient_id.binary[-3:], "big")
    return free[counter % len(free)] if free else None


async def alternatives_to(slot_id: PydanticObjectId) -> list[SlotOut]:
    """Returns the same doctor's next three free slots. The hundreds who lose a race for one seat share the reads."""
    return await _alternatives.load(slot_id, _next_free_beside)


async def _next_free_beside(slot_id: PydanticObjectId) -> list[SlotOut]:
    slot = await scheduling.find_slot(slot_id)
    return [] if slot is None else [SlotOut.of(found) for found in await next_free(slot.doctor_id)]


_alternatives: SingleFlight[PydanticObjectId, list[SlotOut]] = SingleFlight()


def same_seat_in_later_generations(seat: int) -> range:
    """Returns the seat and its counterparts in later generations: a withdrawal may have started a new one."""
    return range(seat, seat + SEATS_PER_GENERATION * _MOST_GENERATIONS, SEATS_PER_GENERATION)


async def seat_freed(before: Appointment, after: Appointment) -> None:
    """Makes a freed seat findable. Call it once an appointment has left the slot it had `before`.

    It clears the hint by which searches skip full slots, if `after`, which the write returned, says that there may
    be one. If the slot was withdrawn, it kept its time only for its patients: the doctor's slots are then brought
    up to date.
    """
    if after.clears_full_hint:
        await clear_hints_of_day(doctor_id=before.doctor_id, day=before.clinic_day, start=before.start)
    if before.seat >= SEATS_PER_GENERATION:
        await request_sync(before.doctor_id)
