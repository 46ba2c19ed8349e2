"""Fit-ins: appointments that the staff make over taken time, or after hours. What scheduling knows of them.

A fit-in takes a seat in each open slot of its time that has a free one, so that nobody else books what the doctor no
longer has. In a full slot it has none: the slot is then among its `overbooked_slots`. Without a seat there is nothing
that a withdrawal can block. So both sides write first and read after: a withdrawal is stored, then reads the
appointments in its time; a fit-in is stored, then `mark_if_withdrawn` reads what withdraws its time. Where one
doesn't see the other, the other sees it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.core.clock import utc_now
from backend.directory.clinics import read_clinics
from backend.directory.doctors import profile_of
from backend.scheduling import errors
from backend.scheduling import repository as claims
from backend.scheduling.availability import (
    MOST_SLOT_MINUTES,
    Span,
    bookable_until,
    local_day,
    on_grid,
    ticks,
)
from backend.scheduling.availability_inputs import DoctorSchedule
from backend.scheduling.decisions import repository as decisions
from backend.scheduling.decisions.documents import CauseKind, DecisionCause, Withdrawal
from backend.scheduling.decisions.withdrawals import begin, elsewhere_now, settle
from backend.scheduling.documents import EITHER, SeatClaim, Slot, SlotState
from backend.scheduling.hours.repository import find_active_ids, find_leave_of_doctors
from backend.scheduling.slots import repository as slots
from backend.scheduling.slots.slot_sync import reconcile
from backend.scheduling.zone_correction import correct_coming

LEFT_AFTER = timedelta(minutes=2)
"""After so long the process that stored a fit-in doesn't check it any more: longer than any request."""


@dataclass(frozen=True, slots=True)
class FitInPlace:
    """Where and when a fit-in takes place, with the names that it shows. UTC, `day` is the clinic's."""

    doctor_id: PydanticObjectId
    doctor_name: str
    specialty: str
    department_id: PydanticObjectId | None
    clinic_id: PydanticObjectId
    clinic_name: str
    time_zone: str
    day: str
    start: datetime
    end: datetime
    ticks: list[int]


def place_at(schedule: DoctorSchedule, clinic_id: PydanticObjectId, *, start: datetime, minutes: int) -> FitInPlace:
    """Returns the place of a fit-in at one of the doctor's clinics. Start UTC, length in minutes.

    The weekly hours and the opening hours don't matter, whether somebody is there does. Raises `NotTheDoctorsClinic`,
    `StartNotAligned`, `InThePast` if it would be over, `BeyondHorizon`, and `TimeNotAvailable` during leave or a
    closure, and for an inactive doctor or clinic.
    """
    inputs, now, span = schedule.inputs, utc_now(), Span(start, start + timedelta(minutes=minutes))
    if clinic_id not in inputs.clinics:
        raise errors.NotTheDoctorsClinic
    clinic = inputs.clinics[clinic_id]
    if not on_grid(start):
        raise errors.StartNotAligned
    if span.end <= now:
        raise errors.InThePast
    if start >= bookable_until(clinic, now):
        raise errors.BeyondHorizon
    is_away = any(absence.overlaps(span) for absence in (*inputs.leaves, *clinic.closures))
    if is_away or not (inputs.is_active and clinic.is_active):
        raise errors.TimeNotAvailable
    shown = schedule.clinics[clinic_id]
    profile = profile_of(schedule.doctor)
    return FitInPlace(
        doctor_id=schedule.doctor.user_id,
        doctor_name=schedule.doctor.name,
        specialty=profile.specialty,
        department_id=profile.department_id,
        clinic_id=clinic_id,
        clinic_name=shown.name,
        time_zone=shown.time_zone,
        day=local_day(start, shown.zone).isoformat(),
        start=start,
        end=span.end,
        ticks=ticks(span),
    )


async def find_slots_in_time(place: FitInPlace) -> list[Slot]:
    """Returns the doctor's open slots that overlap a fit-in, by start, also those at another clinic."""
    begun = {"$gt": place.start - timedelta(minutes=MOST_SLOT_MINUTES), "$lt": place.end}
    during = {"doctor_id": place.doctor_id, "start": begun, "end": {"$gt": place.start}}
    return await slots.find_active({**during, "state": SlotState.OPEN, "is_online": EITHER, "known_full": EITHER})


