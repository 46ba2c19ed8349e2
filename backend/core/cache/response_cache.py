"""Keeps what was read, and returns it again only while the database confirms that nothing has changed since.

A process follows the changes of the collections that are read, and drops what a change touches. Before it returns a
kept value it makes sure that it has received every change: see `change_stream`. So no answer is older than reading
would give. While that can't be confirmed, as in a rush of writes, every request reads the database.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from pymongo.asynchronous.database import AsyncDatabase

from backend.core import metrics
from backend.core.cache.change_stream import ChangeStream, Ids
from backend.core.clock import utc_now
from backend.core.settings import settings

T = TypeVar("T")
Database = AsyncDatabase[dict[str, Any]]

log = logging.getLogger(__name__)

_MOST_BYTES = 32 * 1024 * 1024
_BYTES_EACH = 4096
"""What an entry takes besides its bytes, or if its value isn't bytes."""

_BEHIND_SECONDS = 0.02
"""After a change that didn't arrive in time, nobody waits for another one for so long."""

_now = time.perf_counter
"""The event loop's clock stands still for a millisecond: a question in it would pass for an earlier one."""

_asked_at: ContextVar[float | None] = ContextVar("asked_at", default=None)


def begin_request(*, only_reads: bool) -> None:
    """Begins a request. All reads of one that only reads need to be current as of its beginning; one that writes
    asks anew each time."""
    _asked_at.set(_now() if only_reads else None)


@dataclass(frozen=True, slots=True)
class Cacheable(Generic[T]):
    """What was read, and what it depends on.

    `depends_on`: the ids of its documents, or by which they were looked up; or a collection's name, where any of its
    documents may matter. `until` (UTC): when it becomes wrong though nothing has changed.
    """

    value: T
    depends_on: Ids
    until: datetime | None = None

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return _BYTES_EACH + (len(self.value) if isinstance(self.value, bytes) else 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    found: Cacheable[Any]
    since: datetime

    def is_valid(self, now: datetime) -> bool:
        """Whether the clock, which may have been set back, allows it."""
        return self.since <= now and (self.found.until is None or now < self.found.until)


class _Store:
    """The entries of one process; the least recently used first."""

    def __init__(self, database: Database, collections: Mapping[str, Sequence[str]]) -> None:
        self.stream = ChangeStream(database, collections, self._invalidate)
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._keys: dict[Hashable, set[Hashable]] = {}
        self._size = 0
        self._changes = 0
        self._current_at = self._behind_until = 0.0

    async def load(self, key: Hashable, read: Callable[[], Awaitable[Cacheable[T]]]) -> T:
        if self.stream.is_on and (entry := self._entries.get(key)) is not None:
            if not entry.is_valid(utc_now()):
                self._drop(key)
            elif await self._is_current() and self._entries.get(key) is entry:
                self._entries.move_to_end(key)
                metrics.count_cache_hit()
                return cast(T, entry.found.value)
        changes = self._changes
        metrics.count_cache_miss()
        found = await read()
        if self.stream.is_on and changes == self._changes and key not in self._entries:
            self._keep(key, _Entry(found, since=utc_now()))
        return found.value

    async def _is_current(self) -> bool:
        now = _now()
        if self._current_at >= (_asked_at.get() or now):
            return True
        if now < self._behind_until:
            return False
        if await self.stream.is_current():
            self._current_at = max(now, self._current_at)
            return True
        self._behind_until = _now() + _BEHIND_SECONDS
        return False

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        self._entries[key] = entry
        self._size += entry.found.size
        for each in entry.found.depends_on:
            self._keys.setdefault(each, set()).add(key)
        while self._size > _MOST_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        found = self._entries.pop(key).found
        self._size -= found.size
        for each in found.depends_on:
            self._keys[each].discard(key)
            if not self._keys[each]:
                del self._keys[each]

    def _invalidate(self, touched: Ids | None) -> None:
        self._changes += 1
        if touched is None:
            self._entries.clear()
            self._keys.clear()
            self._size = 0
            return
        for each in touched & self._keys.keys():
            for key in list(self._keys.get(each, ())):
                self._drop(key)


class ResponseCache:
    """Keeps values while it follows the database; otherwise everything is read."""

    def __init__(self) -> None:
        self._stores: WeakKeyDictionary[asyncio.AbstractEventLoop, _Store] = WeakKeyDictionary()

    async def load(self, key: Hashable, read: Callable[[], Awaitable[Cacheable[T]]]) -> T:
        """The value for a key, read if it isn't kept; as new as if it were read. Raises what `read` raises.

        The value is shared with others: it must not be changed.
        """
        store = self._stores.get(asyncio.get_running_loop())
        return (await read()).value if store is None else await store.load(key, read)

    @asynccontextmanager
    async def running(
        self, database: Database, waiting: Database, collections: Mapping[str, Sequence[str]]
    ) -> AsyncIterator[None]:
        """Keeps what `load` reads from these collections until the block ends, if RESPONSE_CACHE_ENABLED.

        The parameters are those of `ChangeStream`.
        """
        metrics.cache_on.set(settings.RESPONSE_CACHE_ENABLED)
        if not settings.RESPONSE_CACHE_ENABLED:
            log.info("response cache off, every request reads the database: RESPONSE_CACHE_ENABLED is false")
            yield
            return
        loop, store = asyncio.get_running_loop(), _Store(database, collections)
        async with store.stream.running(waiting):
            self._stores[loop] = store
            try:
                yield
            finally:
                self._stores.pop(loop, None)


response_cache = ResponseCache()
