"""Of the processes on one machine, one at a time does a kind of timed work.

Several are no faster than one where they share the processors with the database, and requests wait twice as long
meanwhile (benchmarks/drain.py). It is a courtesy: nothing relies on it, and who can't wait for it goes ahead.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from backend.core.settings import settings

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_BEAT_SECONDS = 0.5
_STILL_SECONDS = 2
"""Whoever has the turn and wasn't heard of for so long stands still: others go ahead."""


@asynccontextmanager
async def turn_at(work: str) -> AsyncIterator[None]:
    """Waits for the turn at this work on this database. The kernel takes it from a process that dies."""
    file = _open(work)
    if file is None:
        yield
        return
    try:
        while not _locked(file) and not _stands_still(file):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(_POLL_SECONDS)
        beat = asyncio.create_task(_beat(file))
        try:
            yield
        finally:
            beat.cancel()
    finally:
        os.close(file)


def _open(work: str) -> int | None:
    about = f"{settings.MONGODB_URL} {settings.DATA_DIR.absolute()} {settings.DATABASE_NAME} {work}"
    name = f"clinic-{os.getuid()}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.turn"
    try:
        return os.open(
            Path(tempfile.gettempdir(), name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        log.debug("no turns are taken at %s: %s", work, error)
        return None


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _stands_still(file: int) -> bool:
    return abs(time.time() - os.fstat(file).st_mtime) > _STILL_SECONDS


async def _beat(file: int) -> None:
    while True:
        os.utime(file)
        await asyncio.sleep(_BEAT_SECONDS)
