"""One run from beginning to end: which part is measured when, on which book."""

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from benchmarks import asks, book, books, messages, people, servers
from benchmarks.asks import Route
from benchmarks.book import Size
from benchmarks.books import Book
from benchmarks.budgets import Results, Switch
from benchmarks.load import LoadFailed
from benchmarks.measure import Pace, Row, Side, alternately, calm_down
from benchmarks.report import line, single
from benchmarks.servers import Server

ROUTES = {route.name: route for route in asks.ROUTES}
PARTS = (*ROUTES, "growth", "search", "visits", "patients", "messages", "switches")

SWITCHES = (
    ("RESPONSE_CACHE_ENABLED", "day"),
    ("RESPONSE_CACHE_ENABLED", "list"),
    ("REQUEST_BATCHING_ENABLED", "booking"),
    ("ROUTE_INDEX_ENABLED", "day"),
)
"""Each mechanism that a setting switches off, and the routes that it is there for."""

_SEARCHERS = 4

_BOOKS_OF_VISITS = {
    "open book": 0,
    "every slot taken": book.FULL_DOCTORS.start // book.DOCTORS_A_BLOCK,
    "every second slot taken": book.HALF_DOCTORS.start // book.DOCTORS_A_BLOCK,
}
"""Blocks of doctors, by how full their clinic is for the first twenty days."""


@dataclass(frozen=True)
class Plan:
    """How large the two books are and how long the runs."""

    small: Size
    large: Size
    beside_floor: Pace
    growth: Pace
    search: Pace
    visits: Pace
    patients: int
    """How many there are to be searched."""
    messages: Pace
    switches: Pace


FULL = Plan(
    small=book.SMALL,
    large=book.LARGE,
    beside_floor=Pace(),
    growth=Pace(seconds=1.6, warm_up=0.4, rounds=5),
    search=Pace(seconds=1.6, warm_up=0.4),
    visits=Pace(seconds=4, warm_up=1),
    patients=1_000_000,
    messages=Pace(seconds=6, warm_up=0.5),
    switches=Pace(seconds=1.6, warm_up=0.4),
)
QUICK = Plan(
    small=book.SMALL,
    large=Size(160, 16),
    beside_floor=Pace(seconds=0.8, warm_up=0.2, rounds=2),
    growth=Pace(seconds=0.8, warm_up=0.2, rounds=2),
    search=Pace(seconds=0.8, warm_up=0.2, rounds=2),
    visits=Pace(seconds=4, warm_up=1, rounds=1),
    patients=50_000,
    messages=Pace(seconds=2, warm_up=0.2, rounds=1),
    switches=Pace(seconds=0.8, warm_up=0.2, rounds=2),
)


