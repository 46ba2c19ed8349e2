"""Settles what became of messages of unknown outcome: posted, perhaps, by a process that died or waited in vain.

After a while, in which a status callback may tell, the carrier's list of messages is asked. What it lists with our
text was sent; what it doesn't list is sent again, if it is still of use. That is honest as long as the carrier lists
a message within SMS_RECONCILE_AFTER_MINUTES of taking it.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.core.clock import EPOCH, utc_now
from backend.core.settings import settings
from backend.messaging.content.content import if_needed
from backend.messaging.documents import CallReason, SmsKind, SmsLog, SmsStatus, call_list_entry
from backend.messaging.outbox import delivery_state
from backend.messaging.outbox.delivery_reports import SAYS
from backend.messaging.twilio.carrier import Carrier, CarrierAway, Listed

log = logging.getLogger(__name__)

_BATCH = 50
_SKEW = timedelta(minutes=2)
"""By how much the carrier's clock may be behind ours."""

_JUMP = timedelta(seconds=30)

Row = Mapping[str, Any]


class Settler:
    """Settles through a carrier. It waits anew when the clock was set: by a wrong clock no time has passed."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._offset = self._measure()
        self._not_before = 0.0

    async def settle(self) -> int:
        """Settles what is due. Answers how many messages. Any number of processes may run it at once."""
        await _give_up_lapsed()
        if self._clock_was_set():
            return 0
        settled = 0
        while (row := await _claim()) is not None:
            try:
                listed = await self._carrier.sent_to(row["phone"])
            except CarrierAway:
                log.warning("the carrier can't be asked what it has sent; unknown messages wait")
                break
            await _settle(row, listed)
            settled += 1
        return settled

    def _clock_was_set(self) -> bool:
        loop, offset = asyncio.get_running_loop(), self._measure()
        if abs(offset - self._offset) > _JUMP:
            self._offset = offset
            self._not_before = loop.time() + settings.SMS_RECONCILE_AFTER_MINUTES * 60
            log.warning("the clock was set; unknown messages are settled later")
        return loop.time() < self._not_before

    @staticmethod
    def _measure() -> timedelta:
        """The wall clock against one that nobody sets."""
        return (utc_now() - EPOCH) - timedelta(seconds=asyncio.get_running_loop().time())


async def _give_up_lapsed() -> None:
    """What was claimed to be sent by a process that has not been heard of since is of unknown outcome."""
    lapsed = {"claimed_until": {"$gt": EPOCH, "$lte": utc_now()}, "status": SmsStatus.SENDING}
    async for row in SmsLog.get_pymongo_collection().find(lapsed):
        await delivery_state.left_unknown(row)


async def _claim() -> Row | None:
    """A message whose time to be settled has come; others leave it alone for a while."""
    now = utc_now()
    found: Row | None = await SmsLog.get_pymongo_collection().find_one_and_update(
        {"reconcile_at": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.UNKNOWN},
        {"$set": {"reconcile_at": now + timedelta(seconds=6 * settings.SMS_TIMEOUT_SECONDS)}},
        sort=[("reconcile_at", 1)],
    )
    return found


async def _settle(row: Row, listed: list[Listed]) -> None:
    earliest = row["sending_at"] - _SKEW
    for each in listed:
        is_ours = each.body == row["body"] and (each.created_at is None or each.created_at >= earliest)
        if is_ours and await _adopt(row, each):
            log.info("message %s had been sent", row["_id"])
            return
    if row["expires_at"] > utc_now():
        log.info("message %s had not been sent", row["_id"])
        await delivery_state.put_back(row, at=utc_now())
    else:
        await _leave_to_staff(row)


async def _adopt(row: Row, each: Listed) -> bool:
    """Takes a listed message for ours; False if it is another of ours with the same text."""
    status = SAYS.get(each.status, SmsStatus.SENT)
    taken = await SmsLog.get_pymongo_collection().find_one(
        {"twilio_sid": each.sid, "_id": {"$ne": row["_id"]}}, {"_id": 1}
    )
    if taken is not None:
        return False
    if status is SmsStatus.UNDELIVERED:
        await delivery_state.not_delivered(row, status=status, error_code=each.error_code, sid=each.sid)
        return True
    return await delivery_state.handed_over(row, sid=each.sid, status=status)


async def _leave_to_staff(row: Row) -> None:
    """Too late to send it again, and nobody knows whether it was sent: a person decides."""
    now = utc_now()
    call_reason = if_needed(row, SmsKind(row["kind"]), CallReason.UNKNOWN_OUTCOME)
    await SmsLog.get_pymongo_collection().update_one(
        {"_id": row["_id"], "status": SmsStatus.UNKNOWN},
        {"$set": {"updated_at": now, **call_list_entry(call_reason, now)}, "$unset": {"reconcile_at": ""}},
    )
