"""Reads that many ask for at once: few are carried out, and each answer was read after its question."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from backend.core.mongo.batching import SingleFlight


class Counter:
    """A read that takes a moment and answers the number that stood there when it began."""

    def __init__(self) -> None:
        self.now = 0
        self.reads = 0
        self.may_end = asyncio.Event()

    async def read(self, key: str) -> tuple[str, int]:
        self.reads += 1
        if key == "broken":
            raise LookupError(key)
        seen = self.now
        await self.may_end.wait()
        if key == "away":
            raise TimeoutError(key)
        return key, seen


def sharing(counter: Counter) -> Callable[[str], Coroutine[Any, Any, tuple[str, int]]]:
    """The counter's read, shared."""
    reads: SingleFlight[str, tuple[str, int]] = SingleFlight()
    return lambda key: reads.load(key, counter.read)


async def soon(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Begun, and as far as it comes by itself."""
    task = asyncio.create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


def test_whoever_asks_while_a_read_is_under_way_gets_a_later_one() -> None:
    async def scene() -> None:
        counter = Counter()
        shared = sharing(counter)
        first = await soon(shared("slot"))
        counter.now = 1
        late = [await soon(shared("slot")) for _ in range(50)]
        other = await soon(shared("another"))
        counter.may_end.set()
        assert await first == ("slot", 0)
        assert await asyncio.gather(*late) == [("slot", 1)] * 50
        assert await other == ("another", 1)
        assert counter.reads == 3
        counter.now = 2
        assert await shared("slot") == ("slot", 2)

    asyncio.run(scene())


def test_those_who_ask_at_once_share_one_read() -> None:
    async def scene() -> None:
        counter = Counter()
        counter.may_end.set()
        shared = sharing(counter)
        assert await asyncio.gather(*(shared("slot") for _ in range(50))) == [("slot", 0)] * 50
        assert counter.reads == 1

    asyncio.run(scene())


def test_one_who_goes_away_takes_no_answer_along() -> None:
    async def scene() -> None:
        counter = Counter()
        shared = sharing(counter)
        first, second = await soon(shared("slot")), await soon(shared("slot"))
        third = await soon(shared("slot"))
        for gone in (first, second):
            gone.cancel()
        counter.may_end.set()
        assert await third == ("slot", 0)

    asyncio.run(scene())


def test_whoever_waits_for_a_read_that_fails_in_the_end_does_not_wait_for_another() -> None:
    async def scene() -> None:
        counter = Counter()
        shared = sharing(counter)
        asked = [await soon(shared("away")) for _ in range(3)]
        counter.may_end.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [TimeoutError] * 3
        assert counter.reads == 1
        with pytest.raises(TimeoutError):
            await shared("away")
        assert counter.reads == 2

    asyncio.run(scene())


def test_a_read_that_fails_fails_for_those_who_waited_and_is_tried_anew() -> None:
    async def scene() -> None:
        counter = Counter()
        shared = sharing(counter)
        answers = await asyncio.gather(*(shared("broken") for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [LookupError] * 3
        with pytest.raises(LookupError):
            await shared("broken")
        assert counter.reads == 2

    asyncio.run(scene())
