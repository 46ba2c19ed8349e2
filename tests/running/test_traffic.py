"""Requests go first: what can wait a moment waits while one is being answered, and not longer than it may."""

import asyncio
from collections.abc import Callable

import httpx
from fastapi import FastAPI

from backend.core.middleware import Requests
from backend.core.traffic import in_between, requests_first, traffic


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
