"""Requests go first: what can wait a moment waits while one is being answered, and not longer than it may."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from subprocess import PIPE, Popen

import httpx
import pytest
from fastapi import FastAPI

from backend.core.http.middleware import Requests
from backend.core.machine import path_of
from backend.core.settings import settings
from backend.core.traffic import in_between, requests_first, traffic

ANSWERS = """
import sys
from backend.core.traffic import traffic

with traffic.shared():
    with traffic:
        print("answers", flush=True)
        sys.stdin.readline()
    print("has answered", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[Popen[str]]:
    """Another process on this machine, which is answering a request until it is written a line."""
    monkeypatch.setattr(settings, "DATABASE_NAME", "traffic")  # nobody's but theirs
    environment = {**os.environ, "MONGODB_URL": settings.MONGODB_URL, "DATABASE_NAME": settings.DATABASE_NAME}
    command = [sys.executable, "-c", ANSWERS]
    with Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True) as process:
        said(process, "answers")
        yield process
        process.kill()


def said(process: Popen[str], words: str) -> None:
    assert process.stdout
    assert process.stdout.readline() == f"{words}\n"


def tell(process: Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def is_quiet(seconds: float) -> bool:
    """Whether no request is under way before so many seconds have passed."""
    return asyncio.run(requests_first(longest_seconds=seconds))


def test_work_waits_for_the_requests_of_other_processes_on_this_machine(other: Popen[str]) -> None:
    with traffic.shared():
        assert not is_quiet(0.3)
        tell(other)
        said(other, "has answered")
        assert is_quiet(0.3)
    assert is_quiet(0.3)


def test_nobody_waits_long_for_a_process_that_has_died_amid_a_request(other: Popen[str]) -> None:
    with traffic.shared():
        other.kill()
        other.wait()
        assert is_quiet(3)


def test_the_last_process_takes_the_board_away(other: Popen[str]) -> None:
    with traffic.shared():
        pass
    assert path_of("traffic").exists()
    tell(other)
    tell(other)
    assert other.wait(10) == 0
    assert not path_of("traffic").exists()


def test_where_there_can_be_no_board_each_process_goes_by_its_own_requests(
    other: Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with traffic.shared():
        assert is_quiet(0.3)
        with traffic:
            assert not is_quiet(0.1)


def test_nobody_waits_when_no_request_is_under_way() -> None:
    async def check() -> None:
        async with asyncio.timeout(1):
            await requests_first(longest_seconds=60)

    asyncio.run(check())


def test_work_waits_until_the_request_is_answered() -> None:
    async def check() -> None:
        with traffic:
            waiting = asyncio.create_task(requests_first(longest_seconds=60))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        async with asyncio.timeout(5):
            await waiting

    asyncio.run(check())


def test_requests_come_in_between_items_that_take_computing() -> None:
    async def check() -> list[int]:
        done: list[int] = []

        async def go_through() -> None:
            async for item in in_between(range(20), at_once=8):
                done.append(item)

        with traffic:
            task = asyncio.create_task(go_through())
            await asyncio.sleep(0.02)
            assert done == list(range(8))
        await task
        return done

    assert asyncio.run(check()) == list(range(20))


def test_under_any_load_work_goes_on_after_a_while() -> None:
    async def check() -> None:
        with traffic:
            async with asyncio.timeout(5):
                await requests_first(longest_seconds=0.02)

    asyncio.run(check())


def test_a_request_counts_from_its_beginning_to_its_end_even_if_it_fails(
    expected_errors: Callable[[], list[str]],
) -> None:
    app, seen = FastAPI(), []
    app.add_middleware(Requests)

    @app.get("/")
    async def fail() -> None:
        seen.append(traffic.under_way)
        raise ConnectionError

    async def check() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return (await client.get("/")).status_code

    before = traffic.under_way
    assert asyncio.run(check()) == 500
    assert seen == [before + 1]
    assert traffic.under_way == before
    assert len(expected_errors()) == 1
