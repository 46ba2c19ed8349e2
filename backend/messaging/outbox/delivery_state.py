"""Records what became of a message, and what follows from it for patient and appointment.

What follows is written first: whoever dies in between leaves a message whose outcome is unknown, and its settling
does the same again. All of it may be repeated. A status never moves backwards, and the first error code stays.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import User
from backend.appointments import repository as appointments
from backend.core.clock import utc_now
from backend.core.mongo.batching import Change, update_together
from backend.core.settings import settings
from backend.messaging.content.content import CODES, if_needed
from backend.messaging.documents import CallReason, SmsKind, SmsLog, SmsStatus, call_list_entry
from backend.messaging.metrics import count
from backend.messaging.twilio.carrier import OPTED_OUT, Posted, PostResult

Row = Mapping[str, Any]

_BEFORE: Mapping[SmsStatus, tuple[SmsStatus, ...]] = {
    SmsStatus.SENT: (SmsStatus.QUEUED, SmsStatus.SENDING, SmsStatus.UNKNOWN),
    SmsStatus.DELIVERED: (SmsStatus.QUEUED, SmsStatus.SENDING, SmsStatus.UNKNOWN, SmsStatus.SENT),
    SmsStatus.UNDELIVERED: (SmsStatus.QUEUED, SmsStatus.SENDING, SmsStatus.UNKNOWN, SmsStatus.SENT),
    SmsStatus.FAILED: (SmsStatus.QUEUED, SmsStatus.SENDING, SmsStatus.UNKNOWN),
}
"""What each outcome may follow on."""

_NOT_ARRIVED = (SmsStatus.UNDELIVERED, SmsStatus.FAILED)

_NO_LONGER_DUE = dict.fromkeys(("not_before", "claimed_until", "reconcile_at"), "")

_LONGEST_WAIT = timedelta(minutes=5)
_DOUBLINGS = 9
"""As many as reach the longest wait. Unbounded, a carrier that is away for hours would overflow a timedelta."""


async def record(log: Row, posted: Posted) -> None:
    """Records the outcome of a post. `log` is the message as it was claimed."""
    match posted.outcome:
        case PostResult.ACCEPTED:
            status = SmsStatus.DELIVERED if posted.is_delivered else SmsStatus.SENT
            await handed_over(log, sid=posted.sid, status=status)
        case PostResult.REFUSED:
            await not_delivered(log, status=SmsStatus.FAILED, error_code=posted.error_code)
        case PostResult.LATER:
            await put_back(log, at=utc_now() + _pause(log["attempts"]), error_code=posted.error_code)
        case PostResult.UNKNOWN:
            await left_unknown(log)


async def handed_over(log: Row, *, sid: str | None, status: SmsStatus) -> bool:
    """The carrier has it, or has delivered it. False if the carrier's id belongs to another message of ours."""
    now = utc_now()
    if log.get("requests_confirmation") and log["status"] not in _NOT_ARRIVED:
        await appointments.mark_confirmation_requested(
            log["appointment_id"],
            reschedule_count=log["reschedule_count"],
            start=log["start"],
            auto_cancel_minutes=log["auto_cancel_minutes"],
        )
    try:
        done = await _write(log, status, {"twilio_sid": sid} if sid else {}, sent_at=now)
        if not done and sid:
            # Its report of delivery was faster than our own note of its id.
            await _logs().update_one({"_id": log["_id"], "twilio_sid": None}, {"$set": {"twilio_sid": sid}})
    except DuplicateKeyError:
        return False
    return True


