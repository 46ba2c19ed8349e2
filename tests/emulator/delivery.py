"""The life of an accepted message: its statuses, and the callbacks that tell of them."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from tests.emulator.faults import Settings
from tests.emulator.messages import API_VERSION, Message
from tests.emulator.webhooks import Webhooks

NOT_ARRIVED = ("undelivered", "failed")
FINAL = ("delivered", *NOT_ARRIVED)


@dataclass(frozen=True)
class Outcome:
    """What becomes of the messages to a number: `sent` means that no more is ever heard of them.

    Or these statuses come `early`: all of them before the answer to the post, in the order given, and nothing after.
    """

    status: str = "delivered"
    error_code: int | None = None
    early: tuple[str, ...] = ()


class Delivery:
    """Moves messages on and reports it. Twilio sends no callback for the first status
    (https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks).
    """

    def __init__(self, webhooks: Webhooks) -> None:
        self.settings = Settings()
        self.outcomes: dict[str, Outcome] = {}
        self.reports: list[dict[str, object]] = []
        self._webhooks = webhooks
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Messages that have not come to their end, and callbacks not yet answered."""
        return len(self._tasks)

    def reset(self) -> None:
        """Nothing that was begun goes on."""
        for task in self._tasks:
            task.cancel()
        self.settings = Settings()
        self.outcomes = {}
        self.reports = []

    async def begin(self, message: Message) -> None:
        """Sees to the rest; returns at once, or after the first callback where it comes before the answer."""
        if early := self._outcome(message).early:
            await self._hurry(message, early)
        elif self.settings.callback_before_answer:
            await self._send(message)
            self._start(self._finish(message))
        else:
            self._start(self._follow(message))

    async def _hurry(self, message: Message, statuses: Sequence[str]) -> None:
        for status in statuses:
            message.change(status)
            message.error_code = self._outcome(message).error_code if status in NOT_ARRIVED else None
            await self._report(message, status)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, message: Message) -> None:
        await asyncio.sleep(self.settings.sent_after / 1000)
        await self._send(message)
        await self._finish(message)

    async def _send(self, message: Message) -> None:
        if message.status == "accepted":  # by a messaging service, which now has chosen the sender
            message.change("queued")
            await self._report(message, "queued")
        if self._outcome(message).status == "failed":
            return
        message.change("sent")
        if not self.settings.callbacks_out_of_order or self.settings.callback_before_answer:
            await self._report(message, "sent")

    async def _finish(self, message: Message) -> None:
        outcome = self._outcome(message)
        if outcome.status in FINAL:
            await asyncio.sleep(self.settings.delivered_after / 1000)
            message.change(outcome.status, outcome.error_code)
            await self._report(message, outcome.status)
        if self.settings.callbacks_out_of_order and not self.settings.callback_before_answer and message.sent:
            await self._report(message, "sent")

    def _outcome(self, message: Message) -> Outcome:
        return self.outcomes.get(message.recipient, Outcome())

    async def _report(self, message: Message, status: str) -> None:
        if not message.callback_url or not self.settings.callbacks:
            return
        if self.settings.callback_delay:
            await asyncio.sleep(self.settings.callback_delay / 1000)
        for _ in range(2 if self.settings.callbacks_twice else 1):
            answer = await self._webhooks.post(message.callback_url, _parameters(message, status))
            self.reports.append(
                {
                    "sid": message.sid,
                    "to": message.recipient,
                    "status": status,
                    "url": message.callback_url,
                    "answer": answer.status,
                }
            )


def _parameters(message: Message, status: str) -> dict[str, str]:
    """https://www.twilio.com/docs/messaging/guides/track-outbound-message-status."""
    parameters = {
        "AccountSid": message.account_sid,
        "ApiVersion": API_VERSION,
        "From": message.sender,
        "MessageSid": message.sid,
        "MessageStatus": status,
        "SmsSid": message.sid,
        "SmsStatus": status,
        "To": message.recipient,
    }
    if message.service_sid:
        parameters["MessagingServiceSid"] = message.service_sid
    if message.error_code and status in FINAL:
        parameters["ErrorCode"] = str(message.error_code)
    return parameters
