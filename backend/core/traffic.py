"""Who goes first: the requests that are being answered, before work that can wait a moment.

Processes on one machine share its processors, so each shows the others on a board whether it is answering.
"""

import asyncio
import fcntl
import mmap
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from backend.core.machine import is_still_at, open_file, path_of

T = TypeVar("T")

_POLL_SECONDS = 0.002

_PLACES = 256
"""Numbers on the board, one for a process; two that share one are seldom wrong, and only by a moment."""
_LONGEST_SECONDS = 1
"""A request that is said to take longer may be that of a process which has died."""


class _Traffic:
    """Counts the requests under way in this process."""

    def __init__(self) -> None:
        self.under_way = 0
        self._board = _own_board()
        self._place = os.getpid() % _PLACES

    def __enter__(self) -> None:
        self.under_way += 1
        self._board[self._place] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.under_way -= 1
        if not self.under_way:
            self._board[self._place] = 0

    def is_on(self) -> bool:
        """Whether a request is being answered: by this process, or by another that shares its board with it."""
        now = time.monotonic()
        return self.under_way > 0 or any(
            0 <= now - since < _LONGEST_SECONDS for since in self._board if since
        )

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Shares a board with the other processes on this machine that work on the same database."""
        path = path_of("traffic")
        file = _open(path)
        if file is None:
            yield
            return
        os.ftruncate(file, self._board.nbytes)
        with mmap.mmap(file, 0) as memory, memoryview(memory).cast("d") as board:
            self._board = board
            try:
                yield
            finally:
                board[self._place] = 0
                if self._board is board:
                    self._board = _own_board()
        _close(file, path)


def _own_board() -> "memoryview[float]":
    return memoryview(bytearray(8 * _PLACES)).cast("d")


def _open(path: Path) -> int | None:
    """Opens the board, and holds a lock on it that all who use it share."""
    while (file := open_file(path)) is not None:
        fcntl.flock(file, fcntl.LOCK_SH)
        if is_still_at(file, path):
            break
        os.close(file)
    return file


def _close(file: int, path: Path) -> None:
    """Lets go of the board; the last one removes it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        pass  # others use it
    os.close(file)


traffic = _Traffic()
"""Entered for as long as a request is being answered."""


async def requests_first(longest_seconds: float = 0.05) -> bool:
    """Waits until no request is being answered; not longer than that, so that work goes on under any load.

    Answers whether none is being answered now.
    """
    await asyncio.sleep(0)  # those that have come in meanwhile are taken up
    waited = 0.0
    while traffic.is_on() and waited < longest_seconds:
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
    return waited < longest_seconds


async def in_between(items: Iterable[T], at_once: int = 8) -> AsyncIterator[T]:
    """Goes through items that take some computing each, and lets requests come in between."""
    for number, item in enumerate(items):
        if number and number % at_once == 0:
            await requests_first()
        yield item
