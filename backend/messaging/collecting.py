"""Takes over what appointments owe: each owed message becomes one document of the SMS log, and is then struck.

The log's unique index makes it one, however often it is taken over: a process may die between the two writes.
"""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from backend.appointments.documents import Appointment, MessageKind, Recipient
from backend.appointments.quiet import quiet_hours
from backend.core.clock import EPOCH, utc_now
from backend.core.crowd import some_of
from backend.messaging.documents import SmsDirection, SmsLog, SmsStatus

_BATCH = 50
"""Not more: other requests come in between."""
_DUPLICATE_KEY = 11000
_OF_USE = timedelta(days=1)
"""How long news of what has already been are worth sending."""

_ABOUT_THE_PAST = {MessageKind.NO_SHOW}

_NEEDED = (
    *("patient_id", "patient_name", "doctor_id", "clinic_id", "time_zone", "start", "owed"),
    "_id",
)


async def collect() -> int:
    """Takes over some of what is owed. Any number of processes may run it at once. Answers how many messages."""
    rows = await _owing()
    if not rows:
        return 0
    logs = [_log(row, owed) for row in rows for owed in row["owed"]]
    try:
        await SmsLog.get_pymongo_collection().insert_many(logs, ordered=False)
    except BulkWriteError as error:
        if any(fault["code"] != _DUPLICATE_KEY for fault in error.details["writeErrors"]):
            raise
    struck = [UpdateOne({"_id": row["_id"]}, {"$pull": {"owed": {"$in": row["owed"]}}}) for row in rows]
    await Appointment.get_pymongo_collection().bulk_write(struck, ordered=False)
    return len(logs)


async def _owing() -> list[dict[str, Any]]:
    found = Appointment.get_pymongo_collection().find(
        {"owed.owed_at": {"$gt": EPOCH}}, dict.fromkeys(_NEEDED, 1)
    )
    return await some_of(found, _BATCH)


def _log(row: dict[str, Any], owed: dict[str, Any]) -> dict[str, Any]:
    """A document of the log, queued."""
    now, kind, recipient = utc_now(), MessageKind(owed["kind"]), Recipient(owed["to"])
    is_patient = recipient is Recipient.PATIENT
    zone = ZoneInfo(row["time_zone"])
    is_of_use = is_patient and kind not in _ABOUT_THE_PAST
    return {
        "direction": SmsDirection.OUTBOUND,
        "kind": kind.value,
        "recipient": recipient.value,
        "occurrence": owed["occurrence"],
        "status": SmsStatus.QUEUED,
        "appointment_id": row["_id"],
        "patient_id": row["patient_id"],
        "patient_name": row["patient_name"],
        "doctor_id": row["doctor_id"],
        "clinic_id": row["clinic_id"],
        "user_id": row["patient_id"] if is_patient else row["doctor_id"],
        "start": row["start"],
        "moves": owed["moves"],
        "asks": owed["asks"],
        "not_before": quiet_hours().after(now, zone) if is_patient else now,
        "useless_after": row["start"] if is_of_use else owed["owed_at"] + _OF_USE,
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
    }
