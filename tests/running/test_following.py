"""Changes are followed while that is of use, and begun anew where it was broken off; in between nothing is kept."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pymongo
import pytest
from bson import Timestamp
from pymongo.errors import PyMongoError

from backend.core import following
from backend.core.mongod import Mongod
from tests.running.remembered import NAME, OTHER, Book, Db, Document, Streams, book_in, in_book, store_of


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
            while store_of(book).following._told_until is not None:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.002)
            book.add(20, "a")
            collection[OTHER].insert_one({})
            assert (await book.of("a"))[-1] == 20
            await book.warm("a")
            assert (await book.of("a"))[-1] == 20
            collection[NAME].delete_one({"_id": 20})

    in_book(collection, work)


def test_with_many_changes_of_one_moment_none_is_passed_over(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_BATCH", 3)
    monkeypatch.setattr(following, "_BREATH_SECONDS", 0.01)
    monkeypatch.setattr("backend.core.memory._BEHIND_SECONDS", 0)

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


def test_what_was_told_under_another_primary_counts_for_nothing(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        following = store_of(book).following
        assert await following.is_up_to_date()
        told = following._told_until
        assert told
        following._told_until = told._replace(term=told.term - 1)
        assert not await following.is_up_to_date()

    in_book(collection, work)


@pytest.mark.long
def test_an_election_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE_SECONDS", 0.05)
    mongod = Mongod(tmp_path)
    url = mongod.start()

    async def run() -> None:
        async with book_in(db, url) as book:
            book.add(1, "a")
            await book.warm("a")
            with suppress(PyMongoError):
                db.client.admin.command(
                    {"replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": True}
                )
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


async def _write_on(book: Book, since: int) -> None:
    for number in range(since, since + 1_000):
        await book.client[book.db.name][NAME].insert_one({"_id": number, "owner": "c", "place": "here"})