class Run:
    """Measures the parts that are wanted, and goes on if one fails."""

    def __init__(self, books: dict[str, Book], plan: Plan, wanted: Collection[str]) -> None:
        self._small, self._large = books["small"], books["large"]
        self._plan, self._wanted = plan, wanted
        self.results = Results(sizes=(self._small.count, self._large.count))

    def all(self) -> Results:
        """Everything that is wanted."""
        began = time.perf_counter()
        routes = [route for name, route in ROUTES.items() if name in self._wanted]
        if routes:
            with (
                servers.ours(self._small.environment) as ours,
                servers.floor(self._small.environment) as floor,
            ):
                self._small.require_fair(ours, floor)
                for route in routes:
                    self._try(route.name, lambda route=route: self._beside_floor(route, ours, floor))  # type: ignore[misc]
        if "growth" in self._wanted:
            with (
                servers.ours(self._small.environment) as small,
                servers.ours(self._large.environment) as large,
            ):
                for route in asks.ROUTES:
                    self._try(f"growth, {route.name}", lambda route=route: self._growth(route, small, large))  # type: ignore[misc]
                self._try("growth, search", lambda: self._growing_search(small, large))
        if "search" in self._wanted:
            self._try("search", self._full_search)
        if "visits" in self._wanted:
            for title, block in _BOOKS_OF_VISITS.items():
                self._try(f"visits, {title}", lambda title=title, block=block: self._visits(title, block))  # type: ignore[misc]
        if "patients" in self._wanted:
            self._try("patients", self._patients)
        if "messages" in self._wanted:
            self._try("messages", self._beside_messages)
        if "switches" in self._wanted:
            for setting, name in SWITCHES:
                self._try(setting, lambda setting=setting, name=name: self._switch(setting, ROUTES[name]))  # type: ignore[misc]
        self.results.seconds += time.perf_counter() - began
        return self.results

    def _try(self, name: str, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        try:
            work()
        except LoadFailed as error:
            self.results.failures[name] = str(error)
            print(f"FAILED {name}: {error}", file=sys.stderr, flush=True)
        print(f"({name}: {time.perf_counter() - began:.0f} s)", flush=True)

    def _side(self, server: Server, which: Book, route: Route) -> Side:
        return Side(server, which, route.ours(which.filled), status=route.status)

    def _beside_floor(self, route: Route, ours: Server, floor: Server) -> None:
        theirs = Side(floor, self._small, route.floor(self._small.filled), status=route.status)
        pair = _pair(alternately([self._side(ours, self._small, route), theirs], self._plan.beside_floor))
        self.results.floor[route.name] = pair
        print(line(route.title, pair, "floor"), flush=True)

    def _growth(self, route: Route, small: Server, large: Server) -> None:
        sides = [self._side(large, self._large, route), self._side(small, self._small, route)]
        self.results.growth[route.title] = pair = _pair(alternately(sides, self._plan.growth))
        print(line(f"{route.title}, large", pair, "small"), flush=True)

    def _growing_search(self, small: Server, large: Server) -> None:
        sides = [
            _search(large, self._large, book.OPEN_SPECIALTY),
            _search(small, self._small, book.OPEN_SPECIALTY),
        ]
        self.results.growth["slot search"] = pair = _pair(alternately(sides, self._plan.growth))
        print(line("slot search, large", pair, "small"), flush=True)

    def _full_search(self) -> None:
        with servers.ours(self._large.environment) as server:
            full = _search(server, self._large, book.FULL_SPECIALTY)
            # The first search after a book has filled up marks thousands of slots: a second or two, once.
            one = Side(server, self._large, full.requests, connections=1, once=True)
            self.results.first_full_search = one.run(Pace(seconds=60, warm_up=0)).percentile(0.5)
            calm_down()
            sides = [full, _search(server, self._large, book.OPEN_SPECIALTY)]
            self.results.search = pair = _pair(alternately(sides, self._plan.search))
        print(line("slot search, full book", pair, "open"), flush=True)

    def _visits(self, title: str, block: int) -> None:
        """A search of each kind, not remembered: from the second on, the cache would answer both."""
        with servers.ours(self._large.environment, RESPONSE_CACHE_ENABLED="false") as server:
            long, short = (
                Side(server, self._large, [asks.visits(block, long=is_long)], connections=_SEARCHERS)
                for is_long in (True, False)
            )
            for side in (short, long):  # the first search of a full book marks its slots
                Side(server, self._large, side.requests, connections=1, once=True).run(Pace(seconds=60, warm_up=0))
            self.results.visits[title] = pair = _pair(alternately([long, short], self._plan.visits))
        print(line(f"search of three slots, {title}", pair, "one"), flush=True)

    def _patients(self) -> None:
        """Each search for itself, one after the other."""
        filled, staff = books.fill_people(self._small.mongod, self._small.url, self._plan.patients)
        self.results.patient_count = self._plan.patients
        with servers.ours(filled.environment) as server:
            for title, requests in people.searches(self._plan.patients, by=staff).items():
                side = Side(server, filled, requests, connections=1, once=True)
                self.results.patients[title] = row = Row(
                    [side.run(Pace(seconds=20, warm_up=0)) for _ in range(2)][1:]
                )
                print(single(f"patients by {title}", row), flush=True)

    def _beside_messages(self) -> None:
        self.results.messages = found = messages.measure(self._small, self._plan.messages)
        print(line("slot search, beside SMS", (found.busy, found.idle), "idle"), flush=True)

    def _switch(self, setting: str, route: Route) -> None:
        with contextlib.ExitStack() as stack:
            servers_ = [
                stack.enter_context(servers.ours(self._small.environment, **{setting: value}))
                for value in ("true", "false")
            ]
            sides = [self._side(server, self._small, route) for server in servers_]
            pair = _pair(alternately(sides, self._plan.switches))
        self.results.switches.append(Switch(setting, route.title, *pair))
        print(line(f"{route.title}, {setting}", pair, "off"), flush=True)


def _search(server: Server, which: Book, specialty: str) -> Side:
    return Side(server, which, [asks.search(specialty)], connections=_SEARCHERS)


def _pair(rows: Sequence[Row]) -> tuple[Row, Row]:
    one, other = rows
    return one, other
