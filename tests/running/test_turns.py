"""Processes of one machine take turns at timed work; whoever dies, stands still or can't ask holds nobody up."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from backend.core.machine import path_of
from backend.core.settings import settings
from backend.core.turns import turn_at

HOLDS_IT = """
import asyncio
from backend.core.turns import turn_at

async def hold():
    async with turn_at("test"):
        print("has it", flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


@pytest.fixture
def holder() -> Iterator[Popen[str]]:
    """Another process, which has the turn."""
    environment = {**os.environ, "MONGODB_URL": settings.MONGODB_URL, "DATABASE_NAME": settings.DATABASE_NAME}
    with Popen([sys.executable, "-c", HOLDS_IT], env=environment, stdout=PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


def turn_files() -> list[Path]:
    """Those that are there now, of this database."""
    return [path for path in [path_of("test"), path_of("other work")] if path.exists()]


def waited(seconds: float) -> float | None:
    """How long this process waits for the turn, seconds; None if it doesn't get it in so many."""

    async def ask() -> float:
        began = time.monotonic()
        async with asyncio.timeout(seconds), turn_at("test"):
            return time.monotonic() - began

    try:
        return asyncio.run(ask())
    except TimeoutError:
        return None


def test_another_process_has_to_wait_until_the_first_has_ended(holder: Popen[str]) -> None:
    assert waited(3) is None  # longer than somebody may stand still
    holder.kill()
    holder.wait()
    assert waited(1) is not None
    assert not turn_files()  # nothing is left behind


def test_nobody_waits_for_a_process_that_stands_still(holder: Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    took = waited(10)
    assert took is not None
    assert took > 0.5


def test_turns_at_different_work_are_different_turns(holder: Popen[str]) -> None:
    async def ask() -> None:
        async with asyncio.timeout(1), turn_at("other work"):
            pass

    asyncio.run(ask())


def test_who_is_told_to_end_stops_waiting(holder: Popen[str]) -> None:
    async def ask() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, told.set)
        async with asyncio.timeout(1), turn_at("test", lambda: not told.is_set()):
            assert told.is_set()

    asyncio.run(ask())


def test_where_no_file_can_be_made_nobody_waits(holder: Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert waited(1) is not None
