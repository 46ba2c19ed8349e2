"""Answers kept in memory, and given again only while the database says that nothing has happened to them since.

A process follows the changes of the collections that answers are made from, and lets go of what a change touches.
Before it gives an answer again it makes sure that it was told of every change, and waits for what is on its way: see
`following`. So nobody gets an older answer than by reading. Where that takes too long, as in a rush of writes, the
database is read as ever.
"""

import asyncio
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
from backend.core.cache.change_stream import Following, Ids
from backend.core.clock import utc_now

T = TypeVar("T")

_MOST_BYTES = 32 * 1024 * 1024
_BYTES_EACH = 4096
"""What an answer takes besides its bytes, or if it is none."""

_BEHIND_SECONDS = 0.02
"""For so long after a change that had happened wasn't told in time, nobody waits for it: the database is read."""


_now = time.perf_counter
"""The event loop's clock stands still for a millisecond: a question put within it would pass for an earlier one."""

_put_at: ContextVar[float | None] = ContextVar("put_at", default=None)


def begin_request(*, only_reads: bool) -> None:
    """Begins a request. One that only reads is one question, in however many parts: what was up to date since it was
    put will do for each. One that writes asks anew each time."""
    _put_at.set(_now() if only_reads else None)


@dataclass(frozen=True, slots=True)
class Cacheable(Generic[T]):
    """What was read, and what it hangs on.

    `depends_on`: the ids that its documents have, or were looked up by; or the name of a collection, where any of
    its documents may matter. `until`: from when (UTC) it is wrong though nothing has changed.
    """

    value: T
    depends_on: Ids
    until: datetime | None = None

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return _BYTES_EACH + (len(self.value) if isinstance(self.value, bytes) else 0)


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Cacheable[Any]
    since: datetime

    def holds(self, now: datetime) -> bool:
        """Whether the clock, which may have been set back, doesn't speak against it."""
        return self.since <= now and (self.answer.until is None or now < self.answer.until)


class _Store:
    """The answers kept by a process, those that were asked for last at the end."""

    def __init__(self, database: AsyncDatabase[Any], collections: Mapping[str, Sequence[str]]) -> None:
        self.following = Following(database, collections, self._tell)
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._keys: dict[Hashable, set[Hashable]] = {}
        self._size = 0
        self._changes = 0
        self._was_up_to_date_at = self._is_behind_until = 0.0

    async def load(self, key: Hashable, read: Callable[[], Awaitable[Cacheable[T]]]) -> T:
        if self.following.is_on and (kept := self._kept.get(key)) is not None:
            if not kept.holds(utc_now()):
                self._drop(key)
            elif await self._is_up_to_date() and self._kept.get(key) is kept:
                self._kept.move_to_end(key)
                metrics.count_from_memory()
                return cast(T, kept.answer.value)
        changes = self._changes
        metrics.count_from_database()
        answer = await read()
        if self.following.is_on and changes == self._changes and key not in self._kept:
            self._keep(key, _Kept(answer, since=utc_now()))
        return answer.value

    async def _is_up_to_date(self) -> bool:
        now = _now()
        if self._was_up_to_date_at >= (_put_at.get() or now):
            return True
        if now < self._is_behind_until:
            return False
        is_up_to_date = await self.following.is_up_to_date()
        if is_up_to_date:
            self._was_up_to_date_at = max(now, self._was_up_to_date_at)
        else:
            self._is_behind_until = _now() + _BEHIND_SECONDS
        return is_up_to_date

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        self._kept[key] = kept
        self._size += kept.answer.size
        for each in kept.answer.depends_on:
            self._keys.setdefault(each, set()).add(key)
        while self._size > _MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        answer = self._kept.pop(key).answer
        self._size -= answer.size
        for each in answer.depends_on:
            self._keys[each].discard(key)
            if not self._keys[each]:
                del self._keys[each]

    def _tell(self, touched: Ids | None) -> None:
        self._changes += 1
        if touched is None:
            self._kept.clear()
            self._keys.clear()
            self._size = 0
            return
        for each in touched & self._keys.keys():
            for key in list(self._keys.get(each, ())):
                self._drop(key)


class Memory:
    """Keeps answers while it follows the database; otherwise everything is read."""

    def __init__(self) -> None:
        self._stores: WeakKeyDictionary[asyncio.AbstractEventLoop, _Store] = WeakKeyDictionary()

    async def load(self, key: Hashable, read: Callable[[], Awaitable[Cacheable[T]]]) -> T:
        """The answer to a question, read if need be; as new as if it were. Raises what `read` raises.

        The value is shared with others: it must not be changed.
        """
        store = self._stores.get(asyncio.get_running_loop())
        return (await read()).value if store is None else await store.load(key, read)

    @asynccontextmanager
    async def following(
        self,
        database: AsyncDatabase[Any],
        waiting: AsyncDatabase[Any],
        collections: Mapping[str, Sequence[str]],
    ) -> AsyncIterator[None]:
        """Follows these collections until the block ends; the parameters are those of `Following`."""
        loop, store = asyncio.get_running_loop(), _Store(database, collections)
        async with store.following.through(waiting):
            self._stores[loop] = store
            try:
                yield
            finally:
                self._stores.pop(loop, None)


memory = Memory()
