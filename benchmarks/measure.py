"""Running loads alternately against several servers, and what came of them: medians, and the ratios of each round."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.books import Book
from benchmarks.load import Found, Load, run
from benchmarks.servers import Server

Figure = Callable[[Found], float | None]


@dataclass(frozen=True)
class Pace:
    """How long one load runs and how often. Seconds."""

    seconds: float = 2.1
    warm_up: float = 0.5
    rounds: int = 3


@dataclass
class Row:
    """The runs of one load against one server."""

    runs: list[Found] = field(default_factory=list)

    def median(self, figure: Figure) -> float | None:
        """The median over the runs; None where the system doesn't tell."""
        values = [value for value in map(figure, self.runs) if value is not None]
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Side:
    """One of those that are measured alternately: a server, its book, and what is sent to it."""

    server: Server
    book: Book
    requests: Sequence[bytes]
    status: int = 200
    connections: int = 32
    pause: float = 0.0
    once: bool = False

    @property
    def writes(self) -> bool:
        """Whether it books: each request is sent once then."""
        return self.status == 201

    def run(self, pace: Pace) -> Found:
        """One run. What it booked is removed afterwards."""
        found = run(
            Load(
                port=self.server.port,
                requests=self.requests,
                connections=self.connections,
                seconds=pace.seconds,
                warm_up=pace.warm_up,
                pause=self.pause,
                repeat=not (self.writes or self.once),
                statuses=(self.status,),
                watched={"server": self.server.pids, "mongod": self.book.mongod_pids},
            )
        )
        if self.writes:
            self.book.forget_bookings()
        return found


def alternately(sides: Sequence[Side], pace: Pace) -> list[Row]:
    """One row for each side. Each round runs all of them, so that a slow minute of the machine meets all."""
    for side in sides:  # fills caches and opens connections
        side.run(Pace(seconds=0.4, warm_up=0.1))
    rows = [Row() for _ in sides]
    for _ in range(pace.rounds):
        for side, row in zip(sides, rows, strict=True):
            row.runs.append(side.run(pace))
    if any(side.writes for side in sides):
        calm_down()
    return rows


def ratio(one: Row, other: Row, figure: Figure) -> float | None:
    """The median of the rounds' ratios, each of two runs that followed one another."""
    found = []
    for left, right in zip(one.runs, other.runs, strict=True):
        above, below = figure(left), figure(right)
        if above is not None and below:
            found.append(above / below)
    return statistics.median(found) if found else None


def calm_down() -> None:
    """Waits until nothing of many writes is left to be done beside the next run."""
    time.sleep(3)


def rate(found: Found) -> float:
    """Requests a second."""
    return found.rate


def percentile(share: float) -> Figure:
    """The latency below which that share lies. Milliseconds."""
    return lambda found: found.percentile(share)


P50, P95, P99 = percentile(0.5), percentile(0.95), percentile(0.99)


def cpu(name: str = "server") -> Figure:
    """CPU time of these processes in microseconds a request."""
    return lambda found: found.cpu_each(name)
