"""What is answered from memory is never older than what reading would give."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import Timestamp
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.database import Database

from backend.core import following
from backend.core.clock import utc_now
from backend.core.memory import Answer, Memory, put_now

Document = dict[str, Any]
Db = Database[Document]
NAME, OTHER = "remembered", "not_remembered"
LOOKED_UP_BY = {NAME: ("owner", "place")}


@dataclass
class Book:
    """A memory over a small collection, and how often it was read."""

    memory: Memory
    client: AsyncMongoClient[Document]
    db: Db
    reads: list[str] = field(default_factory=list)
    between: Callable[[], Awaitable[None]] | None = None

    async def of(self, owner: str, *, until: datetime | None = None) -> list[int]:
        """The owner's documents."""

        async def read() -> Answer[list[int]]:
            self.reads.append(owner)
            rows = await self.client[self.db.name][NAME].find({"owner": owner}).sort("_id").to_list()
            if self.between:
                await self.between()
            return Answer([row["_id"] for row in rows], depends_on=frozenset([owner]), until=until)

        return await self.memory.ask(owner, read)

    async def how_many(self) -> int:
        """Of everybody."""

        async def read() -> Answer[int]:
            self.reads.append("all")
            count = await self.client[self.db.name][NAME].count_documents({"_id": {"$gte": 0}})
            return Answer(count, depends_on=frozenset([NAME]))

        return await self.memory.ask("all", read)

    async def warm(self, *owners: str) -> None:
        """Returns when what is asked for these owners comes from memory."""
        deadline = time.monotonic() + 10
        for owner in owners:
            while time.monotonic() < deadline:
                before = len(self.reads)
                await self.of(owner)
                if len(self.reads) == before:
                    break
                await asyncio.sleep(0.005)
            else:
                raise AssertionError("nothing comes from memory")
        self.reads.clear()

    def add(self, number: int, owner: str, **more: Any) -> None:
        """As another process would."""
        self.db[NAME].insert_one({"_id": number, "owner": owner, "place": "here", **more})


@pytest.fixture
def collection(db: Db) -> Iterator[Db]:
    """The server's database, with a small collection in it."""
    db[NAME].drop()
    db[NAME].create_index("owner")
    db[NAME].insert_many([{"_id": n, "owner": "ab"[n % 2], "place": "here"} for n in range(10)])
    yield db
    db[NAME].drop()
    db[OTHER].drop()


@asynccontextmanager
async def book_in(db: Db) -> Any:
    """A book whose memory follows."""
    url = os.environ["MONGODB_URL"]
    async with (
        AsyncMongoClient[Document](url, timeoutMS=5000) as client,
        AsyncMongoClient[Document](url) as waiting,
    ):
        memory = Memory()
        async with memory.following(client[db.name], waiting[db.name], LOOKED_UP_BY):
            yield Book(memory, client, db)


def in_book(db: Db, work: Callable[[Book], Awaitable[Any]]) -> Any:
    """What the work answers."""

    async def run() -> Any:
        async with book_in(db) as book:
            return await work(book)

    return asyncio.run(run())


