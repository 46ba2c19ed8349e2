"""The databases that are measured: a small and a large book in one `mongod`, both there during the whole run."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
from bson import ObjectId, encode

from backend.devtools.mongod import Mongod
from benchmarks import asks, book, fill, floor, models, people
from benchmarks.asks import Filled
from benchmarks.book import Size
from benchmarks.load import Load, run
from benchmarks.servers import Server

CACHE_GB = 2
_BOOKED_SINCE = ObjectId("680000000000000000000000")
"""What was in the book from the beginning has lower ids."""

_MANY = 100
"""A book of so many doctors is filled faster without indexes, which the application makes afterwards."""


class Unfair(Exception):
    """The floor doesn't do the work that it is meant to do."""


@dataclass
class Book:
    """One filled database."""

    mongod: Mongod
    url: str
    database: str
    filled: Filled
    count: int
    """How many appointments it holds."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the servers."""
        return _environment(self.url, self.database)

    @property
    def mongod_pids(self) -> list[int]:
        """Whose CPU time the database's is."""
        return [self.mongod.pid] if self.mongod.pid else []

    @contextlib.contextmanager
    def collections(self) -> Iterator[Any]:
        """The database."""
        with pymongo.MongoClient[dict[str, Any]](self.url, tz_aware=True) as client:
            yield client[self.database]

    def forget_bookings(self) -> None:
        """Removes what was booked since the book was filled."""
        with self.collections() as database:
            database.appointments.delete_many({"_id": {"$gt": _BOOKED_SINCE}})

    def require_fair(self, server: Server, other: Server) -> None:
        """Raises `Unfair` unless the floor writes the document that we write, and reads by indexes alone."""
        written = []
        for requests, whom in ((asks.book_ours, server), (asks.book_floor, other)):
            one = requests(self.filled)[:1]
            run(Load(port=whom.port, requests=one, warm_up=0, statuses=(201,), repeat=False, connections=1))
            with self.collections() as database:
                written.append(database.appointments.find_one({"_id": {"$gt": _BOOKED_SINCE}}))
            self.forget_bookings()
        mine, theirs = written
        if shape(mine) != shape(theirs) or abs(len(encode(mine)) - len(encode(theirs))) > 8:
            raise Unfair(f"the floor books another document:\n{shape(mine)}\n{shape(theirs)}")
        self._require_indexes()

    def _require_indexes(self) -> None:
        times = self.filled.by_day()[asks.DAYS_LOOKED_AT[0]]
        slots = floor.slots_query(str(book.doctor_id(0)), times[0].start, times[-1].end)
        queries = (
            ("slots", slots, asks.ROWS_OF_A_DAY),
            ("appointments", {"patient_id": book.patient_id(0)}, 20),
        )
        with self.collections() as database:
            for name, query, limit in queries:
                cursor = database[name].find(query).sort(list(floor.BY_START.items())).limit(limit)
                plan = cursor.explain()
                done, chosen = plan["executionStats"], plan["queryPlanner"]["winningPlan"]
                looked_at = max(done["totalDocsExamined"], done["totalKeysExamined"] - 1)
                if not done["nReturned"] or looked_at > done["nReturned"] or "SORT" in str(chosen):
                    raise Unfair(f"the floor reads {name} with less than the best index: {chosen}")


def shape(value: Any) -> Any:
    """The names and types of a document, in any order."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__


@contextlib.contextmanager
def database(folder: Path) -> Iterator[tuple[Mongod, str]]:
    """A `mongod` and its URL. This process's settings point to it: they are read when `backend` is imported."""
    assert "backend.core.settings" not in sys.modules, "the settings were read before there was a database"
    mongod = Mongod(folder, cache_gb=CACHE_GB)
    url = mongod.start()
    os.environ.update(_environment(url, "models"), LOG_LEVEL="WARNING")
    try:
        yield mongod, url
    finally:
        mongod.release()


def fill_all(mongod: Mongod, url: str, sizes: dict[str, Size]) -> dict[str, Book]:
    """A book of each size, by name, with its indexes and nothing left to be written out."""
    made: models.Models = _with_services("models", models.make_models)
    books = {}
    for name, size in sizes.items():
        bulky = size.doctors >= _MANY
        if not bulky:
            _index(name)
        count = fill.fill(fill.Target(url, name, made), size)
        if bulky:
            _index(name)
        past = fill.times_past(made, range(1, size.past_days + 1))
        filled = Filled(size=size, ahead=fill.times_ahead(made), past=past)
        books[name] = Book(mongod, url, name, filled, count)
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        # Otherwise the database writes it out beside the first runs.
        client.admin.command("fsync")
    return books


def fill_people(mongod: Mongod, url: str, count: int) -> tuple[Book, ObjectId]:
    """A database with so many patients and no appointments, and the id of a user who may search them."""
    made: models.Models = _with_services("models_of_people", models.make_models)
    people.write_patients(url, "people", made.patient, made.doctor, count)
    _index("people")
    return Book(mongod, url, "people", Filled(Size(0, 0), [], []), 0), made.doctor["_id"]


def _environment(url: str, database_name: str) -> dict[str, str]:
    return {"MONGODB_URL": url, "DATABASE_NAME": database_name, "ENV_FILE": os.devnull}


def _index(database_name: str) -> None:
    """Makes the indexes, as a server does at its start."""

    async def nothing() -> None:
        pass

    _with_services(database_name, nothing)


def _with_services(database_name: str, work: Callable[[], Any]) -> Any:
    """Runs a coroutine of the application's services in this process, connected to a database as a server is."""
    from backend.core.settings import settings
    from backend.documents import DOCUMENTS
    from backend.startup import connect

    async def connected() -> Any:
        settings.DATABASE_NAME = database_name
        async with connect(DOCUMENTS):
            return await work()

    return asyncio.run(connected())
