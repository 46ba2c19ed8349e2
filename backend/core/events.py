"""How a lower package tells a higher one of a change without importing it."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Signal(Generic[T]):
    """Handlers are awaited in the order in which they were connected; a failure stops the sender."""

    def __init__(self) -> None:
        self._handlers: list[Callable[[T], Awaitable[None]]] = []

    def connect(self, handler: Callable[[T], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
        """Adds a handler. Usable as a decorator."""
        self._handlers.append(handler)
        return handler

    def disconnect(self, handler: Callable[[T], Awaitable[None]]) -> None:
        """Takes a handler away; raises `ValueError` if it isn't connected."""
        self._handlers.remove(handler)

    async def send(self, subject: T) -> None:
        """Tells every handler."""
        for handler in self._handlers:
            await handler(subject)
