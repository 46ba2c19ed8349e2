"""Whether the patient was asked to confirm, and what silence then means.

The deadline is set only once the question was handed to the carrier, and taken back when it did not arrive: nobody
is cancelled who was not asked.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.appointments.documents import ACTIVE, Appointment, Status
from backend.appointments.reminders.timetable import deadline
from backend.core.clock import utc_now
from backend.core.mongo.batching import Change, update_together


async def asked(
    appointment_id: PydanticObjectId, *, reschedule_count: int, start: datetime, auto_cancel_minutes: int
) -> None:
    """Notes that the question was handed to the carrier. Repeating it changes nothing.

    It is about the appointment after so many moves; it does nothing if the patient has answered. Who could not be
    reached, whichever is heard of first, gets no deadline, but may answer what has come all the same.
    """

    def update(now: datetime) -> list[Mapping[str, Any]]:
        auto_cancel_at = deadline(
            start, confirmation_requested_at=now, auto_cancel_minutes=auto_cancel_minutes
        )
        sets_deadline = (
            {"$eq": [{"$type": "$confirmation_undelivered"}, "missing"]} if auto_cancel_at else False
        )
        return [
            {
                "$set": {
                    "confirmation_requested_at": now,
                    "auto_cancel_at": {"$cond": [sets_deadline, auto_cancel_at, "$auto_cancel_at"]},
                }
            }
        ]

    where = {
        "reschedule_count": reschedule_count,
        "status": Status.SCHEDULED,
        "confirmation_requested_at": None,
    }
    await update_together(_appointments(), Change(appointment_id, where, update))


async def confirmation_undelivered(appointment_id: PydanticObjectId, *, reschedule_count: int) -> None:
    """Notes that the question did not arrive: silence will not cancel."""
    await _appointments().update_one(
        {"_id": appointment_id, "reschedule_count": reschedule_count},
        {"$set": {"confirmation_undelivered": True}, "$unset": {"auto_cancel_at": ""}},
    )


async def never_cancel_silent(patient_id: PydanticObjectId) -> None:
    """Takes back the deadlines of a patient who can't be written to any more."""
    await _appointments().update_many(
        {
            "patient_id": patient_id,
            "start": {"$gt": utc_now()},
            "status": {"$in": list(ACTIVE)},
        },
        {"$set": {"confirmation_undelivered": True}, "$unset": {"auto_cancel_at": ""}},
    )


async def may_ask_again(patient_id: PydanticObjectId) -> None:
    """Of a patient who can be written to again: questions that were not asked yet count as any others.

    What was asked before stays without a deadline.
    """
    await _appointments().update_many(
        {
            "patient_id": patient_id,
            "start": {"$gt": utc_now()},
            "confirmation_requested_at": None,
            "confirmation_undelivered": True,
        },
        {"$unset": {"confirmation_undelivered": ""}},
    )


def _appointments() -> Any:
    return Appointment.get_pymongo_collection()