async def not_delivered(
    log: Row, *, status: SmsStatus, error_code: int | None, sid: str | None = None
) -> None:
    """The carrier has refused it, or could not deliver it. The patient was not asked anything."""
    if log["status"] == SmsStatus.DELIVERED:
        return  # a status never moves backwards, nor does what follows from it
    call_reason = CallReason.REFUSED if status is SmsStatus.FAILED else CallReason.UNDELIVERED
    if error_code == OPTED_OUT:
        call_reason = CallReason.OPTED_OUT
        await User.get_pymongo_collection().update_one(
            {"_id": log["user_id"]}, {"$set": {"sms_opted_out": True}}
        )
    if log.get("requests_confirmation"):
        await appointments.mark_confirmation_undelivered(
            log["appointment_id"], reschedule_count=log["reschedule_count"]
        )
    if call_reason is CallReason.OPTED_OUT and log.get("patient_id") == log["user_id"]:
        await appointments.stop_auto_cancel_for(log["user_id"])
    fields = {**_attention(log, call_reason), **({"twilio_sid": sid} if sid else {})}
    await _write(log, status, fields, error_code=error_code)


async def left_unknown(log: Row) -> None:
    """It may have been sent or not. It waits to be settled; a code is too old by then."""
    now = utc_now()
    reconcile_at = (
        None if log["kind"] in CODES else now + timedelta(minutes=settings.SMS_RECONCILE_AFTER_MINUTES)
    )
    result = await _logs().update_one(
        {"_id": log["_id"], "attempt_id": log["attempt_id"], "status": SmsStatus.SENDING},
        {
            "$set": {
                "status": SmsStatus.UNKNOWN,
                "updated_at": now,
                **({"reconcile_at": reconcile_at} if reconcile_at else {}),
            },
            "$unset": {"claimed_until": ""},
        },
    )
    if result.modified_count:
        count("unknown", log["kind"])


async def put_back(log: Row, *, at: datetime, error_code: int | None = None) -> None:
    """It was certainly not sent: it goes back into the queue."""
    where = {"_id": log["_id"], "attempt_id": log["attempt_id"]}
    await _logs().update_one(
        {**where, "status": {"$in": [SmsStatus.SENDING, SmsStatus.UNKNOWN]}},
        {
            "$set": {
                "status": SmsStatus.QUEUED,
                "not_before": at,
                "updated_at": utc_now(),
                **({"error_code": error_code} if error_code else {}),
            },
            "$unset": {"claimed_until": "", "reconcile_at": ""},
        },
    )


async def _write(
    log: Row,
    status: SmsStatus,
    fields: Mapping[str, Any],
    *,
    error_code: int | None = None,
    sent_at: datetime | None = None,
) -> bool:
    """Sets a status that may follow on the present one; whether it did."""
    # On the simulated phone a code must still be read.
    forgets_text = log["kind"] in CODES and settings.has_carrier
    unset = {**_NO_LONGER_DUE, **({"body": ""} if forgets_text else {})}
    changed = {"status": status, "updated_at": utc_now(), **fields}
    if sent_at is not None:
        changed["sent_at"] = sent_at
    if error_code is not None:
        changed["error_code"] = error_code
    elif status not in _NOT_ARRIVED:
        unset["error_code"] = ""  # that of an earlier attempt
    where = {"status": {"$in": list(_BEFORE[status])}}
    update = {"$set": changed, "$unset": unset}
    done = await update_together(_logs(), Change(log["_id"], where, update))
    if not done:
        result = await _logs().update_one({"_id": log["_id"], **where}, update)
        now_so = {"_id": log["_id"], "status": status, "updated_at": changed["updated_at"]}
        done = bool(result.modified_count) or await _logs().find_one(now_so, {"_id": 1}) is not None
    if done:
        count(status.value, log["kind"])
    return done


def _attention(log: Row, call_reason: CallReason) -> dict[str, Any]:
    return call_list_entry(if_needed(log, SmsKind(log["kind"]), call_reason), utc_now())


def _pause(attempts: int) -> timedelta:
    """How long to wait before the next attempt: twice as long each time."""
    return min(timedelta(seconds=2 ** min(attempts, _DOUBLINGS)), _LONGEST_WAIT)


def _logs() -> Any:
    return SmsLog.get_pymongo_collection()
