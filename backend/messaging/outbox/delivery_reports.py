"""The carrier's reports of delivery: they come late, twice, out of order, and before we know the message's id."""

import logging

from backend.messaging.documents import SmsDirection, SmsLog, SmsStatus
from backend.messaging.outbox import delivery_state

log = logging.getLogger(__name__)

SAYS = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), SmsStatus.SENT),
    **dict.fromkeys(("delivered", "read", "partially_delivered"), SmsStatus.DELIVERED),
    **dict.fromkeys(("undelivered", "failed", "canceled"), SmsStatus.UNDELIVERED),
}
"""Twilio's statuses of an outbound message in ours.
Source: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values"""


async def take_report(*, attempt_id: str, sid: str, says: str, error_code: int | None) -> None:
    """Takes a report in. Its message is found by the attempt that asked for it, or else by the carrier's id."""
    logs = SmsLog.get_pymongo_collection()
    row = await logs.find_one({"attempt_id": attempt_id}) if attempt_id else None
    row = row or await logs.find_one({"twilio_sid": sid, "direction": SmsDirection.OUTBOUND})
    status = SAYS.get(says)
    if row is None or status is None or row.get("twilio_sid", sid) != sid:
        log.info("a report of a message that isn't known, or of no known status")
        return
    if status is SmsStatus.UNDELIVERED:
        await delivery_state.not_delivered(row, status=status, error_code=error_code, sid=sid)
    else:
        await delivery_state.handed_over(row, sid=sid, status=status)
