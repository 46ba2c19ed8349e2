"""Sends messages: a loop claims what is due, posts it to the carrier, and records the outcome.

Any number of processes may send at once. A write in this process wakes the loop; it also polls for the others'.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo.errors import PyMongoError

from backend.appointments import repository as appointments
from backend.appointments.events import messages_pending
from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging import event_handlers
from backend.messaging.metrics import measure_queue
from backend.messaging.outbox import delivery_state, rate_limit, repository
from backend.messaging.outbox.claim import claim_pending, claim_queued
from backend.messaging.outbox.reconcile import Reconciler
from backend.messaging.twilio.carrier import MAX_CONCURRENT_POSTS, Carrier, open_carrier

log = logging.getLogger(__name__)

HANDLERS = (event_handlers.request_call, event_handlers.enqueue_code)
"""This package's signal handlers. Naming them here connects them in every process that sends."""

SMS_POLL_SECONDS = 0.5
"""How often the loop looks for messages that another process enqueued or that have become due."""

_MAX_CLAIMED = 80
"""Messages claimed at a time, including those whose outcome is being recorded. If this process dies, the outcome of
all of them is unknown. A larger number sends faster and delays requests longer (benchmarks/messages.py)."""

_MIN_ROOM = _MAX_CLAIMED // 4
"""The next messages are claimed when there is room for this many: each claim costs reads."""

Row = dict[str, Any]


class Dispatcher:
    """Claims messages and posts them to a carrier, several at a time."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._posts: set[asyncio.Task[None]] = set()
        self._connections = asyncio.Semaphore(MAX_CONCURRENT_POSTS)
        self._is_ending = False
        self.is_carrier_reachable = True
        """Whether the carrier responded to the last post."""

    def end(self) -> None:
        """Stops claiming messages."""
        self._is_ending = True

    async def dispatch(self) -> int:
        """Sends until nothing is due, and waits for the responses. Returns how many messages were posted."""
        posted = await self.begin()
        await self.finish()
        return posted

    async def begin(self) -> int:
        """Claims messages and starts posting them until nothing is due. Returns how many.

        It doesn't wait for the responses, so that a slow one delays no other message. If nothing is due, this costs
        two commands on indexes.
        """
        posted, is_real = 0, self._carrier.is_real
        while not self._is_ending:
            while len(self._posts) > _MAX_CLAIMED - _MIN_ROOM:
                await asyncio.wait(self._posts, return_when=asyncio.FIRST_COMPLETED)
            room = _MAX_CLAIMED - len(self._posts)
            queued = await claim_queued(room, is_real=is_real)  # these first: one-time codes are among them
            await self._start_posts(queued.to_post)
            limit = 0 if queued.is_rate_limited else room - len(queued.to_post)
            pending = await claim_pending(limit, is_real=is_real)
            await self._start_posts(pending.to_post)
            await appointments.remove_pending_messages(pending.appointments)
            posted += len(queued.to_post) + len(pending.to_post)
            if queued.examined or pending.examined:
                continue
            if not queued.is_rate_limited:
                break
            await asyncio.sleep(1 - utc_now().timestamp() % 1)
        return posted

    async def finish(self) -> None:
        """Waits for the posts under way."""
        if self._posts:
            await asyncio.wait(self._posts)

    async def _start_posts(self, rows: Iterable[Row]) -> None:
        for row in rows:
            task = asyncio.create_task(self._post(row))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)
            await asyncio.sleep(rate_limit.pause())  # requests of this process are answered between two posts

    async def _post(self, row: Row) -> None:
        claimed = row.pop("claimed")
        try:
            async with self._connections:
                if asyncio.get_running_loop().time() - claimed > settings.SMS_TIMEOUT_SECONDS:
                    # This process was held up: its lease might lapse during the post. Nothing was sent yet.
                    await repository.requeue(row, at=utc_now())
                    return
                result = await self._carrier.send(to=row["phone"], body=row["body"], attempt_id=row["attempt_id"])
            self.is_carrier_reachable = result.has_response
            await delivery_state.record(row, result)
        except PyMongoError:
            # The lease lapses, and the message is reconciled as if this process had died.
            log.exception("message %s: its outcome could not be recorded", row["_id"])


class Outbox(Dispatcher):
    """Sends and reconciles the messages of this process, in a loop that other tasks may wake."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier)
        self._reconciler = Reconciler(carrier)
        self._is_due = asyncio.Event()

    async def wake(self, _: None = None) -> None:
        """Makes the loop look for messages at once."""
        self._is_due.set()

    async def run(self) -> None:
        """Sends messages until `end` is called, then waits for the responses. Tries again after any failure."""
        while not self._is_ending:
            self._is_due.clear()
            pause: float = SMS_POLL_SECONDS
            try:
                await self.begin()
            except PyMongoError:
                log.warning("messages wait: the database can't be reached")
                pause = 1
            except Exception:  # without this loop no message would be sent any more, and nobody would know
                log.exception("messages wait: sending failed")
                pause = 5
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_due.wait(), pause)
        await self.finish()

    async def reconcile(self) -> int:
        """A job: finds out what became of unknown messages, and measures the queue. Returns how many messages."""
        reconciled = await self._reconciler.reconcile()
        await self.wake()
        await measure_queue()
        return reconciled

    def end(self) -> None:
        """Stops claiming messages. The loop ends when the posts under way have."""
        super().end()
        self._is_due.set()


@asynccontextmanager
async def open_outbox() -> AsyncIterator[Outbox]:
    """Runs the outbox of this process. At the end it waits for the posts under way."""
    async with open_carrier() as carrier:
        outbox = Outbox(carrier)
        messages_pending.connect(outbox.wake)
        loop = asyncio.create_task(outbox.run())
        try:
            yield outbox
        finally:
            messages_pending.disconnect(outbox.wake)
            outbox.end()
            await asyncio.wait([loop], timeout=2 * settings.SMS_TIMEOUT_SECONDS)
            loop.cancel()
