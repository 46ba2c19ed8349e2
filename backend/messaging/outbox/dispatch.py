"""Sends what is owed and queued, through a carrier. Every process may do so at once."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from pymongo.errors import PyMongoError

from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging.outbox import delivery_state, enqueue
from backend.messaging.outbox.claim import claim_pending, claim_queued
from backend.messaging.twilio.carrier import IN_FLIGHT, Carrier, PostResult

log = logging.getLogger(__name__)

_AT_HAND = 80
"""Messages claimed at one time, those included whose outcome is being written down. Were this process to die, the
outcome of all of them would be unknown. More are sent faster, and hold requests up longer (benchmarks/drain.py)."""

_FEWEST = _AT_HAND // 4
"""Messages that must be through before the next are claimed: one by one would cost a read for each."""

Row = dict[str, Any]


class Dispatcher:
    """Sends messages through a carrier, so many at a time."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._posts: set[asyncio.Task[None]] = set()
        self._lines = asyncio.Semaphore(IN_FLIGHT)
        self._is_ending = False
        self.is_heard = True
        """Whether the carrier answered when it was last spoken to."""

    def end(self) -> None:
        """Claims nothing more."""
        self._is_ending = True

    async def dispatch(self) -> int:
        """Takes over what is owed, sends until nothing is due and waits for the answers. How many were posted."""
        posted = await self.begin()
        await self.finish()
        return posted

    async def begin(self) -> int:
        """Takes over what is owed and begins to post until nothing is due: a slow answer holds nobody else up."""
        posted, is_real = 0, self._carrier.is_real
        while not self._is_ending:
            await self._wait_for_room()
            room = _AT_HAND - len(self._posts)
            queued = await claim_queued(room, is_real=is_real)  # first of all: codes are among them
            self._post_all(queued.to_post)
            # Some at a time: however much comes in, what was taken over is sent in between.
            pending_messages = await claim_pending(
                0 if queued.is_paced else room - len(queued.to_post), is_real=is_real
            )
            self._post_all(pending_messages.to_post)
            await enqueue.strike(pending_messages.appointments)
            posted += len(queued.to_post) + len(pending_messages.to_post)
            if queued.looked_at or pending_messages.looked_at:
                continue
            if not queued.is_paced:
                break
            await asyncio.sleep(1 - utc_now().timestamp() % 1)
        return posted

    async def finish(self) -> None:
        """Waits for the posts under way."""
        if self._posts:
            await asyncio.wait(self._posts)

    async def _wait_for_room(self) -> None:
        while len(self._posts) > _AT_HAND - _FEWEST:
            await asyncio.wait(self._posts, return_when=asyncio.FIRST_COMPLETED)

    def _post_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            task = asyncio.create_task(self._post(row))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)

    async def _post(self, row: Row) -> None:
        claimed = row.pop("claimed")
        try:
            async with self._lines:
                if asyncio.get_running_loop().time() - claimed > settings.SMS_TIMEOUT_SECONDS:
                    # This process was held up, and its lease may lapse while it posts. Nothing was sent yet.
                    await delivery_state.put_back(row, at=utc_now())
                    return
                posted = await self._carrier.post(
                    to=row["phone"], body=row["body"], attempt_id=row["attempt_id"]
                )
            self.is_heard = posted.outcome is not PostResult.UNKNOWN and not posted.is_unheard
            await delivery_state.record(row, posted)
        except PyMongoError:
            # The lease lapses, and the message is settled like one whose process has died.
            log.exception("message %s: its outcome could not be recorded", row["_id"])
