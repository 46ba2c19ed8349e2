"""Running loads: the application and the floor by turns, and the medians of what came of them."""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo
from bson import ObjectId, encode

from backend.devtools.mongod import Mongod
from benchmarks import asks, book, fill, floor, models
from benchmarks.asks import Filled, Route
from benchmarks.book import Size
from benchmarks.load import Found, Load, run
from benchmarks.servers import Server

_BOOKED_SINCE = ObjectId("680000000000000000000000")
"""What was in the book from the beginning has lower ids."""


_MANY = 20_000
"""So many doctors' days are filled faster without indexes, which the application makes afterwards."""


class Unfair(Exception):
    """The floor doesn't do the work that it is meant to do."""


@dataclass(frozen=True)
class Pace:
    """How long and how often. Seconds."""

    seconds: float = 2.1
    warm_up: float = 0.5
    rounds: int = 3


@dataclass
class Row:
    """The runs of one load against one server."""

    runs: list[Found] = field(default_factory=list)

    def median(self, figure: Callable[[Found], float | None]) -> float | None:
        """Of the runs."""
        values = [value for value in map(figure, self.runs) if value is not None]
        return statistics.median(values) if values else None

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.median(lambda found: found.rate) or 0

    @property
    def p50(self) -> float:
        """Milliseconds."""
        return self.median(lambda found: found.percentile(0.5)) or 0

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return self.median(lambda found: found.percentile(0.99)) or 0

    def cpu(self, name: str = "server") -> float | None:
        """Microseconds a request."""
        return self.median(lambda found: found.cpu_each(name))


@dataclass
class Pair:
    """A route of ours, and its floor."""

    ours: Row = field(default_factory=Row)
    floor: Row = field(default_factory=Row)


