"""Allocating seats: one in each slot of a visit. Reads only choose which to try; the unique indexes decide."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.appointments.booking.slot_to_book import SlotToBook
from backend.appointments.documents import Appointment
from backend.appointments.errors import (
    DayFull,
    NotEnoughTime,
    PatientDoubleBooked,
    SlotNotOpen,
    SlotTaken,
    VisitTypeNotOffered,
)
from backend.core.mongo.batching import SingleFlight
from backend.core.mongo.updates import breaks_index_on
from backend.scheduling import repository as scheduling
from backend.scheduling.documents import SEATS_PER_GENERATION, HeldSeat, Slot
from backend.scheduling.fit_ins import give_freed_seats
from backend.scheduling.hours.repository import request_sync
from backend.scheduling.repository import Row
from backend.scheduling.schemas import SlotOut
from backend.scheduling.slots.capacity import BookableSlot, count_seats
from backend.scheduling.slots.runs import NoRun, Run, Visit, beside, find_slots, is_offered_in
from backend.scheduling.slots.search import find_alternatives
from backend.scheduling.slots.search_repository import clear_hints_of_day, find_open_of_doctor

T = TypeVar("T")

_MOST_GENERATIONS = 50


@dataclass(frozen=True, slots=True)
class SeatNumbers:
    """A seat to try in each slot and, where the doctor has a limit of patients per day, a number of that day."""

    seats: Sequence[int]
    daily_number: int | None

    def held_in(self, run: Run) -> list[dict[str, Any]]:
        """Returns the `seats` of an appointment that takes them."""
        return [
            {"slot": slot.id, "seat": seat, "reserved": seat}
            for slot, seat in zip(run.slots, self.seats, strict=True)
        ]


async def read_run(
    to_book: SlotToBook, visit: Visit | None, *, rescheduled: Appointment | None = None
) -> tuple[Run, Sequence[Row]]:
    """Returns the slots that a visit takes, and the claims on them; without a visit type it is the one slot.

    The seats of `rescheduled`, the appointment that moves there, count as free. Raises `SlotNotOpen`, `SlotTaken`,
    `NotEnoughTime`, `VisitTypeNotOffered`.
    """
    slot = to_book.slot
    if visit is None:
        return Run.of_slot(slot), to_book.claims
    until = slot.start + visit.whole
    rows = await find_open_of_doctor(slot.doctor_id, at=slot.clinic_id, since=slot.start, until=until)
    first = next((row for row in rows if row["_id"] == slot.id), None)
    if first is None:
        raise SlotNotOpen
    if not is_offered_in(first, visit):
        raise VisitTypeNotOffered
    day = None if slot.max_patients_per_day is None else (slot.doctor_id, slot.day)
    claims = await scheduling.find_claims([row["_id"] for row in rows], of_doctors_day=day)
    own_id = rescheduled.id if rescheduled else None
    holding = [claim for claim in claims if claim["active"] and claim["_id"] != own_id]
    slots = find_slots(first, beside(count_seats(rows, holding)), visit)
    if isinstance(slots, NoRun):
        if slots is NoRun.TOO_SHORT:
            raise NotEnoughTime
        raise SlotTaken
    return Run.of_visit(slots, visit), claims


async def allocate_seats(
    run: Run,
    claims: Sequence[Row],
    *,
    patient_id: PydanticObjectId,
    write: Callable[[SeatNumbers], Awaitable[T]],
    rescheduled: Appointment | None = None,
) -> T:
    """Calls `write` with a free seat in each slot, and with others until the indexes accept them.

    Returns what `write` returns. A refusal means that somebody else took one of the seats or the daily number
    meanwhile, so the claims are read again. There are as many attempts as seats and numbers. `rescheduled` is the
    appointment that the write moves here, if it does. Raises `SlotTaken`, `DayFull`, `PatientDoubleBooked`.
    """
    numbers = _choose(run, claims, patient_id, rescheduled)
    seats = sum(slot.capacity for slot in run.slots)
    for _ in range(seats + (run.first.max_patients_per_day or 0) + 1):
        try:
            return await write(numbers)
        except DuplicateKeyError as error:
            slot = _slot_taken(error, run)
            if slot is not None and slot.capacity == 1:
                raise SlotTaken from None
            if slot is not None or breaks_index_on(error, "daily_number"):
                numbers = _choose(run, await _read_claims(run), patient_id, rescheduled)
            elif breaks_index_on(error, "ticks"):
                raise PatientDoubleBooked from None
            else:
                raise
    raise SlotTaken


def _slot_taken(error: DuplicateKeyError, run: Run) -> BookableSlot | None:
    """Returns the slot whose seat was taken; None if it wasn't a seat that the index refused."""
    if not breaks_index_on(error, "seats.slot"):
        return None
    key = (error.details or {}).get("keyValue", {})
    return next(slot for slot in run.slots if slot.id == key["seats.slot"])


