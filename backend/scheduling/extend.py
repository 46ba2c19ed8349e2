"""Keeps the booking horizon full: each day at the clinics adds its slots at the far end."""

import logging
from datetime import timedelta

from backend.accounts.documents import Role, User
from backend.core.clock import utc_now
from backend.scheduling.reconcile import BookIsBusy, reconcile

log = logging.getLogger(__name__)

CLAIM = timedelta(minutes=5)
"""How long a process may take over one doctor before another may try."""


async def extend_slots() -> int:
    """Brings every active doctor's slots up to the horizon, once a day (UTC) each. Answers how many doctors.

    Any number of processes may run it at once: each doctor is claimed by one conditional update, and marked as
    done only afterwards, so that a process that dies leaves the doctor to the next one.
    """
    done = 0
    while (doctor := await _claim()) is not None:
        today = utc_now().date().isoformat()
        try:
            await reconcile(doctor.user_id)
        except BookIsBusy:
            log.warning("slots of doctor %s are being changed by others; next time", doctor.user_id)
            continue
        await User.get_pymongo_collection().update_one(
            {"_id": doctor.user_id},
            {"$set": {"doctor.slots_made_on": today}, "$unset": {"doctor.slots_claimed_until": ""}},
        )
        done += 1
    return done


async def _claim() -> User | None:
    now = utc_now()
    raw = await User.get_pymongo_collection().find_one_and_update(
        {
            "role": Role.DOCTOR,
            "doctor.slots_made_on": {"$lt": now.date().isoformat()},
            "is_active": True,
            "$or": [
                {"doctor.slots_claimed_until": {"$exists": False}},
                {"doctor.slots_claimed_until": {"$lte": now}},
            ],
        },
        {"$set": {"doctor.slots_claimed_until": now + CLAIM}},
    )
    return None if raw is None else User.model_validate(raw)
