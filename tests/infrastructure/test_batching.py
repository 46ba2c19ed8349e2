"""What comes together is one command, and everybody gets the answer, or the refusal, that asking alone would give."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, DuplicateKeyError
from pymongo.monitoring import CommandListener, CommandStartedEvent

from backend.core.mongo.batching import LARGEST_BATCH, Batcher, Collection, inserts, reads_by_id
from backend.core.settings import settings

Db = Database[dict[str, Any]]
NAME = "gathered"


class Commands(CommandListener):
    """Notes what is sent about the collection."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get(event.command_name) == NAME:
            self.names.append(event.command_name)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


def on_collection(db: Db, work: Callable[[Collection], Awaitable[Any]]) -> tuple[Any, list[str]]:
    """What the work answers, and the commands that it took. The collection has an index on (place, start)."""
    db[NAME].drop()
    db[NAME].insert_many([{"_id": n, "place": n % 3, "start": 100 - n, "more": "x"} for n in range(60)])
    db[NAME].create_index([("place", 1), ("start", 1)])
    db[NAME].create_index("seat", unique=True, partialFilterExpression={"seat": {"$gte": 0}})
    commands = Commands()

    async def run() -> Any:
        async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URL"], event_listeners=[commands]) as client:
            return await work(client[db.name][NAME])

    try:
        return asyncio.run(run()), commands.names
    finally:
        db[NAME].drop()


def test_reads_of_the_same_moment_are_one_command(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        reads = reads_by_id(lambda: collection)
        return await asyncio.gather(*(reads.load(wanted) for wanted in (3, 99, 5, 3)))

    found, commands = on_collection(db, work)
    assert [row and row["_id"] for row in found] == [3, None, 5, 3]
    assert commands == ["find"]


def test_a_read_is_never_older_than_its_question(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        reads = reads_by_id(lambda: collection)
        before = asyncio.create_task(reads.load(1))
        for _ in range(3):
            await asyncio.sleep(0)
        await collection.update_one({"_id": 1}, {"$set": {"more": "y"}})
        return (await reads.load(1))["more"], (await before)["_id"]

    (found, _) = on_collection(db, work)
    assert found == ("y", 1)


def test_no_command_reads_for_all_of_a_rush(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        reads = reads_by_id(lambda: collection)
        return await asyncio.gather(*map(reads.load, range(2 * LARGEST_BATCH + 1)))

    found, commands = on_collection(db, work)
    assert [row["_id"] for row in found] == list(range(2 * LARGEST_BATCH + 1))
    assert commands == ["find"] * 3


def test_without_batching_each_is_sent_by_itself(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REQUEST_BATCHING_ENABLED", False)

    async def work(collection: Collection) -> Any:
        reads = reads_by_id(lambda: collection)
        return await asyncio.gather(*map(reads.load, range(3)))

    _, commands = on_collection(db, work)
    assert commands == ["find"] * 3


def test_of_those_who_want_one_seat_in_the_same_moment_one_gets_it(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        insert = inserts(lambda: collection)
        documents = [{"_id": 1000 + n, "seat": n // 3, "reason": "private"} for n in range(12)]
        return await asyncio.gather(*map(insert.load, documents), return_exceptions=True), await collection.find(
            {"_id": {"$gte": 1000}}
        ).to_list()

    (answers, stored), commands = on_collection(db, work)
    refused = [answer for answer in answers if answer is not None]
    assert commands[0] == "insert"
    assert commands.count("insert") == 1
    assert sorted(row["seat"] for row in stored) == [0, 1, 2, 3]
    assert [number for number, answer in enumerate(answers) if answer is None] == [
        row["_id"] - 1000 for row in stored
    ]
    assert len(refused) == 8
    for refusal in refused:
        assert isinstance(refusal, DuplicateKeyError)
        assert refusal.details
        assert refusal.details["keyPattern"] == {"seat": 1}
        assert "private" not in str(refusal)


def test_a_refusal_alone_and_among_others_tells_the_same(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        insert = inserts(lambda: collection)
        with pytest.raises(DuplicateKeyError) as alone:
            await insert.load({"_id": 1})
        found = await asyncio.gather(insert.load({"_id": 500}), insert.load({"_id": 1}), return_exceptions=True)
        return alone.value, found

    (alone, (taken, among)), _ = on_collection(db, work)
    assert taken is None
    assert (type(among), among.code, among.details["keyPattern"]) == (
        type(alone),
        alone.code,
        alone.details["keyPattern"],
    )


def test_what_cannot_be_written_spoils_nothing_for_the_others(db: Db) -> None:
    async def work(collection: Collection) -> Any:
        insert, reads = inserts(lambda: collection), reads_by_id(lambda: collection)
        documents: list[Any] = [
            {"_id": 1000},
            {"_id": 1001, "text": "\ud800"},
            {"_id": 1002, "number": 2**70},
        ]
        stored = await asyncio.gather(*map(insert.load, documents), return_exceptions=True)
        found = await asyncio.gather(*map(reads.load, (1000, 2**70, 1)), return_exceptions=True)
        return stored, found

    (stored, found), _ = on_collection(db, work)
    assert [type(each) for each in stored] == [type(None), UnicodeEncodeError, OverflowError]
    assert [type(each) for each in found] == [dict, OverflowError, dict]


def test_a_failure_is_heard_by_all_who_asked_and_by_nobody_after_them() -> None:
    asked: list[Sequence[int]] = []

    async def answer_all(questions: Sequence[int]) -> Sequence[int]:
        asked.append(questions)
        if len(asked) == 1:
            raise AutoReconnect
        return [question * 2 for question in questions]

    async def check() -> Any:
        gathered = Batcher("test", answer_all)
        first = await asyncio.gather(gathered.load(1), gathered.load(2), return_exceptions=True)
        return first, await gathered.load(3)

    first, second = asyncio.run(check())
    assert [type(answer) for answer in first] == [AutoReconnect, AutoReconnect]
    assert second == 6
    assert asked == [[1, 2], [3]]


def test_whoever_goes_away_takes_nobodys_answer_along() -> None:
    async def answer_all(questions: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0.05)
        return questions

    async def check() -> Any:
        gathered = Batcher("test", answer_all)
        leaves, stays = asyncio.create_task(gathered.load(1)), asyncio.create_task(gathered.load(2))
        await asyncio.sleep(0.01)
        leaves.cancel()
        return await stays, leaves.cancelled()

    assert asyncio.run(check()) == (2, True)


def test_a_slow_answer_holds_up_nobody_who_asks_later() -> None:
    async def answer_all(questions: Sequence[float]) -> Sequence[float]:
        await asyncio.sleep(questions[0])
        return questions

    async def check() -> bool:
        gathered = Batcher("test", answer_all)
        slow = asyncio.create_task(gathered.load(5))
        await asyncio.sleep(0.01)
        await gathered.load(0)
        was_waiting = not slow.done()
        slow.cancel()
        return was_waiting

    assert asyncio.run(check())
