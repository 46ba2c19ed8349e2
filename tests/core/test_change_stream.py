"""Changes are followed while that is of use, and begun anew where it was broken off; in between nothing is kept."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pymongo
import pytest
from bson import ObjectId, Timestamp
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import PyMongoError

from backend.core.cache import change_stream
from backend.core.cache.change_stream import ChangeStream
from backend.devtools.mongod import Mongod
from tests.core.cached import (
    NAME,
    OTHER,
    Book,
    Db,
    Document,
    Streams,
    book_in,
    in_book,
    store_of,
)


def test_a_stream_that_breaks_off_is_forgotten_and_begun_anew(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_stream, "_RETRY_SECONDS", 0.05)
    streams = Streams(collection)

    async def work(book: Book) -> None:
        for _ in range(3):
            await book.warm("a")
            assert len(streams.ids()) == 1
            streams.kill()
            while store_of(book).stream._received is not None:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.002)
            book.add(20, "a")
            collection[OTHER].insert_one({})
            assert (await book.of("a"))[-1] == 20
            await book.warm("a")
            assert (await book.of("a"))[-1] == 20
            collection[NAME].delete_one({"_id": 20})

    in_book(collection, work)


@pytest.mark.long
def test_with_many_changes_of_one_moment_none_is_passed_over(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "_BATCH", 3)
    monkeypatch.setattr(change_stream, "_BREATH_SECONDS", 0.01)
    monkeypatch.setattr(change_stream, "_RUSH", 1_000_000)
    monkeypatch.setattr("backend.core.cache.response_cache._BEHIND_SECONDS", 0)

    async def work(book: Book) -> None:
        for number in range(100, 200, 10):
            await book.warm("a", "b")
            rows = [{"_id": number + n, "owner": "ab"[n > 4], "place": "here"} for n in range(9)]
            with collection.client.start_session() as session, session.start_transaction():
                collection[NAME].insert_many(rows, session=session)  # one entry of the log, nine changes
            for _ in range(30):
                assert (await book.of("b"))[-1] == number + 8
                assert (await book.of("a"))[-1] == number + 4

    in_book(collection, work)


def test_what_is_not_asked_for_is_not_followed(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "_UNUSED_SECONDS", 0.2)

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


@pytest.mark.long
def test_a_rush_of_writes_is_not_followed_for_long(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "_RUSH", 20)
    monkeypatch.setattr(change_stream, "_REST_SECONDS", 0.3)

    streams = Streams(collection)

    async def work(book: Book) -> None:
        await book.warm("a")
        rushes = [asyncio.create_task(_write_on(book, since)) for since in range(1_000, 9_000, 1_000)]
        deadline = time.monotonic() + 10
        while store_of(book).stream._received is not None:
            assert (await book.of("a"))[:1] == [0]
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.1)
        assert not streams.ids()
        for rush in rushes:
            rush.cancel()
        await asyncio.wait(rushes)
        await book.warm("a")

    in_book(collection, work)


def test_a_token_of_another_shape_is_not_guessed_at() -> None:
    assert change_stream._time_of({"_data": "826B0A305D0000001329"}) == Timestamp(0x6B0A305D, 0x13)
    for token in (
        {},
        {"_data": b"82"},
        {"_data": "83" + "0" * 16},
        {"_data": "82" + "x" * 16},
        {"_data": "82"},
    ):
        with pytest.raises(change_stream.CannotFollow):
            change_stream._time_of(token)


def test_what_another_primary_sent_counts_for_nothing(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        stream = store_of(book).stream
        assert await stream.is_current()
        assert stream._writer
        process, term = stream._writer
        stream._writer = process, term - 1
        assert not await stream.is_current()
        await book.warm("a")  # it was begun anew

    in_book(collection, work)


def test_what_was_being_read_when_following_began_is_not_kept(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_stream, "_RETRY_SECONDS", 0.3)

    async def work(book: Book) -> None:
        now = store_of(book).stream

        async def meanwhile() -> None:
            book.between = None
            book.add(20, "a")
            collection[OTHER].insert_one({})
            while not now.is_on:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.002)

        await book.warm("a")
        streams.kill()
        while now.is_on:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.002)
        book.between = meanwhile
        assert (await book.of("a"))[-1] == 8
        await book.warm("a")
        assert (await book.of("a"))[-1] == 20

    streams = Streams(collection)
    in_book(collection, work)


def test_writes_that_had_begun_when_following_did_are_told(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `insert_many` takes its places in the log before it is done: the log's end then lies behind a gap."""
    monkeypatch.setattr(change_stream, "_RUSH", 1_000_000)
    for field in range(9):
        collection[NAME].create_index(["ticks", f"field{field}"])
    row = {"owner": "a", "place": "here", "ticks": list(range(6))}

    loosely = WriteConcern(w=1)

    async def work(book: Book, number: int) -> None:
        db = book.client[collection.name]
        many = [{**row, "_id": number * 1000 + n, **{f"field{m}": n * m for m in range(9)}} for n in range(500)]
        inserts = asyncio.create_task(db[NAME].insert_many(many))

        async def write_on() -> None:
            while not inserts.done():
                await db.get_collection(OTHER, write_concern=loosely).insert_one({})

        others = asyncio.create_task(write_on())
        await asyncio.sleep(0.012)
        while not inserts.done():
            await book.of("a")
        await asyncio.wait([inserts, others])
        await book.warm("a")
        assert len(await book.of("a")) == 5 + 500 * number

    for number in range(1, 6):
        in_book(collection, partial(work, number=number))


