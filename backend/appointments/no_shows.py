"""Marks no-shows: appointments whose patient didn't arrive within the clinic's grace period."""

import logging

from backend.appointments import repository, transitions
from backend.appointments.decisions import not_taking_place
from backend.appointments.documents import Appointment
from backend.appointments.lifecycle import no_show_due
from backend.appointments.permissions import SYSTEM
from backend.core.clock import utc_now
from backend.core.http.errors import Conflict
from backend.directory.clinics import read_clinics

log = logging.getLogger(__name__)

_BATCH = 200


async def mark_no_shows() -> int:
    """Marks every appointment whose grace period is over and whose patient isn't checked in. Returns how many.

    What the clinic called off is nobody's no-show.

    Any number of processes may run it at once: only one of them can make the transition.
    """
    marked, last, now = 0, None, utc_now()
    while True:
        batch = await repository.find_not_arrived(started_by=now, after=last, limit=_BATCH)
        clinics = await read_clinics(appointment.clinic_id for appointment in batch)
        for appointment, is_off in zip(batch, await not_taking_place(batch, clinics), strict=True):
            if not is_off and no_show_due(appointment, clinics[appointment.clinic_id].rules) <= now:
                marked += await _mark(appointment)
        if len(batch) < _BATCH:
            return marked
        last = (batch[-1].start, batch[-1].appointment_id)


async def _mark(appointment: Appointment) -> int:
    try:
        await transitions.no_show(appointment, SYSTEM)
    except Conflict as refusal:
        # Somebody checked in, cancelled, rescheduled or marked it since it was read.
        log.info("appointment %s is no longer due as a no-show: %s", appointment.id, refusal.code)
        return 0
    return 1
