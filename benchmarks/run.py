"""One run from beginning to end: which part is measured when, on which book."""

import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import asks, book, parts, servers, workers
from benchmarks.book import Size
from benchmarks.load import LoadFailed
from benchmarks.measure import Bench, Pace, Row, calm_down
from benchmarks.report import pair_line
from benchmarks.results import Results
from benchmarks.servers import Server

ROUTES = tuple(route.name for route in asks.ROUTES)
IN_A_SMALL_BOOK = (*ROUTES, "constant", "contended", "busy")
# Logins come last: each takes the place of one of its user's sessions.
IN_A_LARGE_BOOK = ("growth", "search", "start", "workers", "login")
ALL = (*IN_A_SMALL_BOOK, *IN_A_LARGE_BOOK, "drain")
IN_A_MINUTE = (*ROUTES, "constant", "contended", "search", "start")


@dataclass(frozen=True)
class Plan:
    """How large the books are and how long the runs."""

    sizes: tuple[Size, ...]
    beside_floor: Pace
    growing: Pace
    short: Pace
    login: Pace
    workers: Pace
    rounds_contended: int
    due_messages: int


FULL = Plan(
    sizes=(book.SMALL, book.MIDDLE, book.LARGE),
    beside_floor=Pace(),
    growing=Pace(seconds=1.6, warm_up=0.4),
    short=Pace(seconds=1.6, warm_up=0.4, rounds=2),
    login=Pace(seconds=4, warm_up=0.3),
    workers=Pace(seconds=1.4, warm_up=0.3),
    rounds_contended=3,
    due_messages=10_000,
)
QUICK = Plan(
    sizes=(book.SMALL, Size(160, 16)),
    beside_floor=Pace(seconds=0.9, warm_up=0.2),
    growing=Pace(seconds=0.8, warm_up=0.2),
    short=Pace(seconds=0.8, warm_up=0.2, rounds=2),
    login=Pace(seconds=1.5, warm_up=0.2, rounds=2),
    workers=Pace(seconds=0.8, warm_up=0.2, rounds=2),
    rounds_contended=2,
    due_messages=1000,
)


