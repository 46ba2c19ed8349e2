"""A memory over a small collection, for tests of it and of what it follows."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.database import Database

from backend.core.cache.response_cache import Cacheable, ResponseCache, _Store

Document = dict[str, Any]
Db = Database[Document]
NAME, OTHER = "remembered", "not_remembered"
LOOKED_UP_BY = {NAME: ("owner", "place")}


@dataclass
class Book:
    """A memory over a small collection, and how often it was read."""

    memory: ResponseCache
    client: AsyncMongoClient[Document]
    db: Db
    reads: list[str] = field(default_factory=list)
    between: Callable[[], Awaitable[None]] | None = None

    async def of(self, owner: str, *, until: datetime | None = None) -> list[int]:
        """The owner's documents."""

        async def read() -> Cacheable[list[int]]:
            self.reads.append(owner)
            rows = await self.client[self.db.name][NAME].find({"owner": owner}).sort("_id").to_list()
            if self.between:
                await self.between()
            return Cacheable([row["_id"] for row in rows], depends_on=frozenset([owner]), until=until)

        return await self.memory.load(owner, read)

    async def how_many(self) -> int:
        """Of everybody."""

        async def read() -> Cacheable[int]:
            self.reads.append("all")
            count = await self.client[self.db.name][NAME].count_documents({"_id": {"$gte": 0}})
            return Cacheable(count, depends_on=frozenset([NAME]))

        return await self.memory.load("all", read)

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


@asynccontextmanager
async def book_in(db: Db, url: str = os.environ["MONGODB_URL"]) -> AsyncIterator[Book]:
    """A book whose memory follows."""
    async with (
        AsyncMongoClient[Document](url, timeoutMS=5000) as client,
        AsyncMongoClient[Document](url) as waiting,
    ):
        await asyncio.gather(client.admin.command("ping"), waiting.admin.command("ping"))
        memory = ResponseCache()
        async with memory.running(client[db.name], waiting[db.name], LOOKED_UP_BY):
            yield Book(memory, client, db)


def in_book(
    db: Db,
    work: Callable[[Book], Awaitable[Any]],
    by: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run,
) -> Any:
    """What the work answers, run by an event loop of this kind."""

    async def run() -> Any:
        async with book_in(db) as book:
            return await work(book)

    return by(run())


async def told() -> None:
    """Waits until a change has surely been told."""
    await asyncio.sleep(0.25)


def store_of(book: Book) -> _Store:
    (store,) = book.memory._stores.values()
    return store


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