@pytest.mark.long
def test_following_ends_whenever_it_is_told_to(collection: Db) -> None:
    async def work(book: Book) -> None:
        rush = asyncio.create_task(_write_on(book, 1_000))
        for number in range(250):
            async with asyncio.timeout(10), book_in(collection) as other:
                await other.of("a")
                await asyncio.sleep(number % 20 / 1000)
        rush.cancel()
        await asyncio.wait([rush])

    in_book(collection, work)


def test_what_nobody_thought_of_is_logged_and_not_the_end(
    collection: Db, monkeypatch: pytest.MonkeyPatch, expected_errors: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(change_stream, "_RETRY_SECONDS", 0.05)

    async def work(book: Book) -> None:
        await book.warm("a")
        collection[NAME].insert_one({"_id": 20, "owner": ["a", "b"], "place": "here"})
        while store_of(book).stream._received is not None:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.002)
        collection[OTHER].insert_one({})
        await book.warm("a")
        assert (await book.of("a"))[-1] == 20

    in_book(collection, work)
    assert expected_errors()


@pytest.mark.long
def test_an_election_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "_RETRY_SECONDS", 0.05)
    mongod = Mongod(tmp_path)
    url = mongod.start()

    async def run() -> None:
        async with book_in(db, url) as book:
            book.add(1, "a")
            await book.warm("a")
            with suppress(PyMongoError):
                db.client.admin.command({"replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": True})
            with pymongo.timeout(30):
                book.add(2, "a")
            assert await book.of("a") == [1, 2]
            await book.warm("a")
            assert await book.of("a") == [1, 2]

    try:
        with pymongo.MongoClient[Document](url) as client:
            db = client["book"]
            asyncio.run(run())
    finally:
        mongod.release()


def test_the_log_reaches_as_far_as_what_was_written_before(collection: Db) -> None:
    async def write_and_ask(client: AsyncMongoClient[Document], number: int) -> None:
        stream = ChangeStream(client[collection.name], {NAME: ()}, lambda _: None)
        notes = client[collection.name].get_collection("notes", write_concern=WriteConcern(w=1))
        for _ in range(15):
            async with client.start_session() as session:
                await notes.insert_one({"by": number}, session=session)
                log = await stream._hellos.load(stream._database, change_stream._log_of)
                assert session.operation_time is not None
                assert log.end >= session.operation_time

    async def run() -> None:
        async with AsyncMongoClient[Document](os.environ["MONGODB_URL"]) as client:
            await asyncio.gather(*(write_and_ask(client, number) for number in range(16)))

    asyncio.run(run())


def test_those_who_ask_together_share_a_question(collection: Db) -> None:
    def asked() -> int:
        status = collection.command("serverStatus", repl=0, wiredTiger=0)
        return int(status["metrics"]["commands"]["hello"]["total"])

    async def work(book: Book) -> None:
        await book.warm("a")
        stream, before = store_of(book).stream, asked()
        for _ in range(10):
            await asyncio.gather(*(stream.is_current() for _ in range(50)))
        assert asked() - before < 100  # drivers say hello by themselves now and then

    in_book(collection, work)


@pytest.mark.long
def test_another_server_than_the_one_read_is_not_followed(collection: Db, tmp_path: Path) -> None:
    """As while a former primary doesn't know yet that it is none any more."""
    other = Mongod(tmp_path)

    async def is_ever_on(read: AsyncMongoClient[Document], waiting: AsyncMongoClient[Document]) -> bool:
        stream = ChangeStream(read[collection.name], {NAME: ()}, lambda _: None)
        async with stream.running(waiting[collection.name]):
            for _ in range(1000 if read is waiting else 100):
                if stream.is_on and await stream.is_current():
                    return True
                await asyncio.sleep(0.01)
        return False

    async def run(url: str) -> tuple[bool, bool]:
        async with (
            AsyncMongoClient[Document](url) as read,
            AsyncMongoClient[Document](os.environ["MONGODB_URL"]) as waiting,
        ):
            await asyncio.gather(read.admin.command("ping"), waiting.admin.command("ping"))
            return await is_ever_on(read, waiting), await is_ever_on(waiting, waiting)

    try:
        assert asyncio.run(run(other.start())) == (False, True)
    finally:
        other.release()


def test_only_a_primary_says_how_far_its_log_has_come() -> None:
    process = ObjectId()
    last = {"opTime": {"ts": Timestamp(5, 1), "t": 2}, "majorityOpTime": {"ts": Timestamp(4, 1), "t": 2}}
    hello = {"isWritablePrimary": True, "lastWrite": last, "topologyVersion": {"processId": process}}
    assert change_stream._log_in(hello) == (process, 2, Timestamp(5, 1), 2, Timestamp(4, 1))
    for other in (
        {**hello, "isWritablePrimary": False},
        {**hello, "lastWrite": {"opTime": last["opTime"]}},
        {**hello, "topologyVersion": None},
        {"isWritablePrimary": True, "msg": "isdbgrid"},
    ):
        with pytest.raises(change_stream.CannotFollow):
            change_stream._log_in(other)


async def _write_on(book: Book, since: int) -> None:
    for number in range(since, since + 1_000):
        await book.client[book.db.name][NAME].insert_one({"_id": number, "owner": "c", "place": "here"})