class Run:
    """Measures the parts that are wanted, and keeps on if one fails."""

    def __init__(self, bench: Bench, plan: Plan, wanted: Collection[str]) -> None:
        self._bench, self._plan, self._wanted = bench, plan, wanted
        self.results = Results()

    def all(self) -> Results:
        """Everything that is wanted."""
        began = time.perf_counter()
        small, *larger = self._plan.sizes
        if self._wants(*IN_A_SMALL_BOOK, *IN_A_LARGE_BOOK):
            self._fill(small)
            self._in_small_book()
        if self._wants("busy"):
            self._try("busy", self._busy)
        if self._wants(*IN_A_LARGE_BOOK):
            for size in larger[:-1] if self._wants("growth") else []:
                self._fill(size)
                with servers.ours(self._bench.environment) as ours:
                    self._grown(ours, self._plan.short)
            self._fill(larger[-1])
            self._in_large_book()
        if self._wants("drain"):
            self._try("drain", self._drain)
        self.results.seconds = time.perf_counter() - began
        return self.results

    def _wants(self, *names: str) -> bool:
        return any(name in self._wanted for name in names)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        try:
            work()
        except (LoadFailed, AssertionError) as error:
            self.results.failures[name] = str(error)
            print(f"FAILED {name}: {error}", file=sys.stderr, flush=True)
        self._say(f"({name}: {time.perf_counter() - began:.0f} s)")

    @staticmethod
    def _say(text: str) -> None:
        print(text, flush=True)

    def _fill(self, size: Size) -> None:
        began = time.perf_counter()
        self.count = self._bench.grow(size)
        self.results.filled[self.count] = seconds = time.perf_counter() - began
        self._say(f"{self.count:,} appointments, {size.doctors} doctors ({seconds:.0f} s)")

    def _in_small_book(self) -> None:
        results, plan = self.results, self._plan
        with servers.ours(self._bench.environment) as ours, servers.floor(self._bench.environment) as floor:
            if self._wants(*ROUTES):
                self._bench.require_fair(ours, floor)
            for route in asks.ROUTES:
                if route.name in self._wanted or "growth" in self._wanted:
                    self._try(route.name, lambda route=route: self._compare(route, ours, floor))  # type: ignore[misc]
            if self._wants("constant"):
                requests = asks.constant()
                runs = [self._bench.load(floor, requests, plan.short) for _ in range(plan.short.rounds)]
                results.constant = Row(runs)
                self._say(f"constant JSON, floor: {results.constant.rate:.0f}/s")
            if self._wants("contended"):
                self._try("contended", lambda: self._contended(ours))
            if self._wants("growth"):
                self._try("open search", lambda: self._open_search(ours, plan.short))

    def _compare(self, route: asks.Route, ours: Server, floor: Server) -> None:
        pair = self._bench.compare(route, ours, floor, self._plan.beside_floor)
        self.results.pairs[route.name] = pair
        self.results.growth.setdefault(route.name, {})[self.count] = pair.ours
        self.results.floor_growth.setdefault(route.name, {})[self.count] = pair.floor
        self._say(pair_line(route.title, pair))

    def _contended(self, ours: Server) -> None:
        found = parts.contended(self._bench, ours, self._plan.rounds_contended)
        self.results.contended[self.count] = found
        slowest = ", ".join(f"{value:.0f}" for value in found.slowest)
        self._say(f"200 for one seat: {parts.together(found.statuses)}; slowest {slowest} ms")

    def _open_search(self, ours: Server, pace: Pace) -> None:
        found = parts.search(self._bench, ours, book.OPEN_SPECIALTY, pace)
        self.results.open_search = found
        self.results.growth.setdefault("open search", {})[self.count] = found.row
        self._say(f"first free in an open book: {_of_search(found)}")

    def _full_search(self, ours: Server, pace: Pace) -> None:
        found = parts.search(self._bench, ours, book.FULL_SPECIALTY, pace)
        self.results.full_search = found
        self._say(f"first free in a full book: {_of_search(found)}")

    def _grown(self, ours: Server, pace: Pace) -> None:
        """What a larger book costs, without the floor."""
        for route in asks.ROUTES:
            requests = route.ours(self._bench.book, ours)
            runs = [self._bench.once(ours, route, requests, pace) for _ in range(pace.rounds)]
            self.results.growth[route.name][self.count] = Row(runs)
            if route.status == 201:
                calm_down()
            self._say(f"{route.title}: p50 {Row(runs).p50:.2f} ms")
        self._try("contended", lambda: self._contended(ours))
        self._try("open search", lambda: self._open_search(ours, pace))

    def _in_large_book(self) -> None:
        plan, bench = self._plan, self._bench
        with ExitStack() as stack:
            ours = stack.enter_context(servers.ours(bench.environment))
            if self._wants("growth"):
                floor = stack.enter_context(servers.floor(bench.environment))
                for route in asks.ROUTES:
                    self._try(
                        f"{route.name}, large",
                        lambda route=route: self._compare_large(route, ours, floor),  # type: ignore[misc]
                    )
                self._try("contended", lambda: self._contended(ours))
            if self._wants("growth", "search"):
                self._try("open search", lambda: self._open_search(ours, plan.short))
            if self._wants("search"):
                self._try("full search", lambda: self._full_search(ours, plan.short))
        if self._wants("start", "workers"):
            self._try("start", self._start)
        if self._wants("workers"):
            self._try("workers", self._workers)
        if self._wants("login"):
            with servers.ours(bench.environment) as ours:
                self._try("login", lambda: self._login(ours))

    def _compare_large(self, route: asks.Route, ours: Server, floor: Server) -> None:
        pair = self._bench.compare(route, ours, floor, self._plan.growing)
        self.results.large_pairs[route.name] = pair
        self.results.growth[route.name][self.count] = pair.ours
        self.results.floor_growth[route.name][self.count] = pair.floor
        self._say(pair_line(route.title, pair))

    def _login(self, ours: Server) -> None:
        found = self.results.login = parts.login(self._bench, ours, self._plan.login)
        self._say(
            f"slot search p99 idle {found.idle.p99:.1f} ms, beside {parts.median(found.logins):.1f} logins a second "
            f"{found.busy.p99:.1f} ms"
        )

    def _start(self) -> None:
        found = self.results.starts[self.count] = parts.start(self._bench, rounds=3)
        self._say(
            f"first answer after {parts.median(found.seconds):.2f} s; idle {found.memory[1] or 0:.0f} MiB"
        )

    def _workers(self) -> None:
        starts = self.results.starts[self.count]
        routes = [route for route in asks.ROUTES if route.status == 200]
        self.results.workers = workers.measure(self._bench, routes, self._plan.workers, starts)
        for name, rows in self.results.workers.items():
            rates = ", ".join(f"{setting.title}: {row.rate:.0f}/s" for setting, row in rows.items())
            self._say(f"workers, {name}: {rates}")

    def _busy(self) -> None:
        found = self.results.busy = parts.busy(self._bench, self._plan.beside_floor)
        self._say(
            f"booking with timed work: {found.row.rate:.0f}/s, {parts.median(found.sent_each):.2f} messages each"
        )

    def _drain(self) -> None:
        found = self.results.drain = parts.drain(self._plan.due_messages)
        self._say(f"drain: {found}")


def _of_search(found: parts.Search) -> str:
    tail = found.row.median(lambda run: run.percentile(0.95))
    return f"the first {found.cold:.1f} ms, then p50 {found.row.p50:.2f} p95 {tail or 0:.2f} ms"
