"""Records what became of a message, and what that means for the patient and the appointment.

The consequences are written before the message's own status. If the process dies in between, the message stays
unknown and reconciliation does the same again: everything here is safe to repeat. A status never moves backwards,
and the first error code stays.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from backend.accounts import number_repository as numbers
from backend.appointments import repository as appointments
from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging.content.content import call_reason_if_needed
from backend.messaging.documents import ONE_TIME_CODES, CallReason, SmsDirection, SmsStatus, call_list_entry
from backend.messaging.metrics import count_outcome
from backend.messaging.outbox import repository
from backend.messaging.repository import find_one
from backend.messaging.twilio.carrier import NOT_A_MOBILE, OPTED_OUT, SendResult, SendStatus

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

TWILIO_STATUSES = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), SmsStatus.SENT),
    **dict.fromkeys(("delivered", "read", "partially_delivered"), SmsStatus.DELIVERED),
    **dict.fromkeys(("undelivered", "failed", "canceled"), SmsStatus.UNDELIVERED),
}
"""Our status for each of Twilio's statuses of an outbound message.
Source: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values"""

_IN_DOUBT = (SmsStatus.QUEUED, SmsStatus.SENDING, SmsStatus.UNKNOWN)
_ALLOWED_FROM = {
    **dict.fromkeys((SmsStatus.SENT, SmsStatus.FAILED), _IN_DOUBT),
    **dict.fromkeys((SmsStatus.DELIVERED, SmsStatus.UNDELIVERED), (*_IN_DOUBT, SmsStatus.SENT)),
}
"""The statuses that each outcome may follow."""

_NOT_ARRIVED = (SmsStatus.UNDELIVERED, SmsStatus.FAILED)


async def record(message: Row, result: SendResult) -> None:
    """Records the result of a post. `message` is the message as it was claimed."""
    match result.status:
        case SendStatus.ACCEPTED:
            status = SmsStatus.DELIVERED if result.is_delivered else SmsStatus.SENT
            await mark_sent(message, sid=result.sid, status=status)
        case SendStatus.REJECTED:
            await mark_undelivered(message, status=SmsStatus.FAILED, error_code=result.error_code)
        case SendStatus.RETRY_LATER:
            # The pause doubles with every attempt, up to five minutes.
            at = utc_now() + timedelta(seconds=min(2 ** message["attempts"], 300))
            await repository.requeue(message, at=at, error_code=result.error_code)
        case SendStatus.UNKNOWN:
            await mark_unknown(message)


async def apply_report(*, attempt_id: str, sid: str, twilio_status: str, error_code: int | None) -> None:
    """Applies a delivery report. Reports may be late, repeated, out of order, or faster than our record of the id.

    The message is found by the attempt the report names, or else by Twilio's id.
    """
    message = await find_one(attempt_id=attempt_id) if attempt_id else None
    message = message or await find_one(twilio_sid=sid, direction=SmsDirection.OUTBOUND)
    status = TWILIO_STATUSES.get(twilio_status)
    if message is None or status is None or message.get("twilio_sid", sid) != sid:
        log.info("ignored a delivery report: its message or its status isn't known")
        return
    if status is SmsStatus.UNDELIVERED:
        await mark_undelivered(message, status=status, error_code=error_code, sid=sid)
    else:
        await mark_sent(message, sid=sid, status=status)


async def mark_sent(message: Row, *, sid: str | None, status: SmsStatus) -> bool:
    """Records that the carrier accepted or delivered a message. Returns False if another message has this id."""
    now = utc_now()
    if message.get("requests_confirmation") and message["status"] not in _NOT_ARRIVED:
        await appointments.mark_confirmation_requested(
            message["appointment_id"],
            reschedule_count=message["reschedule_count"],
            start=message["start"],
            auto_cancel_minutes=message["auto_cancel_minutes"],
        )
    fields = {**({"twilio_sid": sid} if sid else {}), "sent_at": now}
    try:
        is_set = await _set_status(message, status, fields)
        if not is_set and sid:
            # The delivery report was faster than our own record of the id.
            await repository.add_sid(message["_id"], sid)
    except DuplicateKeyError:
        return False
    return True


async def mark_undelivered(
    message: Row, *, status: SmsStatus, error_code: int | None, sid: str | None = None
) -> None:
    """Records that the carrier refused a message (`failed`) or could not deliver it (`undelivered`).

    If the message requested a confirmation, the patient wasn't asked: their appointment isn't auto-cancelled.
    """
    if message["status"] == SmsStatus.DELIVERED:
        return  # a status never moves backwards, and neither do its consequences
    call_reason = CallReason.REFUSED if status is SmsStatus.FAILED else CallReason.UNDELIVERED
    if error_code == OPTED_OUT:
        call_reason = CallReason.OPTED_OUT
        await numbers.opt_out(message["phone"], word=str(OPTED_OUT), at=utc_now())
    elif error_code in NOT_A_MOBILE:
        await numbers.mark_undeliverable(message["phone"], at=utc_now())
    if message.get("requests_confirmation"):
        await appointments.mark_confirmation_undelivered(
            message["appointment_id"], reschedule_count=message["reschedule_count"]
        )
    if call_reason is CallReason.OPTED_OUT and "user_id" not in message and "patient_id" in message:
        await appointments.stop_auto_cancel_for(message["patient_id"])
    needed = call_reason_if_needed(message, call_reason)
    fields = {
        **call_list_entry(needed, utc_now()),
        **({"twilio_sid": sid} if sid else {}),
        **({"error_code": error_code} if error_code is not None else {}),
    }
    await _set_status(message, status, fields)


async def mark_unknown(message: Row) -> None:
    """Records that a message may or may not have been sent. It waits for reconciliation.

    One-time codes don't wait: by then they would have expired.
    """
    delay = timedelta(minutes=settings.SMS_RECONCILE_AFTER_MINUTES)
    reconcile_at = None if message["kind"] in ONE_TIME_CODES else utc_now() + delay
    if await repository.set_unknown(message, reconcile_at=reconcile_at):
        count_outcome("unknown", message["kind"])


async def _set_status(message: Row, status: SmsStatus, fields: Row) -> bool:
    removed = ["not_before", "claimed_until", "reconcile_at"]
    if message["kind"] in ONE_TIME_CODES and settings.has_carrier:
        removed.append("body")  # on the simulated phone a code must remain readable
    if status not in _NOT_ARRIVED:
        removed.append("error_code")  # that of an earlier attempt
    is_set = await repository.set_status(
        message["_id"], status, only_from=_ALLOWED_FROM[status], fields=fields, removed=removed
    )
    if is_set:
        count_outcome(status.value, message["kind"])
    return is_set
