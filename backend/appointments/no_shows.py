"""What falls due without anybody asking: no-shows."""

import logging
from datetime import datetime

from beanie import PydanticObjectId

from backend.appointments import transitions
from backend.appointments.documents import Appointment, Status
from backend.appointments.lifecycle import no_show_due
from backend.appointments.permissions import SYSTEM
from backend.core.clock import utc_now
from backend.core.http.errors import Conflict
from backend.core.http.pagination import BY_START, after, encode_cursor
from backend.directory.documents import Rules

log = logging.getLogger(__name__)

_BATCH = 200


async def mark_no_shows() -> int:
    """Marks every appointment whose grace has passed and that nobody checked in. Answers how many.

    Any number of processes may run it at once: the step itself is granted to one.
    """
    marked, cursor, now = 0, None, utc_now()
    policies: dict[PydanticObjectId, Rules] = {}
    while True:
        batch = await _begun(now, cursor)
        for appointment in batch:
            if appointment.clinic_id not in policies:
                policies[appointment.clinic_id] = await transitions.rules_of(appointment.clinic_id)
            if no_show_due(appointment, policies[appointment.clinic_id]) <= now:
                marked += await _mark(appointment)
        if len(batch) < _BATCH:
            return marked
        cursor = encode_cursor(batch[-1].start, batch[-1].appointment_id)


async def _begun(now: datetime, cursor: str | None) -> list[Appointment]:
    """Appointments that have begun and that nobody has checked in, a batch by start."""
    waiting = {"status": {"$in": [Status.SCHEDULED, Status.CONFIRMED]}, "start": {"$lte": now}}
    found = Appointment.find({"$and": [waiting, after(cursor, *BY_START)]})
    return await found.sort("start", "_id").limit(_BATCH).to_list()


async def _mark(appointment: Appointment) -> int:
    try:
        await transitions.no_show(appointment, SYSTEM)
    except Conflict as refusal:
        # Checked in, cancelled, moved or marked by somebody else since it was read.
        log.info("appointment %s is no longer due as a no-show: %s", appointment.id, refusal.code)
        return 0
    return 1
