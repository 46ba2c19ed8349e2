"""Cancels appointments whose patients were asked to confirm and didn't."""

import logging
from datetime import timedelta

from backend.appointments import repository, transitions
from backend.appointments.decisions import not_taking_place
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.events import deadline_missed
from backend.appointments.permissions import SYSTEM
from backend.appointments.reminders.timetable import silence_cancels
from backend.core.clock import utc_now
from backend.core.http.errors import Conflict
from backend.directory.clinics import read_clinics

log = logging.getLogger(__name__)

LATEST = timedelta(minutes=10)
"""How long after its deadline an appointment may still be cancelled. Later means that the system was down, and
couldn't have received a reply either."""

_BATCH = 200


async def cancel_unconfirmed() -> int:
    """Cancels every appointment whose deadline has passed without a confirmation. Returns how many.

    Any number of processes may run it at once: only one of them can make the transition. It cancels nothing where the
    clinic is closed, the doctor is away, or the clinic no longer cancels for silence.
    """
    cancelled = 0
    while batch := await repository.find_past_deadline(utc_now(), limit=_BATCH):
        clinics = await read_clinics(appointment.clinic_id for appointment in batch)
        for appointment, is_off in zip(batch, await not_taking_place(batch, clinics), strict=True):
            counts = not is_off and silence_cancels(clinics[appointment.clinic_id].rules) > 0
            cancelled += await _decide(appointment, silence_counts=counts)
    return cancelled


async def _decide(appointment: Appointment, *, silence_counts: bool) -> int:
    assert appointment.auto_cancel_at is not None  # noqa: S101 - the query asks for it
    is_too_late = utc_now() - appointment.auto_cancel_at > LATEST
    if appointment.status is Status.SCHEDULED and silence_counts and not is_too_late:
        try:
            await transitions.auto_cancel(appointment, SYSTEM)
        except AppointmentChanged:
            return 0  # by a reply, or only by a note: the next batch reads it again
        except Conflict as refusal:
            log.info("appointment %s is no longer due to be cancelled: %s", appointment.id, refusal.code)
        else:
            return 1
    if is_too_late and appointment.status is Status.SCHEDULED:
        await deadline_missed.send(appointment)
    await repository.clear_deadline(appointment)
    return 0
