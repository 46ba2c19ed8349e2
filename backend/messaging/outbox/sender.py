"""This process's part in sending: a loop, woken when something is owed, that also looks by itself now and then."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from pymongo.errors import PyMongoError

from backend.appointments.events import messages_pending
from backend.core.clock import EPOCH, utc_now
from backend.core.settings import settings
from backend.messaging import event_handlers
from backend.messaging.documents import SmsLog, SmsStatus
from backend.messaging.event_handlers import AHEAD_OF_OTHERS
from backend.messaging.metrics import show_queue
from backend.messaging.outbox.dispatch import Dispatcher
from backend.messaging.outbox.reconcile import Settler
from backend.messaging.twilio.carrier import Carrier, open_carrier

log = logging.getLogger(__name__)

LISTENERS = (event_handlers.call_instead, event_handlers.send_code)
"""What this package does at a word of lower ones; named here, so that they are connected wherever messages go out."""

_IDLE_SECONDS = 5
"""How long at the most what another process owes waits for this one; and how soon a refused post is repeated."""


class Outbox:
    """Dispatches and settles through one carrier."""

    def __init__(self, carrier: Carrier) -> None:
        self._dispatcher = Dispatcher(carrier)
        self._settler = Settler(carrier)
        self._owed = asyncio.Event()
        self._is_ending = False

    @property
    def is_carrier_heard(self) -> bool:
        """Whether the carrier answered when this process last spoke to it."""
        return self._dispatcher.is_heard

    async def wake(self, _: None = None) -> None:
        """Has the loop look at once."""
        self._owed.set()

    async def run(self) -> None:
        """Dispatches until it is told to end, then waits for the answers. Whatever fails, it tries again."""
        while not self._is_ending:
            self._owed.clear()
            wait = _IDLE_SECONDS
            try:
                await self._dispatcher.begin()
            except PyMongoError:
                log.warning("messages wait: the database can't be reached")
                wait = 1
            except Exception:  # without this loop nothing is sent any more, and nothing else would tell
                log.exception("messages wait: dispatching failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._owed.wait(), wait)
        await self._dispatcher.finish()

    async def settle(self) -> int:
        """A job: settles messages of unknown outcome, and counts the queue for the metrics."""
        settled = await self._settler.settle()
        await self.wake()
        await _count_queue()
        return settled

    def end(self) -> None:
        """Claims nothing more. The loop ends once the posts under way have."""
        self._is_ending = True
        self._dispatcher.end()
        self._owed.set()


@asynccontextmanager
async def open_outbox() -> AsyncIterator[Outbox]:
    """The outbox of this process, running. At the end the posts under way are waited for."""
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


async def _count_queue() -> None:
    logs, now = SmsLog.get_pymongo_collection(), utc_now()
    due = {"not_before": {"$gt": EPOCH, "$lte": now}}
    unknown = {"reconcile_at": {"$gt": EPOCH}, "status": SmsStatus.UNKNOWN}
    # Codes are put ahead of the others by an earlier date; they are never old.
    others = {"not_before": {"$gt": now - AHEAD_OF_OTHERS + timedelta(hours=1), "$lte": now}}
    oldest = await logs.find_one(others, {"not_before": 1}, sort=[("not_before", 1)])
    show_queue(
        queued=await logs.count_documents(due),
        unknown=await logs.count_documents(unknown),
        oldest_seconds=(now - oldest["not_before"]).total_seconds() if oldest else 0,
    )
