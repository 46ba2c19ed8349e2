"""Finds out what became of unknown messages: those posted, perhaps, by a process that died or got no response.

For SMS_RECONCILE_AFTER_MINUTES a delivery report may tell. Then the carrier is asked for its list of sent messages.
If our text is on it, the message was sent. If not, it is sent again, unless it has expired. This is right as long
as the carrier lists a message within SMS_RECONCILE_AFTER_MINUTES of accepting it.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from backend.core.clock import EPOCH, utc_now
from backend.core.settings import settings
from backend.messaging.content.content import call_reason_if_needed
from backend.messaging.documents import CallReason, SmsStatus
from backend.messaging.outbox import delivery_state, repository
from backend.messaging.outbox.delivery_state import TWILIO_STATUSES
from backend.messaging.twilio.carrier import Carrier, CarrierUnreachable, ListedMessage

log = logging.getLogger(__name__)

_CLOCK_SKEW = timedelta(minutes=2)
"""How far the carrier's clock may be behind ours."""

_CLOCK_JUMP = timedelta(seconds=30)
"""A larger difference means that the clock was set."""

Row = Mapping[str, Any]


class Reconciler:
    """Reconciles unknown messages with a carrier.

    When the system clock is set, it waits anew: a clock that jumps doesn't make time pass.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._offset = self._clock_offset()
        self._not_before = 0.0

    async def reconcile(self) -> int:
        """Reconciles the messages that are due; returns how many. Any number of processes may do so at once."""
        async for lapsed in repository.find_lapsed():
            await delivery_state.mark_unknown(lapsed)
        if self._must_wait():
            return 0
        reconciled = 0
        lease = timedelta(seconds=6 * settings.SMS_TIMEOUT_SECONDS)  # long enough to ask the carrier
        while (message := await repository.claim_unknown(lease)) is not None:
            try:
                listed = await self._carrier.list_sent_to(message["phone"])
            except CarrierUnreachable:
                log.warning("the carrier can't be asked what it has sent; unknown messages wait")
                break
            await _reconcile(message, listed)
            reconciled += 1
        return reconciled

    def _must_wait(self) -> bool:
        """Whether the clock was set less than SMS_RECONCILE_AFTER_MINUTES ago."""
        loop, offset = asyncio.get_running_loop(), self._clock_offset()
        if abs(offset - self._offset) > _CLOCK_JUMP:
            self._offset = offset
            self._not_before = loop.time() + settings.SMS_RECONCILE_AFTER_MINUTES * 60
            log.warning("the clock was set; unknown messages are reconciled later")
        return loop.time() < self._not_before

    @staticmethod
    def _clock_offset() -> timedelta:
        """Returns the system clock's distance from a clock that nobody can set."""
        return (utc_now() - EPOCH) - timedelta(seconds=asyncio.get_running_loop().time())


async def _reconcile(message: Row, listed: list[ListedMessage]) -> None:
    earliest = message["sending_at"] - _CLOCK_SKEW
    for each in listed:
        is_recent = each.created_at is None or each.created_at >= earliest
        if is_recent and each.body == message["body"] and await _adopt(message, each):
            log.info("message %s had been sent", message["_id"])
            return
    if message["expires_at"] > utc_now():
        log.info("message %s had not been sent", message["_id"])
        await repository.requeue(message, at=utc_now())
        return
    # It is too late to send it again, and nobody knows whether it was sent: a person decides.
    call_reason = call_reason_if_needed(message, CallReason.UNKNOWN_OUTCOME)
    await repository.end_reconciliation(message["_id"], call_reason)


async def _adopt(message: Row, listed: ListedMessage) -> bool:
    """Records a listed message as ours. Returns False if it is another message of ours with the same text."""
    status = TWILIO_STATUSES.get(listed.status, SmsStatus.SENT)
    if await repository.is_sid_of_another(listed.sid, than=message["_id"]):
        return False
    if status is not SmsStatus.UNDELIVERED:
        return await delivery_state.mark_sent(message, sid=listed.sid, status=status)
    await delivery_state.mark_undelivered(message, status=status, error_code=listed.error_code, sid=listed.sid)
    return True