async def mark_if_withdrawn(appointment_id: PydanticObjectId) -> None:
    """Marks a fit-in as needing a decision if its time was withdrawn while it was being stored. Safe to repeat.

    Every such withdrawal is settled once more: that finds all its appointments, and notices if it was undone
    meanwhile. Raises `ScheduleBusy`.
    """
    for fit_in in await claims.find_booked({"_id": appointment_id}):
        for withdrawal in await _withdrawals_of(fit_in):
            await settle(withdrawal)
        await _mark_if_without_slot(fit_in)


async def _withdrawals_of(fit_in: SeatClaim) -> list[Withdrawal]:
    """Returns what withdraws the time of a fit-in, stored as withdrawals that have to be settled."""
    doctor_id, clinic_id, start, end = fit_in.doctor_id, fit_in.clinic_id, fit_in.start, fit_in.end
    if doctor_id is None or clinic_id is None or start is None or end is None:
        return []  # a block, which is no appointment
    found = [
        await begin(CauseKind.LEAVE, subject=leave.id, doctor_id=doctor_id)
        for leave in await find_leave_of_doctors([doctor_id], since=start)
        if leave.start < end
    ]
    if doctor_id not in await find_active_ids([doctor_id]):
        found.append(await begin(CauseKind.DOCTOR, subject=doctor_id, doctor_id=doctor_id))
    for clinic in (await read_clinics([clinic_id])).values():
        for closure in clinic.closures:
            if closure.start < end and closure.end > start:
                found.append(await begin(CauseKind.CLOSURE, subject=closure.id, clinic_id=clinic_id))
        if not clinic.is_active:
            found.append(await begin(CauseKind.CLINIC, subject=clinic_id, clinic_id=clinic_id))
        if clinic.time_zone != fit_in.time_zone:
            await correct_coming(clinic, _id=fit_in.id)
    return found


async def _mark_if_without_slot(fit_in: SeatClaim) -> None:
    """Marks a fit-in if a slot of its time was withdrawn, or the doctor doesn't work at the clinic any more."""
    if await _has_its_place(fit_in) or fit_in.doctor_id is None:
        return
    await reconcile(fit_in.doctor_id)  # a slot that only changes its capacity opens again
    if not await _has_its_place(fit_in):
        cause = DecisionCause(kind=CauseKind.HOURS, since=utc_now())
        await decisions.mark([fit_in], cause, only_unmarked=True)


async def _has_its_place(fit_in: SeatClaim) -> bool:
    if await elsewhere_now([fit_in]):
        return False
    ids = set(fit_in.slot_ids)
    return not ids or len(await slots.find_active({"_id": {"$in": list(ids)}, "state": SlotState.OPEN})) == len(ids)


async def give_freed_seats(slot_ids: Sequence[PydanticObjectId]) -> None:
    """Gives seats that have become free in slots to the fit-ins there that have none, before others can book them."""
    fit_ins = await claims.find_overbooking(slot_ids)
    if not fit_ins:
        return
    wanted = {slot_id for fit_in in fit_ins for slot_id in fit_in.overbooked_slots or () if slot_id in slot_ids}
    open_slots = await slots.find_active({"_id": {"$in": list(wanted)}, "state": SlotState.OPEN})
    for slot in open_slots:
        held = await claims.find_claims([slot.id], of_doctors_day=None)
        taken = {
            each[name]
            for claim in held
            for each in claim["seats"]
            if each["slot"] == slot.id
            for name in ("seat", "reserved")
            if name in each
        }
        free = [seat for seat in range(slot.first_seat, slot.first_seat + slot.capacity) if seat not in taken]
        waiting = [fit_in for fit_in in fit_ins if slot.id in (fit_in.overbooked_slots or ())]
        for fit_in, seat in zip(waiting, free, strict=False):
            try:
                await claims.give_seat(fit_in, slot.id, seat)
            except DuplicateKeyError:
                continue  # somebody else was faster, and the slot stays overbooked
