"""What is answered from memory is never older than what reading would give."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pymongo import WriteConcern

from backend.core.cache import change_stream
from backend.core.cache.response_cache import Cacheable, ResponseCache, begin_request
from backend.core.clock import utc_now
from tests.core.cached import NAME, OTHER, Book, Db, book_in, in_book, store_of, told


def test_what_has_not_changed_is_not_read_again(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a", "b")
        for _ in range(20):
            assert await book.of("a") == [0, 2, 4, 6, 8]
        collection[OTHER].insert_one({"owner": "a"})
        assert len(book.reads) <= 1  # for a moment it can't be told from a change that matters

    in_book(collection, work)


@pytest.mark.long
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
                await one.client[collection.name][NAME].insert_one({"_id": number, "owner": "a", "place": "here"})
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
        await told()
        assert await book.of("a") == of_a
        await told()
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
            await told()

        book.between = meanwhile
        assert await book.of("a") == [0, 2, 4, 6, 8]
        assert await book.of("a") == [0, 2, 4, 6, 8, 20]

    in_book(collection, work)


def test_what_is_written_elsewhere_meanwhile_does_not_matter(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("b")

        async def meanwhile() -> None:
            book.between = None
            collection[OTHER].insert_one({})
            await told()

        book.between = meanwhile
        for _ in range(2):
            assert await book.of("a") == [0, 2, 4, 6, 8]
        assert book.reads == ["a"]

    in_book(collection, work)


def test_what_is_on_its_way_is_waited_for(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_stream, "_CATCH_UP_SECONDS", 10)

    async def work(book: Book) -> None:
        await book.warm("a")
        for _ in range(40):
            collection[OTHER].insert_one({})
            await book.of("a")
        assert book.reads == []

    in_book(collection, work)


@pytest.mark.long
def test_many_who_write_at_once_each_see_what_they_wrote(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for his own change is not served by somebody else's having come."""
    monkeypatch.setattr(change_stream, "_RUSH", 1_000_000)

    async def write_and_ask(book: Book, writer: int) -> None:
        theirs = book.client[collection.name].get_collection(NAME, write_concern=WriteConcern(w=1))
        for number in range(1_000 * writer, 1_000 * writer + 30):
            await theirs.insert_one({"_id": number, "owner": "a", "place": "here"})
            assert number in await book.of("a")

    async def work(book: Book) -> None:
        await book.warm("a")
        await asyncio.gather(*(write_and_ask(book, writer) for writer in range(1, 17)))

    in_book(collection, work)


def test_an_answer_holds_until_its_time_and_not_for_a_clock_set_back(
    collection: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")
        now = utc_now()
        monkeypatch.setattr("backend.core.cache.response_cache.utc_now", lambda: now)
        for _ in range(2):
            await book.of("b", until=now + timedelta(minutes=1))
        assert book.reads == ["b"]
        for later in (timedelta(minutes=1), timedelta(0)):
            monkeypatch.setattr("backend.core.cache.response_cache.utc_now", lambda later=later: now + later)
            await book.of("b", until=now + timedelta(hours=1))
        assert book.reads == ["b"] * 3

    in_book(collection, work)


def test_one_question_is_checked_once_and_the_next_one_anew(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a", "b")
        checks = _count_checks(book)

        async def ask_both() -> list[list[int]]:
            begin_request(only_reads=True)
            return [await book.of("a"), await book.of("b")]

        await asyncio.create_task(ask_both())
        assert checks == [True]
        book.add(20, "b")
        assert (await asyncio.create_task(ask_both()))[1][-1] == 20

    in_book(collection, work)


def test_two_questions_of_the_same_millisecond_are_two(collection: Db) -> None:
    """To uvloop's clock they are one."""
    uvloop = pytest.importorskip("uvloop")

    async def work(book: Book) -> None:
        await book.warm("a")
        for number in range(20, 70):
            begin_request(only_reads=True)
            await book.of("a")
            book.add(number, "a")
            begin_request(only_reads=True)
            assert (await book.of("a"))[-1] == number
            await book.warm("a")

    in_book(collection, work, by=uvloop.run)


def test_a_request_that_writes_sees_what_it_has_written(collection: Db) -> None:
    async def work(book: Book) -> None:
        await book.warm("a")

        async def write_and_read() -> list[int]:
            begin_request(only_reads=True)  # the request before, on the same connection
            await book.of("a")
            begin_request(only_reads=False)
            await book.client[collection.name][NAME].insert_one({"_id": 20, "owner": "a", "place": "here"})
            return await book.of("a")

        assert (await asyncio.create_task(write_and_read()))[-1] == 20

    in_book(collection, work)


def test_memory_is_bounded_and_keeps_what_was_asked_for_last(collection: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.core.cache.response_cache._MOST_BYTES", 3 * 4096)

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
        memory, count = ResponseCache(), iter(range(2))

        async def read() -> Cacheable[int]:
            return Cacheable(next(count), depends_on=frozenset())

        return [await memory.load("key", read) for _ in range(2)]

    assert asyncio.run(work()) == [0, 1]


def _count_checks(book: Book) -> list[bool]:
    """Each check of whether everything was told, as it ends."""
    store, checks = store_of(book), list[bool]()
    ask = store.stream.is_current

    async def counted() -> bool:
        checks.append(await ask())
        return checks[-1]

    store.stream.is_current = counted
    return checks
