"""Who goes first: the requests that this process is answering, before work that can wait a moment."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.002


class _Traffic:
    """Counts the requests under way in this process."""

    def __init__(self) -> None:
        self.under_way = 0

    def __enter__(self) -> None:
        self.under_way += 1

    def __exit__(self, *_: object) -> None:
        self.under_way -= 1


traffic = _Traffic()
"""Entered for as long as a request is being answered."""


async def requests_first(longest_seconds: float = 0.05) -> None:
    """Waits until this process answers no request; not longer than that, so that work goes on under any load."""
    await asyncio.sleep(0)  # those that have come in meanwhile are taken up
    waited = 0.0
    while traffic.under_way and waited < longest_seconds:
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


async def in_between(items: Iterable[T], at_once: int = 8) -> AsyncIterator[T]:
    """Goes through items that take some computing each, and lets requests come in between."""
    for number, item in enumerate(items):
        if number and number % at_once == 0:
            await requests_first()
        yield item
