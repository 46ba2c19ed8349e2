"""Single slots and ranges of them, made and taken out by hand."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.profiles import WEEK
from backend.core.clock import utc_now
from backend.core.http.fields import minutes_of
from backend.directory.errors import DoctorNotFound
from backend.scheduling import availability
from backend.scheduling.availability_inputs import DoctorSchedule, read_schedule, slot_for
from backend.scheduling.documents import SeatClaim, Slot, SlotSource, SlotState
from backend.scheduling.errors import (
    BeyondHorizon,
    InThePast,
    NotTheDoctorsClinic,
    OutsideOpeningHours,
    SlotNotFound,
    SlotOverlaps,
    StartNotAligned,
    TimeNotAvailable,
    TooManySlots,
)
from backend.scheduling.schemas import GenerateIn
from backend.scheduling.slots import seats
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.search import get_open
from backend.scheduling.slots.slot_sync import insert_new, let_go, open_slots, reconcile, remove, withdraw

MOST_AT_ONCE = 5000


async def create_slot(
    *,
    doctor_id: PydanticObjectId,
    clinic_id: PydanticObjectId,
    start: datetime,
    minutes: int | None,
    capacity: int,
) -> Slot:
    """Adds one slot. Start UTC, length in minutes.

    Raises `DoctorNotFound`, `NotTheDoctorsClinic`, `StartNotAligned`, `InThePast`, `BeyondHorizon`,
    `OutsideOpeningHours`, `TimeNotAvailable`, and `SlotOverlaps` when the doctor's time is held already.
    """
    book = await _book_of(doctor_id)
    length = minutes or _usual_minutes(book, clinic_id)
    span = availability.Span(start, start + timedelta(minutes=length))
    _check(book, clinic_id, span)
    if not await _make_room(doctor_id, [span]):
        raise SlotOverlaps
    added = await _add(book, clinic_id=clinic_id, spans=[span], capacity=capacity)
    if not added:
        _check(await _book_of(doctor_id), clinic_id, span)
        raise SlotOverlaps
    return added[0]


async def generate_slots(wanted: GenerateIn) -> int:
    """Adds the slots of a range of days and says how many were new. Time that is held already is passed over.

    Without hours of its own the range gets the slots of the weekly hours. Either way what was removed by hand comes
    back. Raises `DoctorNotFound`, `NotTheDoctorsClinic`, `BeyondHorizon`, `TooManySlots`.
    """
    book = await _book_of(wanted.doctor_id)
    clinic = _clinic(book, wanted.clinic_id)
    now, zone = utc_now(), ZoneInfo(clinic.time_zone)
    if wanted.last_day > availability.last_day(clinic, now):
        raise BeyondHorizon
    days = _days(wanted, since=availability.local_day(now, zone))
    if wanted.start is None or wanted.end is None:
        return await _generate_weekly(wanted, days)
    length = wanted.minutes or _usual_minutes(book, wanted.clinic_id)
    wall = availability.WallBlock(0, minutes_of(wanted.start), minutes_of(wanted.end))
    if len(days) * ((wall.end - wall.start) // length) > MOST_AT_ONCE:
        raise TooManySlots
    cut = (span for day in days for span in availability.cut(wall, day, length, zone) if span.start > now)
    spans = await _possible(book, wanted.clinic_id, cut, now)
    room = await _make_room(wanted.doctor_id, spans)
    added = await _add(book, clinic_id=wanted.clinic_id, spans=room, capacity=wanted.capacity)
    return len(added)


async def remove_slot(slot: Slot) -> list[SeatClaim]:
    """Takes a slot out of the book for good. When it returns, nothing more can be booked in it.

    Answers with the active appointments in it. Raises `SlotNotFound` if it was withdrawn meanwhile.
    """
    if not await remove(slot.slot_id):
        raise SlotNotFound
    return await seats.booked({"slot_id": slot.slot_id})


async def get_slot(slot_id: PydanticObjectId) -> Slot:
    """A slot ahead that still holds its time, open or not, and wasn't removed. Raises `SlotNotFound`."""
    ahead = {"is_active": True, "start": {"$gt": utc_now()}, "state": {"$ne": SlotState.REMOVED}}
    slot = await Slot.find_one({"_id": slot_id, **ahead})
    if slot is None:
        raise SlotNotFound
    return slot


async def get_open_slot(slot_id: PydanticObjectId) -> OpenSlot:
    """A bookable slot with its free seats, if any. Raises `SlotNotFound`."""
    found = await get_open(slot_id)
    if found is None:
        raise SlotNotFound
    return found


def _days(wanted: GenerateIn, *, since: date) -> list[date]:
    """The days of the range from `since` on: the range may begin in any year, but the past gets no slots."""
    weekdays = {WEEK.index(day) for day in wanted.weekdays or WEEK}
    first = max(wanted.first_day, since)
    days = (first + timedelta(days=number) for number in range((wanted.last_day - first).days + 1))
    return [day for day in days if day.weekday() in weekdays]


