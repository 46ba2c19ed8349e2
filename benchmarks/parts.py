"""What is measured besides the routes that have a floor: one function each."""

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import asks, book, servers
from benchmarks.load import Found, LoadFailed, request
from benchmarks.measure import Bench, Pace, Row, calm_down
from benchmarks.servers import Server

_LOGINS_AT_ONCE = 8
_SEARCHERS, _SEARCH_PAUSE = 4, 0.015
"""Low load: about two hundred searches a second."""


@dataclass
class Search:
    """Searches of one kind: the very first one in milliseconds, and then many."""

    cold: float
    row: Row


def search(bench: Bench, server: Server, specialty: str, pace: Pace) -> Search:
    """First free by specialty and city, four at a time."""
    one = [asks.search(specialty)]
    first, *_, last = (
        bench.load(server, one, Pace(seconds=60, warm_up=0), repeat=False, connections=1).percentile(0.5)
        for _ in range(4)
    )
    if last > pace.seconds * 250:  # so slow that a run of the usual length would see none
        pace = replace(pace, seconds=last / 1000 * _SEARCHERS * 2)
    calm_down()  # the first search of a full book marks thousands of slots
    row = Row()
    for number in range(pace.rounds + 1):
        found = bench.load(server, one, pace, connections=_SEARCHERS)
        if number:  # the first is a warm-up
            row.runs.append(found)
    return Search(first, row)


@dataclass
class Contended:
    """Many for one seat: the statuses of each round, and the slowest answers in milliseconds."""

    statuses: list[dict[int, int]]
    slowest: list[float]

    @property
    def one_wins(self) -> bool:
        """In every round one booked and all others were told that the slot was taken."""
        return all(found == {201: 1, 409: book.VISITORS - 1} for found in self.statuses)


def contended(bench: Bench, server: Server, rounds: int) -> Contended:
    """Two hundred patients ask for one seat at the same moment, each on a connection that is open already."""
    found = Contended([], [])
    tokens = [asks.token_of(book.visitor_id(n)) for n in range(book.VISITORS)]
    slots = asks.bookings(bench.book)[-rounds:]
    for slot, _ in slots:
        requests = [asks.booking(slot, token) for token in tokens]
        done = bench.load(
            server,
            requests,
            Pace(seconds=60, warm_up=0),
            connections=book.VISITORS,
            repeat=False,
            statuses=(201, 409),
        )
        found.statuses.append(dict(done.statuses))
        found.slowest.append(done.percentile(1))
    bench.forget_bookings()
    return found


@dataclass
class Beside:
    """The latencies of a slot search alone, and beside logins; and how many logins a second there were."""

    idle: Row = field(default_factory=Row)
    busy: Row = field(default_factory=Row)
    logins: list[float] = field(default_factory=list)


def login(bench: Bench, server: Server, pace: Pace) -> Beside:
    """Eight logins in parallel without a pause, each of another patient, while slots are searched at low load."""
    from tests.factories import PASSWORD

    bodies = [
        json.dumps({"email": f"patient{number}@example.com", "password": PASSWORD}).encode()
        for number in range(_LOGINS_AT_ONCE * 4)
    ]
    logins = [request("POST", "/api/v1/auth/login", body=body) for body in bodies]
    searches = [asks.search(book.OPEN_SPECIALTY)]
    found = Beside()
    for _ in range(pace.rounds):
        found.idle.runs.append(_searches(bench, server, searches, pace))
        with _Background(server, logins, pace) as background:
            found.busy.runs.append(_searches(bench, server, searches, pace))
        found.logins.append(background.rate)
    return found


def _searches(bench: Bench, server: Server, searches: list[bytes], pace: Pace) -> Found:
    return bench.load(server, searches, pace, connections=_SEARCHERS, pause=_SEARCH_PAUSE)


class _Background:
    """Logins in another process, from before a run until after it."""

    def __init__(self, server: Server, logins: list[bytes], pace: Pace) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self._server, self._logins, self._pace = server, logins, pace
        self.rate = 0.0

    def __enter__(self) -> "_Background":
        from benchmarks.load import Load, run

        load = Load(
            port=self._server.port,
            requests=self._logins,
            connections=_LOGINS_AT_ONCE,
            warm_up=0.3,
            seconds=self._pace.seconds + self._pace.warm_up + 1.2,
        )
        self._done = self._pool.submit(run, load)
        time.sleep(0.8)
        return self

    def __exit__(self, *_: object) -> None:
        self.rate = self._done.result().rate
        self._pool.shutdown()


@dataclass
class Starts:
    """Seconds to the first answer, and MiB of an idle worker, by the number of workers."""

    seconds: list[float]
    memory: dict[int, float | None]


def start(bench: Bench, rounds: int) -> Starts:
    """A server with timed work, as in production, on a database that is up."""
    found = Starts([], {})
    for _ in range(rounds):
        with servers.ours(bench.environment, scheduler=True) as server:
            found.seconds.append(server.started_in)
            if 1 not in found.memory:
                time.sleep(3)
                found.memory[1] = server.memory()
    return found


@dataclass
class Busy:
    """Bookings while the same process does the timed work, and how many messages it sent per booking meanwhile."""

    row: Row = field(default_factory=Row)
    sent_each: list[float] = field(default_factory=list)


def busy(bench: Bench, pace: Pace) -> Busy:
    """Booking with timed work on and messages to the simulated phone, on a small book of its own."""
    other = Bench(bench.mongod, bench.url, bench.cache_gb, database="busy")
    other.grow(book.SMALL)
    found, route = Busy(), asks.ROUTES[0]
    quiet = {"SMS_PER_SECOND": "0", "SMS_QUIET_FROM": "00:00", "SMS_QUIET_UNTIL": "00:00"}
    with (
        servers.ours({**other.environment, **quiet}, scheduler=True) as server,
        other.collections() as database,
    ):
        requests = route.ours(other.book, server)
        share = len(requests) // pace.rounds
        for number in range(pace.rounds):
            some, before = requests[number * share : (number + 1) * share], _sent(database)
            done = other.load(server, some, pace, statuses=(201,), repeat=False)
            found.row.runs.append(done)
            found.sent_each.append((_sent(database) - before) / sum(done.statuses.values()))
    with other.collections() as database:
        database.client.drop_database(other.database)
    return found


def _sent(database: Any) -> int:
    waiting = {"status": {"$in": ["queued", "sending"]}}
    logs = database.sms_logs
    return int(logs.count_documents({})) - int(logs.count_documents(waiting))


def drain(count: int) -> dict[str, float]:
    """Reminders that fall due at once: `benchmarks.drain`, one round."""
    command = [sys.executable, "-m", "benchmarks.drain", "--json", "--count", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise LoadFailed(f"draining failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def together(statuses: list[dict[int, int]]) -> str:
    """Statuses in words."""
    total: Counter[int] = Counter()
    for found in statuses:
        total.update(found)
    return ", ".join(f"{number} × {status}" for status, number in sorted(total.items()))


def median(values: Sequence[float]) -> float:
    """Of the rounds."""
    return statistics.median(values) if values else 0.0
