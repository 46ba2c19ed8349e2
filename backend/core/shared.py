"""A read that many ask for in the same moment, carried out once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedReads(Generic[K, T]):
    """Reads by a key, one read of a key at a time. Who asks while one is under way waits for the next, together with
    all others who do. So an answer was always read after the question.

    Where the one that is under way fails, those who wait hear of it too: nobody waits twice for a database that is
    away.
    """

    def __init__(self) -> None:
        self._begun: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def ask(self, key: K, read: Callable[[K], Awaitable[T]]) -> T:
        """What `read` answers for the key. Raises what it raises."""
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._take_turn(key, read, self._begun.get(key)))
        # Whoever goes away doesn't take the others' answer along.
        return await asyncio.shield(self._next[key])

    async def _take_turn(
        self, key: K, read: Callable[[K], Awaitable[T]], before: "asyncio.Task[T] | None"
    ) -> T:
        try:
            if before is not None:
                await asyncio.wait([before])
        finally:
            mine = self._begun[key] = self._next.pop(key)
        try:
            if before is not None and not before.cancelled() and (fault := before.exception()):
                raise fault
            return await read(key)
        finally:
            if self._begun[key] is mine:
                del self._begun[key]
