"""A slot search while messages go out at the fastest real sender's pace, and the same search without them.

The messages are those of real bookings, posted to the tests' emulator of the carrier, which answers at once.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks import asks, book, servers
from benchmarks.books import Book
from benchmarks.load import Load, LoadFailed, run
from benchmarks.measure import Pace, Row, Side
from benchmarks.servers import Server
from tests.emulator.client import Carrier, running_carrier

PER_SECOND = 100
"""What a US short code may send."""

_LEAST = 0.8
"""The part of that pace at which a run still counts: the first and last second are not full."""

_SEARCHERS, _PAUSE = 4, 0.015
"""Low load: about two hundred searches a second."""

_PATIENCE = 120


@dataclass
class Beside:
    """The searches of each round, idle and beside messages, and the messages a second of each round."""

    idle: Row = field(default_factory=Row)
    busy: Row = field(default_factory=Row)
    sent: list[float] = field(default_factory=list)


def measure(small: Book, pace: Pace) -> Beside:
    """Alternates idle rounds with rounds during which messages go out. One process does everything."""
    found = Beside()
    with running_carrier() as carrier:
        carrier.callbacks(on=False)
        environment = {
            **small.environment,
            "TWILIO_ACCOUNT_SID": carrier.account_sid,
            "TWILIO_AUTH_TOKEN": carrier.auth_token,
            "TWILIO_PHONE_NUMBER": carrier.sender,
            "TWILIO_API_URL": carrier.base_url,
            "SMS_PER_SECOND": str(PER_SECOND),
            "SMS_QUIET_FROM": "00:00",
            "SMS_QUIET_UNTIL": "00:00",
        }
        with servers.ours(environment, SCHEDULER_ENABLED=True) as server:
            searches = Side(server, small, [asks.search(book.OPEN_SPECIALTY)], connections=_SEARCHERS, pause=_PAUSE)
            bookings = asks.book_ours(small.filled)
            share = int(PER_SECOND * (pace.seconds + pace.warm_up + 3))
            searches.run(Pace(seconds=0.5, warm_up=0.1))
            for number in range(pace.rounds):
                found.idle.runs.append(searches.run(pace))
                _book(server, bookings[number * share : (number + 1) * share])
                _beside(found, searches, carrier, pace)
                _wait_until_sent(carrier, (number + 1) * share)
                small.forget_bookings()
    return found


def _book(server: Server, bookings: list[bytes]) -> None:
    run(Load(port=server.port, requests=bookings, seconds=60, warm_up=0, repeat=False, statuses=(201,)))


def _beside(found: Beside, searches: Side, carrier: Carrier, pace: Pace) -> None:
    before, began = _accepted(carrier), time.perf_counter()
    done = searches.run(pace)
    sent = (_accepted(carrier) - before) / (time.perf_counter() - began)
    if sent < PER_SECOND * _LEAST:
        raise LoadFailed(f"only {sent:.0f} messages a second went out beside the searches")
    found.busy.runs.append(done)
    found.sent.append(sent)


def _accepted(carrier: Carrier) -> int:
    counts: dict[str, Any] = carrier.counts()
    return int(counts["accepted"])


def _wait_until_sent(carrier: Carrier, wanted: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while (there := _accepted(carrier)) < wanted:
        if time.monotonic() > deadline:
            raise LoadFailed(f"{there} of {wanted} messages had gone out after {_PATIENCE} s")
        time.sleep(0.2)