def test_what_has_not_changed_is_not_read_again(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a", "b")
        for _ in range(20):
            assert await book.of("a") == [0, 2, 4, 6, 8]
        collection[OTHER].insert_one({"owner": "a"})
        assert len(book.reads) <= 1  # for a moment it can't be told from a change that matters

    in_book(collection, work)


def test_nobody_gets_an_older_answer_than_the_last_write_that_was_answered(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        loosely = collection[NAME].with_options(write_concern=WriteConcern(w=1))
        for number in range(100, 300, 2):
            book.add(number, "a")
            assert (await book.of("a"))[-1] == number
            await asyncio.sleep((number % 10) / 1000)
            loosely.delete_one({"_id": number})
            assert (await book.of("a"))[-1] != number
            await asyncio.sleep((number % 14) / 1000)

    in_book(collection, work)


def test_two_processes_memories_agree_with_what_either_was_told(collection: Db) -> None:
    async def run() -> None:
        async with book_in(collection) as one, book_in(collection) as other:
            await one.warm("a")
            await other.warm("a")
            for number in range(100, 200):
                await one.client[collection.name][NAME].insert_one(
                    {"_id": number, "owner": "a", "place": "here"}
                )
                answers = await asyncio.gather(*(each.of("a") for each in (one, other) * 3))
                assert {answer[-1] for answer in answers} == {number}

    asyncio.run(run())


OF_B = [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("change", "of_a", "of_b", "reads"),
    [
        (lambda db: db.insert_one({"_id": 20, "owner": "a", "place": "x"}), [0, 2, 4, 6, 8, 20], OF_B, "a"),
        (lambda db: db.update_one({"_id": 2}, {"$set": {"more": 1}}), [0, 2, 4, 6, 8], OF_B, "a"),
        (lambda db: db.update_one({"_id": 1}, {"$set": {"owner": "a"}}), [0, 1, 2, 4, 6, 8], OF_B[1:], "ab"),
        (lambda db: db.replace_one({"_id": 1}, {"owner": "a"}), [0, 1, 2, 4, 6, 8], OF_B[1:], "ab"),
        (lambda db: db.update_one({"_id": 1}, {"$unset": {"owner": 1}}), [0, 2, 4, 6, 8], OF_B[1:], "ab"),
        (lambda db: db.delete_one({"_id": 0}), [2, 4, 6, 8], OF_B, "ab"),
        (lambda db: db.insert_one({"_id": 20, "owner": "a"}), [0, 2, 4, 6, 8, 20], OF_B, "ab"),
        (lambda db: db.drop(), [], [], "ab"),
    ],
    ids=["insert", "update", "goes over", "replace", "belongs to none", "delete", "not like others", "drop"],
)
def test_a_change_touches_whoever_the_document_belongs_to_and_belonged_to(
    collection: Db, change: Callable[[Any], Any], of_a: list[int], of_b: list[int], reads: str
) -> None:
    async def work(book: Book) -> None:
        await book.warm("a", "b")
        change(collection[NAME])
        await _told()
        assert await book.of("a") == of_a
        await _told()
        assert await book.of("b") == of_b
        assert book.reads == list(reads)

    in_book(collection, work)


def test_what_hangs_on_a_whole_collection_is_touched_by_any_change_in_it(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        assert await book.how_many() == await book.how_many() == 10
        assert book.reads == ["all"]
        book.add(20, "c")
        assert await book.how_many() == 11

    in_book(collection, work)


def test_what_changes_while_it_is_read_is_not_kept(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("b")

        async def meanwhile() -> None:
            book.between = None
            book.add(20, "a")
            await _told()

        book.between = meanwhile
        assert await book.of("a") == [0, 2, 4, 6, 8]
        assert await book.of("a") == [0, 2, 4, 6, 8, 20]

    in_book(collection, work)


def test_an_answer_holds_until_its_time_and_not_for_a_clock_set_back(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        now = utc_now()
        monkeypatch.setattr("backend.core.memory.utc_now", lambda: now)
        for _ in range(2):
            await book.of("b", until=now + timedelta(minutes=1))
        assert book.reads == ["b"]
        for later in (timedelta(minutes=1), timedelta(0)):
            monkeypatch.setattr("backend.core.memory.utc_now", lambda later=later: now + later)
            await book.of("b", until=now + timedelta(hours=1))
        assert book.reads == ["b"] * 3

    in_book(collection, work)


def test_one_question_is_checked_once_and_the_next_one_anew(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a", "b")
        checks = _count_checks(book)

        async def ask_both() -> list[list[int]]:
            put_now()
            return [await book.of("a"), await book.of("b")]

        await asyncio.create_task(ask_both())
        assert checks == [True]
        book.add(20, "b")
        assert (await asyncio.create_task(ask_both()))[1][-1] == 20

    in_book(collection, work)


def test_a_stream_that_breaks_off_is_forgotten_and_begun_anew(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_PAUSE_SECONDS", 0.05)
    streams = Streams(collection)

    async def work(book: Book) -> None:
        for _ in range(3):
            await book.warm("a")
            assert len(streams.ids()) == 1
            streams.kill()
            book.add(20, "a")
            assert (await book.of("a"))[-1] == 20
            collection[NAME].delete_one({"_id": 20})

    in_book(collection, work)


def test_with_many_changes_of_one_moment_none_is_passed_over(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_BATCH", 3)

    async def work(book: Book) -> None:
        for number in range(100, 200, 10):
            await book.warm("a", "b")
            rows = [{"_id": number + n, "owner": "ab"[n % 2], "place": "here"} for n in range(9)]
            with collection.client.start_session() as session, session.start_transaction():
                collection[NAME].insert_many(rows, session=session)  # one entry of the log, nine changes
            for _ in range(5):
                assert (await book.of("b"))[-1] == number + 7
                assert (await book.of("a"))[-1] == number + 8

    in_book(collection, work)


def test_what_is_not_asked_for_is_not_followed(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_UNUSED_SECONDS", 0.2)

    streams = Streams(collection)

    async def work(book: Book) -> None:
        await book.warm("a")
        assert len(streams.ids()) == 1
        await asyncio.sleep(0.6)
        assert not streams.ids()
        book.add(20, "a")
        assert (await book.of("a"))[-1] == 20
        await book.warm("a")

    in_book(collection, work)


def test_a_rush_of_writes_is_not_followed_for_long(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LONGEST_BEHIND_SECONDS", 0.2)
    monkeypatch.setattr(following, "_REST_SECONDS", 0.3)

    streams = Streams(collection)

    async def work(book: Book) -> None:
        await book.warm("a")
        rushes = [asyncio.create_task(_write_on(book, since)) for since in range(1_000, 9_000, 1_000)]
        deadline = time.monotonic() + 10
        while streams.ids():
            assert (await book.of("a"))[:1] == [0]
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)
        for rush in rushes:
            rush.cancel()
        await asyncio.wait(rushes)
        await book.warm("a")

    in_book(collection, work)


def test_memory_is_bounded_and_keeps_what_was_asked_for_last(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.core.memory._MOST_BYTES", 3 * 4096)

    async def work(book: Book) -> None:
        await book.warm("a", "b", "c")
        await book.of("a")
        for owner in ("d", "a", "c", "d"):
            await book.of(owner)
        assert book.reads == ["d"]
        await book.of("b")
        assert book.reads == ["d", "b"]

    in_book(collection, work)


def test_outside_of_a_running_application_everything_is_read() -> None:
    async def work() -> list[int]:
        memory, count = Memory(), iter(range(2))

        async def read() -> Answer[int]:
            return Answer(next(count), depends_on=frozenset())

        return [await memory.ask("key", read) for _ in range(2)]

    assert asyncio.run(work()) == [0, 1]


def test_a_token_of_another_shape_is_not_guessed_at() -> None:
    assert following._time_of({"_data": "826B0A305D0000001329"}) == Timestamp(0x6B0A305D, 0x13)
    for token in (
        {},
        {"_data": b"82"},
        {"_data": "83" + "0" * 16},
        {"_data": "82" + "x" * 16},
        {"_data": "82"},
    ):
        with pytest.raises(following.CannotFollow):
            following._time_of(token)


async def _told() -> None:
    """Waits until a change has surely been told."""
    await asyncio.sleep(0.25)


async def _write_on(book: Book, since: int) -> None:
    for number in range(since, since + 1_000):
        await book.client[book.db.name][NAME].insert_one({"_id": number, "owner": "c", "place": "here"})


def _count_checks(book: Book) -> list[bool]:
    """Each check of whether everything was told, as it ends."""
    (store,) = book.memory._stores.values()
    checks, ask = [], store.following.is_up_to_date

    async def counted() -> bool:
        checks.append(await ask())
        return checks[-1]

    store.following.is_up_to_date = counted
    return checks


class Streams:
    """The open streams on a database that were not there before."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._before: set[int] = set()
        self._before = self.ids()

    def ids(self) -> set[int]:
        """Their cursors."""
        everything = {"$currentOp": {"idleCursors": True, "allUsers": True}}
        streams = {
            "cursor.originatingCommand.pipeline.0.$changeStream": {"$exists": True},
            "cursor.originatingCommand.$db": self._db.name,
        }
        found = self._db.client.admin.aggregate([everything, {"$match": streams}])
        return {each["cursor"]["cursorId"] for each in found} - self._before

    def kill(self) -> None:
        """Ends them all."""
        self._db.command({"killCursors": "$cmd.aggregate", "cursors": list(self.ids())})
