"""Single slots, and ranges of them, that staff add and remove."""

import asyncio
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.profiles import WEEK
from backend.core.clock import utc_now
from backend.directory.doctors import profile_of
from backend.directory.fields import block_minutes
from backend.scheduling import availability, errors
from backend.scheduling import repository as claims
from backend.scheduling.availability_inputs import DoctorSchedule, read_schedule, slot_for
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.decisions.withdrawals import begin, settle
from backend.scheduling.documents import SeatClaim, Slot, SlotSource, SlotState
from backend.scheduling.schemas import GenerateIn
from backend.scheduling.slots import repository
from backend.scheduling.slots.capacity import OpenSlot, with_free_seats
from backend.scheduling.slots.slot_sync import SyncResult, open_slots, reconcile
from backend.scheduling.slots.withdrawal import remove, withdraw, withdraw_removed_too

MOST_AT_ONCE = 5000


async def create_slot(
    *, doctor_id: PydanticObjectId, clinic_id: PydanticObjectId, start: datetime, minutes: int | None, capacity: int
) -> Slot:
    """Adds one slot and returns it. Start UTC, length in minutes.

    Raises `DoctorNotFound`, `NotTheDoctorsClinic`, `StartNotAligned`, `InThePast`, `BeyondHorizon`,
    `OutsideOpeningHours`, `TimeNotAvailable`, and `SlotOverlaps` if another slot holds the doctor's time.
    """
    schedule = await read_schedule(doctor_id, now=utc_now())
    length = timedelta(minutes=minutes or _usual_minutes(schedule, clinic_id))
    span = availability.Span(start, start + length)
    _check(schedule, clinic_id, span)
    if not await _make_room(doctor_id, [span]):
        raise errors.SlotOverlaps
    added = await _add(schedule, clinic_id=clinic_id, spans=[span], capacity=capacity)
    if not added:
        _check(await read_schedule(doctor_id, now=utc_now()), clinic_id, span)
        raise errors.SlotOverlaps
    return added[0]