async def _generate_weekly(wanted: GenerateIn, days: list[date]) -> int:
    """Lets the weekly hours bring back what was removed by hand on these days, and counts what is new on them."""
    on_these_days = {
        "doctor_id": wanted.doctor_id,
        "is_active": True,
        "start": {"$gt": utc_now()},
        "clinic_id": wanted.clinic_id,
        "day": {"$in": [day.isoformat() for day in days]},
    }

    async def found(state: SlotState) -> set[PydanticObjectId]:
        return {slot.slot_id async for slot in Slot.find({**on_these_days, "state": state})}

    before = await found(SlotState.OPEN)
    await let_go(await found(SlotState.REMOVED))
    await reconcile(wanted.doctor_id)
    return len(await found(SlotState.OPEN) - before)


async def _book_of(doctor_id: PydanticObjectId) -> DoctorSchedule:
    book = await read_schedule(doctor_id, now=utc_now())
    if book is None:
        raise DoctorNotFound
    return book


def _clinic(book: DoctorSchedule, clinic_id: PydanticObjectId) -> availability.ClinicInputs:
    if clinic_id not in book.facts.clinics:
        raise NotTheDoctorsClinic
    return book.facts.clinics[clinic_id]


async def _possible(
    book: DoctorSchedule, clinic_id: PydanticObjectId, spans: Iterable[availability.Span], now: datetime
) -> list[availability.Span]:
    """Those in which the doctor could see patients. In a thread: of thousands it would hold up all requests."""
    return await asyncio.to_thread(
        lambda: [span for span in spans if availability.is_possible(book.facts, clinic_id, span, now)]
    )


def _usual_minutes(book: DoctorSchedule, clinic_id: PydanticObjectId) -> int:
    _clinic(book, clinic_id)
    assert book.doctor.doctor is not None  # noqa: S101 - a book has a doctor
    return book.doctor.doctor.slot_minutes or book.clinics[clinic_id].rules.slot_minutes


def _check(book: DoctorSchedule, clinic_id: PydanticObjectId, span: availability.Span) -> None:
    """Says why a slot can't be; the decision itself is `rules.is_possible`."""
    clinic, now = _clinic(book, clinic_id), utc_now()
    if not availability.on_grid(span.start):
        raise StartNotAligned
    if span.start <= now:
        raise InThePast
    if span.end > availability.bookable_until(clinic, now):
        raise BeyondHorizon
    if availability.is_possible(book.facts, clinic_id, span, now):
        return
    is_away = any(stretch.overlaps(span) for stretch in (*book.facts.leaves, *clinic.closures))
    if is_away or not (book.facts.is_active and clinic.is_active):
        raise TimeNotAvailable
    raise OutsideOpeningHours


async def _add(
    book: DoctorSchedule, *, clinic_id: PydanticObjectId, spans: list[availability.Span], capacity: int
) -> list[Slot]:
    """Writes staff's slots and opens them; answers with those that are open.

    They are in the book before they are offered. A leave or a closure that was written since the facts were read
    either shows when they are read again, or finds the slots and withdraws them.
    """
    zone = ZoneInfo(book.facts.clinics[clinic_id].time_zone)
    slots = []
    for span in spans:
        slot = slot_for(
            book,
            clinic_id=clinic_id,
            span=span,
            capacity=capacity,
            day=availability.local_day(span.start, zone).isoformat(),
            ticks=availability.ticks(span),
        )
        slot.id, slot.source = PydanticObjectId(), SlotSource.STAFF
        slots.append(slot)
    await insert_new(slots)
    again, now = await _book_of(book.doctor.user_id), utc_now()
    ours = {"_id": {"$in": [slot.id for slot in slots]}, "is_active": True}
    written = {availability.Span(slot.start, slot.end): slot for slot in await Slot.find(ours).to_list()}
    fitting = [written.pop(span) for span in await _possible(again, clinic_id, list(written), now)]
    await withdraw(slot.slot_id for slot in written.values())
    await open_slots(again, [slot for slot in fitting if slot.state is SlotState.PENDING])
    return await Slot.find({**ours, "state": SlotState.OPEN}).sort("start", "_id").to_list()


async def _make_room(doctor_id: PydanticObjectId, spans: list[availability.Span]) -> list[availability.Span]:
    """Lets go of slots that only hold their time: withdrawn or removed, with nobody booked any more.

    Answers with the stretches that nothing else holds. What stands in the way of the others stays as it is.
    """
    if not spans:
        return []
    earliest = min(span.start for span in spans) - timedelta(minutes=availability.MOST_SLOT_MINUTES)
    near = {"$gt": earliest, "$lt": max(span.end for span in spans)}
    present = await Slot.find({"doctor_id": doctor_id, "is_active": True, "start": near}).to_list()
    withdrawn = {s.slot_id: s for s in present if s.state in (SlotState.CLOSED, SlotState.REMOVED)}
    booked = await seats.booked_in(withdrawn)
    empty = {slot_id: slot for slot_id, slot in withdrawn.items() if slot_id not in booked}
    held = {tick for slot in present if slot.slot_id not in empty for tick in slot.ticks}
    room = [span for span in spans if held.isdisjoint(availability.ticks(span))]
    needed = {tick for span in room for tick in availability.ticks(span)}
    await let_go(slot_id for slot_id, slot in empty.items() if not needed.isdisjoint(slot.ticks))
    return room