async def _read_claims(run: Run) -> Sequence[Row]:
    first = run.first
    day = None if first.max_patients_per_day is None else (first.doctor_id, first.day)
    return await scheduling.find_claims([slot.id for slot in run.slots], of_doctors_day=day)


def _choose(
    run: Run, claims: Sequence[Row], patient_id: PydanticObjectId, rescheduled: Appointment | None
) -> SeatNumbers:
    """Chooses seats and a daily number that nobody has. Raises `SlotTaken` or `DayFull`."""
    own_id = rescheduled.id if rescheduled else None
    others = [claim for claim in claims if claim["_id"] != own_id]
    held = [held for claim in others if claim["active"] for held in claim["seats"]]
    slot = run.first
    seats = [seat for each in run.slots if (seat := choose_seat(each, held, patient_id)) is not None]
    if len(seats) < len(run.slots):
        raise SlotTaken
    if rescheduled and (rescheduled.doctor_id, rescheduled.clinic_day) == (slot.doctor_id, slot.day):
        return SeatNumbers(seats, rescheduled.daily_number)  # they are counted on this day already
    if slot.max_patients_per_day is None:
        return SeatNumbers(seats, None)
    on_day = {"doctor_id": slot.doctor_id, "clinic_day": slot.day}
    that_day = [claim for claim in others if all(claim.get(field) == on_day[field] for field in on_day)]
    number = _pick(_free_daily_numbers(slot.max_patients_per_day, that_day), patient_id)
    if number is None:
        raise DayFull
    return SeatNumbers(seats, number)


def choose_seat(slot: BookableSlot | Slot, held: Sequence[Row], patient_id: PydanticObjectId) -> int | None:
    """Returns a seat of a slot that is not among those held; None if there is none."""
    taken = {each[name] for each in held if each["slot"] == slot.id for name in ("seat", "reserved") if name in each}
    seats = range(slot.first_seat, slot.first_seat + slot.capacity)
    return _pick([seat for seat in seats if seat not in taken], patient_id)


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
    # A hash: the ids of patients who registered one after the other differ by a fixed number.
    return free[crc32(patient_id.binary) % len(free)] if free else None


_Wanted = tuple[PydanticObjectId, Visit | None, bool]


async def alternatives_to(slot_id: PydanticObjectId, *, visit: Visit | None, for_staff: bool) -> list[SlotOut]:
    """Returns what can be booked in place of a slot, by patients or by the staff: see `find_alternatives`.

    The hundreds who lose a race for one seat share the reads.
    """
    return await _alternatives.load((slot_id, visit, for_staff), _find_alternatives)


async def _find_alternatives(wanted: _Wanted) -> list[SlotOut]:
    slot_id, visit, for_staff = wanted
    slot = await scheduling.find_slot(slot_id)
    if slot is None:
        return []
    return [SlotOut.of(found) for found in await find_alternatives(slot, visit, for_staff=for_staff)]


_alternatives: SingleFlight[_Wanted, list[SlotOut]] = SingleFlight()


def same_seats_in_later_generations(seats: Sequence[HeldSeat]) -> Iterator[list[HeldSeat]]:
    """Yields the seats and their counterparts in later generations: a withdrawal may have started a new one."""
    for above in range(0, SEATS_PER_GENERATION * _MOST_GENERATIONS, SEATS_PER_GENERATION):
        numbers = [(held.slot, held.seat + above) for held in seats]
        yield [HeldSeat(slot=slot, seat=seat, reserved=seat) for slot, seat in numbers]


async def seats_freed(before: Appointment, after: Appointment) -> None:
    """Makes freed seats findable. Call it once an appointment has left the slots it had `before`.

    It clears the hint by which searches skip full slots, if `after`, which the write returned, says that there may
    be one, and gives the seats to fit-ins that overbook the slots. If the slot was withdrawn, it kept its time only
    for its patients: the doctor's slots are then brought up to date.
    """
    if after.clears_full_hint:
        await give_freed_seats([*before.slot_ids, *after.slot_ids])  # one may have been given to a fit-in meanwhile
        await clear_hints_of_day(
            doctor_id=before.doctor_id, day=before.clinic_day, start=before.start, slot_ids=before.slot_ids
        )
    if before.overbooked_slots or any(held.seat >= SEATS_PER_GENERATION for held in before.seats):
        await request_sync(before.doctor_id)
