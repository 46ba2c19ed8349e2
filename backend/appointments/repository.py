"""Every query and update of appointments. A write changes one document, and only while it is as it was read."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.appointments.documents import ACTIVE, Appointment, Status
from backend.appointments.reminders.timetable import deadline
from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.batching import Change, alike, update_together

Document = dict[str, Any]


def _appointments() -> AsyncCollection[Document]:
    return Appointment.get_pymongo_collection()


# Requests to confirm. The deadline is set only once the carrier has taken the request, and removed when it didn't
# arrive: nobody is cancelled who wasn't asked.


async def mark_confirmation_requested(
    appointment_id: PydanticObjectId, *, reschedule_count: int, start: datetime, auto_cancel_minutes: int
) -> None:
    """Records that the carrier took the request to confirm, and sets the auto-cancel deadline. Safe to repeat.

    It applies to the appointment after that many reschedules, while it is scheduled. No deadline is set where a
    request was undelivered, whichever is reported first; the patient may still confirm.
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


_UNDELIVERED = {"$set": {"confirmation_undelivered": True}, "$unset": {"auto_cancel_at": ""}}


async def mark_confirmation_undelivered(appointment_id: PydanticObjectId, *, reschedule_count: int) -> None:
    """Records that the request to confirm wasn't delivered: silence won't cancel."""
    await _appointments().update_one(
        {"_id": appointment_id, "reschedule_count": reschedule_count}, _UNDELIVERED
    )


async def stop_auto_cancel_for(patient_id: PydanticObjectId) -> None:
    """Removes the deadlines of a patient who can't be messaged any more, and prevents new ones."""
    coming = {"patient_id": patient_id, "start": {"$gt": utc_now()}, "status": {"$in": list(ACTIVE)}}
    await _appointments().update_many(coming, _UNDELIVERED)


async def resume_auto_cancel_for(patient_id: PydanticObjectId) -> None:
    """Allows deadlines again for a patient who can be messaged again.

    Appointments with a request from before stay without a deadline.
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


# What messages are about

OPEN = frozenset({Status.SCHEDULED, Status.CONFIRMED})
"""Patients may still confirm or cancel an appointment in one of these, if it hasn't begun."""


async def find_with_pending_messages(*, fields: Collection[str], limit: int) -> Sequence[Document]:
    """Returns stored appointments with pending messages, with these fields only."""
    pending = {"pending_messages.pending_since": {"$gt": EPOCH}}
    found = _appointments().find(pending, dict.fromkeys(fields, 1))
    return await found.limit(limit).to_list()


async def remove_pending_messages(rows: Iterable[Document]) -> None:
    """Removes the pending messages that these appointments had when they were read."""
    changes = alike(
        Change(row["_id"], {}, {"$pull": {"pending_messages": {"$in": row["pending_messages"]}}})
        for row in rows
    )
    if changes:
        await _appointments().bulk_write(changes, ordered=False)


async def find_rows_by_id(ids: Sequence[PydanticObjectId], *, fields: Collection[str]) -> Sequence[Document]:
    """Returns stored appointments, with these fields only."""
    return await _appointments().find({"_id": {"$in": ids}}, dict.fromkeys(fields, 1)).to_list()


async def count_open_by_patient(patient_ids: Sequence[PydanticObjectId]) -> Counter[PydanticObjectId]:
    """Returns how many open appointments each patient has ahead."""
    ahead = {"patient_id": {"$in": patient_ids}, "start": {"$gt": utc_now()}, "status": {"$in": list(OPEN)}}
    found = _appointments().find(ahead, {"_id": 0, "patient_id": 1})
    return Counter([row["patient_id"] async for row in found])


async def find_open_of_patient(patient_id: PydanticObjectId) -> list[Appointment]:
    """Returns a patient's open appointments ahead, by start."""
    ahead = {"patient_id": patient_id, "start": {"$gt": utc_now()}, "status": {"$in": list(OPEN)}}
    return await Appointment.find(ahead).sort("start", "_id").to_list()


async def find_of_patient_since(patient_id: PydanticObjectId, since: datetime) -> list[Appointment]:
    """Returns a patient's appointments that start after a moment, in any status, by start."""
    later = {"patient_id": patient_id, "start": {"$gt": since}}
    return await Appointment.find(later).sort("start", "_id").to_list()


async def find_last_of_patient(patient_id: PydanticObjectId) -> Appointment | None:
    """Returns the patient's appointment with the latest start."""
    found = await Appointment.find({"patient_id": patient_id}).sort("-start", "-_id").limit(1).to_list()
    return found[0] if found else None


async def find_by_ids(ids: Sequence[PydanticObjectId]) -> list[Appointment]:
    """Returns the appointments with these ids."""
    return await Appointment.find({"_id": {"$in": ids}}).to_list()


async def reload(appointment: Appointment) -> Appointment:
    """Returns an appointment as it is stored now."""
    found = await Appointment.get(appointment.appointment_id)
    assert found is not None  # noqa: S101 - appointments are never deleted
    return found
