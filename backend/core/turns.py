"""Of the processes on one machine, one at a time does a kind of timed work.

Several are no faster than one where they share the processors with the database, and requests wait twice as long
meanwhile (benchmarks/drain.py). It is a courtesy: nothing relies on it, and who can't wait for it goes ahead.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from backend.core.clock import utc_now
from backend.core.machine import is_still_at, open_file, path_of

_POLL_SECONDS = 0.1
_BEAT_SECONDS = 0.5
_STILL_SECONDS = 2
"""Whoever has the turn and wasn't heard of for so long stands still: others go ahead."""


@asynccontextmanager
async def turn_at(work: str, waits: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    """Waits for the turn at this work on this database, as long as `waits()`, and then goes ahead.

    The kernel takes the turn from a process that dies.
    """
    path = path_of(work)
    while (file := open_file(path)) is not None and not _is_ours(file, path):
        stands_still = _stands_still(file)
        os.close(file)
        file = None
        if stands_still or not waits():
            break
        await asyncio.sleep(_POLL_SECONDS)
    if file is None:
        yield
        return
    beat = asyncio.create_task(_beat(file))
    try:
        yield
    finally:
        beat.cancel()
        path.unlink(missing_ok=True)
        os.close(file)


def _is_ours(file: int, path: Path) -> bool:
    """Locks it; False if another process has, or has just removed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return is_still_at(file, path)


def _stands_still(file: int) -> bool:
    return abs(utc_now().timestamp() - os.fstat(file).st_mtime) > _STILL_SECONDS


async def _beat(file: int) -> None:
    while True:
        os.utime(file)
        await asyncio.sleep(_BEAT_SECONDS)
