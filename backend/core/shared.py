"""A read that many ask for in the same moment, carried out once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedRead(Generic[K, T]):
    """Reads by a key, one read of a key at a time. Who asks while one is under way waits for the next, together with
    all others who do. So an answer was always read after the question.
    """

    def __init__(self, read: Callable[[K], Awaitable[T]]) -> None:
        self._read = read
        self._begun: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def __call__(self, key: K) -> T:
        """What the read answers. Raises what it raises."""
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._take_turn(key, self._begun.get(key)))
        # Whoever goes away doesn't take the others' answer along.
        return await asyncio.shield(self._next[key])

    async def _take_turn(self, key: K, before: "asyncio.Task[Any] | None") -> T:
        try:
            if before is not None:
                await asyncio.wait([before])
        finally:
            mine = self._begun[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            if self._begun[key] is mine:
                del self._begun[key]