@dataclass
class Bench:
    """A fresh `mongod`, and one book in it that grows."""

    mongod: Mongod
    url: str
    cache_gb: float
    database: str = "bench"
    filled: Filled | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the servers."""
        return {"MONGODB_URL": self.url, "DATABASE_NAME": self.database, "ENV_FILE": os.devnull}

    def watched(self, server: Server) -> Mapping[str, list[int]]:
        """Whose CPU time is taken."""
        return {"server": server.pids, "mongod": [self.mongod.pid] if self.mongod.pid else []}

    @property
    def book(self) -> Filled:
        """The book as it is now."""
        assert self.filled
        return self.filled

    @contextlib.contextmanager
    def collections(self) -> Iterator[Any]:
        """The database."""
        with pymongo.MongoClient[dict[str, Any]](self.url, tz_aware=True) as client:
            yield client[self.database]

    def load(self, server: Server, requests: list[bytes], pace: Pace, **more: Any) -> Found:
        """Applies a load to a server."""
        return run(
            Load(
                port=server.port,
                requests=requests,
                seconds=pace.seconds,
                warm_up=pace.warm_up,
                watched=self.watched(server),
                **more,
            )
        )

    def forget_bookings(self) -> None:
        """Takes out what was booked since the book was filled."""
        with self.collections() as database:
            database.appointments.delete_many({"_id": {"$gt": _BOOKED_SINCE}})

    def once(self, server: Server, route: Route, requests: list[bytes], pace: Pace) -> Found:
        """One run. What it booked is taken out again."""
        books = route.status == 201
        found = self.load(server, requests, pace, statuses=(route.status,), repeat=not books)
        if books:
            self.forget_bookings()
        return found

    def compare(self, route: Route, server: Server, other: Server, pace: Pace) -> Pair:
        """Ours and the floor by turns, after a short run of each."""
        pair = Pair()
        mine, theirs = route.ours(self.book, server), route.floor(self.book, other)
        short = Pace(seconds=0.4, warm_up=0.1)
        self.once(server, route, mine, short)
        self.once(other, route, theirs, short)
        for _ in range(pace.rounds):
            pair.ours.runs.append(self.once(server, route, mine, pace))
            pair.floor.runs.append(self.once(other, route, theirs, pace))
        if route.status == 201:
            calm_down()
        return pair

    def grow(self, size: Size) -> int:
        """Fills the book up to a size; afterwards it has its indexes. Answers how many appointments it holds."""
        before = self.filled
        made = before.models if before else self._models()
        drop = size.doctors * size.past_days >= _MANY
        if drop:
            with self.collections() as database:
                for name in ("slots", "appointments"):
                    database[name].drop_indexes()
        target = fill.Target(self.url, self.database, made)
        count = fill.grow(target, before=before.size if before else None, after=size)
        if drop:
            self.index()
        self._write_out()
        past = fill.times_past(made, range(1, size.past_days + 1))
        self.filled = Filled(models=made, size=size, ahead=fill.times_ahead(made), past=past)
        return count

    def _write_out(self) -> None:
        """What the fill has left in memory: otherwise the database writes it out beside the first runs."""
        with pymongo.MongoClient[dict[str, Any]](self.url) as client:
            client.admin.command("fsync")

    def _models(self) -> models.Models:
        """Made in a database of their own: beside what was deleted, inserting under unique indexes takes long."""
        elsewhere = f"{self.database}-models"
        made: models.Models = _with_services(self.url, elsewhere, models.make_models)
        with pymongo.MongoClient[dict[str, Any]](self.url) as client:
            client.drop_database(elsewhere)
        self.index()
        return made

    def index(self) -> None:
        """Makes the indexes that are missing, as a server does at its start."""

        async def nothing() -> None:
            pass

        _with_services(self.url, self.database, nothing)

    def require_fair(self, server: Server, other: Server) -> None:
        """Raises `Unfair` unless the floor writes the document that we write, and reads by indexes alone."""
        pace = Pace(seconds=5, warm_up=0)
        bookings = asks.ROUTES[0]
        written = []
        for asked, whom in ((bookings.ours, server), (bookings.floor, other)):
            one = asked(self.book, whom)[:1]
            self.load(whom, one, pace, statuses=(201,), repeat=False, connections=1)
            with self.collections() as database:
                written.append(database.appointments.find_one({"_id": {"$gt": _BOOKED_SINCE}}))
            self.forget_bookings()
        mine, theirs = written
        if shape(mine) != shape(theirs) or abs(len(encode(mine)) - len(encode(theirs))) > 8:
            raise Unfair(f"the floor books another document:\n{shape(mine)}\n{shape(theirs)}")
        self._require_indexes()

    def _require_indexes(self) -> None:
        times = self.book.by_day()[asks.DAYS_LOOKED_AT[0]]
        doctor, patient = str(book.doctor_id(0)), book.patient_id(0)
        since, until = times[0].start, times[-1].end
        queries = (
            ("slots", floor.slots_query(doctor, since, until), asks.ROWS_OF_A_DAY),
            ("appointments", floor.day_query(doctor, since, until), 20),
            ("appointments", {"patient_id": patient}, 20),
        )
        with self.collections() as database:
            for name, query, limit in queries:
                cursor = database[name].find(query).sort(list(floor.BY_START.items())).limit(limit)
                plan = cursor.explain()
                done, chosen = plan["executionStats"], plan["queryPlanner"]["winningPlan"]
                looked_at = max(done["totalDocsExamined"], done["totalKeysExamined"] - 1)
                if not done["nReturned"] or looked_at > done["nReturned"] or "SORT" in str(chosen):
                    raise Unfair(f"the floor reads {name} with less than the best index: {chosen}")


def calm_down() -> None:
    """After many writes: in a rush, and for two seconds more, the application keeps nothing in memory."""
    time.sleep(3)


def shape(value: Any) -> Any:
    """The names and types of a document, in any order."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__


def _with_services(url: str, database_name: str, work: Callable[[], Any]) -> Any:
    """Runs a coroutine of the application's services in this process, connected to a database as a server is."""
    import asyncio

    from backend.core.mongo.client import connect
    from backend.core.settings import settings
    from backend.documents import DOCUMENTS

    async def connected() -> Any:
        assert url == settings.MONGODB_URL, "this isn't the benchmark's database"
        settings.DATABASE_NAME = database_name
        connection = await connect(DOCUMENTS)
        try:
            return await work()
        finally:
            await connection.close()

    return asyncio.run(connected())


@contextlib.contextmanager
def fresh(folder: Path, *, cache_gb: float) -> Iterator[Bench]:
    """A `mongod` of its own, and this process's settings pointing to it: they are read when `backend` is imported."""
    assert "backend.core.settings" not in sys.modules, "the settings were read before there was a database"
    mongod = Mongod(folder, cache_gb=cache_gb)
    bench = Bench(mongod, mongod.start(), cache_gb)
    os.environ.update(bench.environment, LOG_LEVEL="WARNING")
    try:
        yield bench
    finally:
        mongod.release()
