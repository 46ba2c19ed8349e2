"""Keeps the booking horizon full: each day at the clinics adds its slots at the far end."""

import logging
from datetime import datetime, timedelta

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.scheduling import availability
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.slots.slot_sync import reconcile

log = logging.getLogger(__name__)

CLAIM = timedelta(minutes=5)
"""How long a process may take over one doctor before another may try."""


async def extend_slots() -> int:
    """Brings every active doctor's slots up to the horizon, once after each midnight at a clinic of his. Answers how
    many doctors.

    Any number of processes may run it at once: each doctor is claimed by one conditional update, and marked as
    done only afterwards, so that a process that dies leaves the doctor to the next one.
    """
    done = 0
    while (doctor := await _claim()) is not None:
        due_again = await _next_midnight(doctor, utc_now())
        try:
            await reconcile(doctor.user_id)
        except ScheduleBusy:
            log.warning("slots of doctor %s are being changed by others; next time", doctor.user_id)
            continue
        await _settle(doctor, due_again)
        done += 1
    return done


async def look_again(doctor_id: PydanticObjectId) -> None:
    """Has the doctor's slots brought up to date by the next run: time was freed that only held a patient."""
    await User.get_pymongo_collection().update_one(
        {"_id": doctor_id}, {"$set": {"doctor.slots_due_at": utc_now()}}
    )


async def _settle(doctor: User, due_again: datetime) -> None:
    """Gives the claim back; the next time is set unless somebody has asked to look again meanwhile."""
    assert doctor.doctor is not None  # noqa: S101 - only doctors are claimed
    users, release = User.get_pymongo_collection(), {"$unset": {"doctor.slots_claimed_until": ""}}
    settled = await users.update_one(
        {"_id": doctor.user_id, "doctor.slots_due_at": doctor.doctor.slots_due_at},
        {"$set": {"doctor.slots_due_at": due_again}, **release},
    )
    if settled.matched_count == 0:
        await users.update_one({"_id": doctor.user_id}, release)


async def _next_midnight(doctor: User, now: datetime) -> datetime:
    """When one of the doctor's clinics next begins a day, and its horizon reaches a day further. UTC."""
    assert doctor.doctor is not None  # noqa: S101 - only doctors are claimed
    clinics = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}}).to_list()
    zones = [clinic.zone for clinic in clinics]
    tomorrows = [(availability.local_day(now, zone) + timedelta(days=1), zone) for zone in zones]
    return min(
        (availability.instant(day, 0, zone) for day, zone in tomorrows), default=now + timedelta(days=1)
    )


async def _claim() -> User | None:
    now = utc_now()
    raw = await User.get_pymongo_collection().find_one_and_update(
        {
            "role": Role.DOCTOR,
            "doctor.slots_due_at": {"$lte": now},
            "is_active": True,
            "$or": [
                {"doctor.slots_claimed_until": {"$exists": False}},
                {"doctor.slots_claimed_until": {"$lte": now}},
            ],
        },
        {"$set": {"doctor.slots_claimed_until": now + CLAIM}},
    )
    return None if raw is None else User.model_validate(raw)
