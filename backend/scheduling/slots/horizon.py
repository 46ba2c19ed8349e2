"""Keeps slots up to the staff's horizon: each day at the clinics adds its slots at the far end, and brings the slots
of one more day online for patients."""

import logging
from datetime import datetime, timedelta

from backend.accounts.documents import User
from backend.core.clock import utc_now
from backend.directory.clinics import read_clinics
from backend.scheduling import availability
from backend.scheduling.access import clinics_of
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.decisions.withdrawals import begin, settle
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.hours import repository
from backend.scheduling.slots.slot_sync import reconcile

log = logging.getLogger(__name__)


async def extend_slots() -> int:
    """Reconciles each active doctor's slots, once after each midnight at one of their clinics. Returns how many.

    Any number of processes may run it at once: each doctor is claimed by one conditional update, and marked as
    done only afterwards, so that a process that dies leaves the doctor to the next one.
    """
    done = 0
    while (doctor := await repository.claim_doctor(utc_now())) is not None:
        due_again = await _next_midnight(doctor, utc_now())
        # A slot with more appointments than seats opens again when enough were cancelled: the others are unmarked.
        withdrawal = await begin(CauseKind.HOURS, doctor_id=doctor.user_id)
        try:
            await reconcile(doctor.user_id)
            await settle(withdrawal)
        except ScheduleBusy:
            log.warning("slots of doctor %s are being changed by others; next time", doctor.user_id)
            continue
        await repository.complete_claim(doctor, due_again=due_again)
        done += 1
    return done


async def _next_midnight(doctor: User, now: datetime) -> datetime:
    """Returns when a day next begins at one of the doctor's clinics, and its horizon reaches a day further. UTC."""
    zones = [clinic.zone for clinic in (await read_clinics(clinics_of(doctor))).values()]
    tomorrows = [(availability.local_day(now, zone) + timedelta(days=1), zone) for zone in zones]
    midnights = [availability.instant(day, 0, zone) for day, zone in tomorrows]
    return min(midnights, default=now + timedelta(days=1))
