"""Takes over what appointments owe: each owed message becomes one document of the SMS log, and is then struck.

The log's unique index makes it one, however often it is taken over: a process may die between the two writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.errors import BulkWriteError

from backend.appointments.documents import Appointment, MessageKind, Recipient
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.core.clock import EPOCH
from backend.core.mongo.batching import Change, alike
from backend.messaging.content.content import ABOUT_AN_APPOINTMENT
from backend.messaging.documents import SmsDirection, SmsLog, SmsStatus

_BATCH = 50
"""Not more: other requests come in between."""
_DUPLICATE_KEY = 11000
_OF_USE = timedelta(days=1)
"""How long news of what has already been are worth sending."""

_ABOUT_THE_PAST = {MessageKind.NO_SHOW}

_NEEDED = {*ABOUT_AN_APPOINTMENT, "patient_id", "doctor_id", "pending_messages"}


async def owing(most: int) -> list[dict[str, Any]]:
    """Up to so many appointments that owe something; some if it is 0."""
    found = Appointment.get_pymongo_collection().find(
        {"pending_messages.pending_since": {"$gt": EPOCH}}, dict.fromkeys(_NEEDED, 1)
    )
    rows: list[dict[str, Any]] = await found.limit(min(most, _BATCH) or _BATCH).to_list()
    return rows


def log_of(row: Mapping[str, Any], pending_messages: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A document of the log, queued, not yet written."""
    kind, recipient = MessageKind(pending_messages["kind"]), Recipient(pending_messages["to"])
    is_patient = recipient is Recipient.PATIENT
    zone = ZoneInfo(row["time_zone"])
    is_of_use = is_patient and kind not in _ABOUT_THE_PAST
    return {
        "_id": ObjectId(),
        "direction": SmsDirection.OUTBOUND,
        "kind": kind.value,
        "recipient": recipient.value,
        "occurrence": pending_messages["occurrence"],
        "status": SmsStatus.QUEUED,
        "appointment_id": row["_id"],
        "patient_id": row["patient_id"],
        "patient_name": row["patient_name"],
        "doctor_id": row["doctor_id"],
        "clinic_id": row["clinic_id"],
        "user_id": row["patient_id"] if is_patient else row["doctor_id"],
        "start": row["start"],
        "reschedule_count": pending_messages["reschedule_count"],
        "requests_confirmation": pending_messages["requests_confirmation"],
        "not_before": quiet_hours().after(now, zone) if is_patient else now,
        "expires_at": row["start"] if is_of_use else pending_messages["pending_since"] + _OF_USE,
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
    }


async def write_down(logs: Sequence[Mapping[str, Any]]) -> set[ObjectId]:
    """Writes them on the log. Answers the ids of those that are on it already, by an earlier hand or a faster one."""
    try:
        await SmsLog.get_pymongo_collection().insert_many(logs, ordered=False)
    except BulkWriteError as error:
        faults = error.details["writeErrors"]
        if any(fault["code"] != _DUPLICATE_KEY for fault in faults):
            raise
        return {logs[fault["index"]]["_id"] for fault in faults}
    return set()


async def strike(rows: Iterable[Mapping[str, Any]]) -> None:
    """What these appointments owed when they were read is on the log now."""
    struck = alike(
        Change(row["_id"], {}, {"$pull": {"pending_messages": {"$in": row["pending_messages"]}}})
        for row in rows
    )
    if struck:
        await Appointment.get_pymongo_collection().bulk_write(struck, ordered=False)
