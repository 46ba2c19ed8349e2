"""Cancels the appointments of those who were asked to confirm and kept silent."""

import logging
from datetime import datetime, timedelta

from backend.appointments import transitions
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.permissions import SYSTEM
from backend.appointments.reminders.timetable import silence_cancels
from backend.core.clock import EPOCH, utc_now
from backend.core.events import Signal
from backend.core.http.errors import Conflict
from backend.directory.clinics import read_clinics
from backend.scheduling.unavailability import called_off

log = logging.getLogger(__name__)

LATEST = timedelta(minutes=10)
"""How long after its deadline an appointment is still cancelled. Later, nobody was there to hear an answer either."""

deadline_missed: Signal[Appointment] = Signal()
"""An appointment that nobody has confirmed and that is not cancelled, for the deadline passed unattended."""

_BATCH = 200


async def cancel_unconfirmed() -> int:
    """Cancels every appointment whose deadline has passed in silence. Answers how many.

    Any number of processes may run it at once: the step itself is granted to one. Where the clinic is closed or the
    doctor away, silence means nothing either, nor where the clinic has come to cancel nobody.
    """
    cancelled = 0
    while batch := await _due(utc_now()):
        clinics = await read_clinics(appointment.clinic_id for appointment in batch)
        for appointment, is_off in zip(batch, await called_off(batch, clinics), strict=True):
            counts = not is_off and silence_cancels(clinics[appointment.clinic_id].rules) > 0
            cancelled += await _decide(appointment, silence_counts=counts)
    return cancelled


async def _due(now: datetime) -> list[Appointment]:
    found = Appointment.find({"auto_cancel_at": {"$gt": EPOCH, "$lte": now}})
    return await found.sort("auto_cancel_at").limit(_BATCH).to_list()


async def _decide(appointment: Appointment, *, silence_counts: bool) -> int:
    assert appointment.auto_cancel_at is not None  # noqa: S101 - it was found by that
    unattended = utc_now() - appointment.auto_cancel_at > LATEST
    if appointment.status is Status.SCHEDULED and silence_counts and not unattended:
        try:
            await transitions.cancel_silent(appointment, SYSTEM)
        except AppointmentChanged:
            return 0  # by an answer or by no more than a note: as it is now it is read again
        except Conflict as refusal:
            log.info("appointment %s is no longer due to be cancelled: %s", appointment.id, refusal.code)
        else:
            return 1
    if unattended and appointment.status is Status.SCHEDULED:
        await deadline_missed.send(appointment)
    # This strikes the deadline that was read, and no other that a change has set since.
    await Appointment.get_pymongo_collection().update_one(
        {"_id": appointment.id, "auto_cancel_at": appointment.auto_cancel_at},
        {"$unset": {"auto_cancel_at": ""}},
    )
    return 0