async def generate_slots(wanted: GenerateIn) -> int:
    """Adds the slots of a range of days and returns how many were new. It skips time that other slots hold.

    Without `start` and `end` the range gets the slots of the weekly hours. Either way, slots that staff removed come
    back. Raises `DoctorNotFound`, `NotTheDoctorsClinic`, `BeyondHorizon`, `TooManySlots`.
    """
    now = utc_now()
    schedule = await read_schedule(wanted.doctor_id, now=now)
    clinic = _clinic(schedule, wanted.clinic_id)
    zone = ZoneInfo(clinic.time_zone)
    if wanted.last_day > availability.last_day(clinic, now):
        raise errors.BeyondHorizon
    days = _days(wanted, since=availability.local_day(now, zone))
    if wanted.start is None or wanted.end is None:
        return await _generate_weekly(wanted, days)
    length = wanted.minutes or _usual_minutes(schedule, wanted.clinic_id)
    wall = availability.WallBlock(0, *block_minutes(wanted.start, wanted.end))
    if len(days) * ((wall.end - wall.start) // length) > MOST_AT_ONCE:
        raise errors.TooManySlots
    cut = (span for day in days for span in availability.cut(wall, day, length, zone) if span.start > now)
    spans = await _possible(schedule, wanted.clinic_id, cut, now)
    room = await _make_room(wanted.doctor_id, spans)
    added = await _add(schedule, clinic_id=wanted.clinic_id, spans=room, capacity=wanted.capacity)
    return len(added)


async def remove_slot(slot: Slot) -> list[SeatClaim]:
    """Removes a slot and returns its active appointments; then nobody can book it any more. Raises `SlotNotFound`."""
    withdrawal = await begin(CauseKind.SLOT, subject=slot.id, doctor_id=slot.doctor_id)
    if not await remove(slot.id):
        await settle(withdrawal)
        raise errors.SlotNotFound
    await settle(withdrawal)
    return await claims.find_booked_in([slot])


async def set_capacity(slot: Slot, capacity: int) -> tuple[OpenSlot, SyncResult, list[SeatClaim]]:
    """Changes how many patients can book a slot. It keeps its id, and its capacity when the weekly hours change.

    With more active appointments than seats it stays closed until enough of them are cancelled; meanwhile they need a
    decision. Returns the slot, and its appointments if it isn't open. Raises `SlotNotFound`, `ScheduleBusy`.
    """
    withdrawal = await begin(CauseKind.HOURS, doctor_id=slot.doctor_id)
    if not await repository.set_capacity(slot.id, capacity):
        await settle(withdrawal)
        raise errors.SlotNotFound
    result = await reconcile(slot.doctor_id)
    await settle(withdrawal)
    changed = await claims.find_slot(slot.id)
    if changed is None:
        raise errors.SlotNotFound
    stored = changed.model_dump(by_alias=True, exclude_none=True)
    if changed.is_active and changed.state is SlotState.OPEN:
        (counted,) = await with_free_seats([stored])
        return counted, result, []
    shown = OpenSlot({**stored, "capacity": capacity}, free=0)
    return shown, result, await claims.find_booked_in([changed])


async def get_slot(slot_id: PydanticObjectId) -> Slot:
    """Returns a slot that isn't over, open or not, unless staff removed it. Raises `SlotNotFound`."""
    coming = {"_id": slot_id, "end": {"$gt": utc_now()}, "state": {"$ne": SlotState.REMOVED}}
    for slot in await repository.find_active(coming):
        return slot
    raise errors.SlotNotFound


def _days(wanted: GenerateIn, *, since: date) -> list[date]:
    """Returns the days of the range from `since` on: it may begin in any year, but the past gets no slots."""
    weekdays = {WEEK.index(day) for day in wanted.weekdays or WEEK}
    first = max(wanted.first_day, since)
    days = (first + timedelta(days=number) for number in range((wanted.last_day - first).days + 1))
    return [day for day in days if day.weekday() in weekdays]


async def _generate_weekly(wanted: GenerateIn, days: list[date]) -> int:
    """Brings back the slots of the weekly hours that staff removed on these days. Returns how many slots are new."""
    on_days = {"$in": [day.isoformat() for day in days]}
    there = {"doctor_id": wanted.doctor_id, "clinic_id": wanted.clinic_id, "day": on_days}
    before = await repository.find_coming_ids({**there, "state": SlotState.OPEN})
    withdrawal = await begin(CauseKind.HOURS, doctor_id=wanted.doctor_id)
    await withdraw_removed_too(await repository.find_coming_ids({**there, "state": SlotState.REMOVED}))
    await reconcile(wanted.doctor_id)
    await settle(withdrawal)
    return len(await repository.find_coming_ids({**there, "state": SlotState.OPEN}) - before)


def _clinic(schedule: DoctorSchedule, clinic_id: PydanticObjectId) -> availability.ClinicInputs:
    if clinic_id not in schedule.inputs.clinics:
        raise errors.NotTheDoctorsClinic
    return schedule.inputs.clinics[clinic_id]


async def _possible(
    schedule: DoctorSchedule, clinic_id: PydanticObjectId, spans: Iterable[availability.Span], now: datetime
) -> list[availability.Span]:
    """Returns the spans in which the doctor could see patients. In a thread: thousands would hold up all requests."""
    return await asyncio.to_thread(
        lambda: [span for span in spans if availability.is_possible(schedule.inputs, clinic_id, span, now)]
    )


def _usual_minutes(schedule: DoctorSchedule, clinic_id: PydanticObjectId) -> int:
    _clinic(schedule, clinic_id)
    return profile_of(schedule.doctor).slot_minutes or schedule.clinics[clinic_id].rules.slot_minutes


def _check(schedule: DoctorSchedule, clinic_id: PydanticObjectId, span: availability.Span) -> None:
    """Raises the reason why a slot isn't possible; `availability.is_possible` decides."""
    clinic, now = _clinic(schedule, clinic_id), utc_now()
    if not availability.on_grid(span.start):
        raise errors.StartNotAligned
    if span.start <= now:
        raise errors.InThePast
    if span.start >= availability.bookable_until(clinic, now):
        raise errors.BeyondHorizon
    if not availability.is_possible(schedule.inputs, clinic_id, span, now):
        is_away = any(absence.overlaps(span) for absence in (*schedule.inputs.leaves, *clinic.closures))
        if is_away or not (schedule.inputs.is_active and clinic.is_active):
            raise errors.TimeNotAvailable
        raise errors.OutsideOpeningHours


async def _add(
    schedule: DoctorSchedule, *, clinic_id: PydanticObjectId, spans: list[availability.Span], capacity: int
) -> list[Slot]:
    """Inserts slots that staff add, and opens them. Returns those that are open.

    They are stored before they are offered. A leave or a closure that was written since the schedule was read either
    shows when it is read again, or finds the slots and withdraws them.
    """
    offers = [availability.Offer(clinic_id, span, capacity) for span in spans]
    slots = [slot_for(schedule, offer, source=SlotSource.STAFF) for offer in offers]
    await repository.insert_new(slots)
    now = utc_now()
    again = await read_schedule(schedule.doctor.user_id, now=now)
    added = {"_id": {"$in": [slot.id for slot in slots]}}
    written = {availability.Span(s.start, s.end): s for s in await repository.find_active(added)}
    fitting = [written.pop(span) for span in await _possible(again, clinic_id, list(written), now)]
    await withdraw(slot.id for slot in written.values())
    await open_slots(again, [slot for slot in fitting if slot.state is SlotState.PENDING])
    return await repository.find_active({**added, "state": SlotState.OPEN})


async def _make_room(doctor_id: PydanticObjectId, spans: list[availability.Span]) -> list[availability.Span]:
    """Withdraws slots that only hold their time: closed or removed, and nobody is booked in them any more.

    Returns the spans that no other slot holds. Slots that overlap the other spans stay as they are.
    """
    if not spans:
        return []
    earliest = min(span.start for span in spans) - timedelta(minutes=availability.MOST_SLOT_MINUTES)
    near = {"$gt": earliest, "$lt": max(span.end for span in spans)}
    present = await repository.find_active({"doctor_id": doctor_id, "start": near})
    withdrawn = {s.id: s for s in present if s.state in (SlotState.CLOSED, SlotState.REMOVED)}
    booked = await claims.find_booked_slots(withdrawn)
    empty = {slot_id: slot for slot_id, slot in withdrawn.items() if slot_id not in booked}
    held = {tick for slot in present if slot.id not in empty for tick in slot.ticks}
    room = [span for span in spans if held.isdisjoint(availability.ticks(span))]
    needed = {tick for span in room for tick in availability.ticks(span)}
    await withdraw_removed_too(id_ for id_, slot in empty.items() if not needed.isdisjoint(slot.ticks))
    return room
