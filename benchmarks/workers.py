"""What a second process gives: the read routes on one, two and four workers, and on one core and on all.

Server, `mongod` and client share the machine. On two cores one worker keeps the first busy, and `mongod` and the
client a part of the second, for the floor most of it: a second worker finds only the rest to work with. What it gives
with a core of its own shows when the worker that it is compared with has one core for all three.
"""

import contextlib
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import asks, servers
from benchmarks.load import Found
from benchmarks.measure import Bench, Pace, Row
from benchmarks.parts import Starts
from benchmarks.servers import Server


@dataclass(frozen=True)
class Setting:
    """How many processes on what."""

    title: str
    workers: int
    is_floor: bool = False
    on_one_core: bool = False


ONE, TWO, FOUR = Setting("1 worker", 1), Setting("2 workers", 2), Setting("4 workers", 4)
ONE_CORE = Setting("1 worker, 1 core", 1, on_one_core=True)
FLOOR, FLOORS = Setting("floor, 1 worker", 1, is_floor=True), Setting("floor, 2 workers", 2, is_floor=True)

TOGETHER = ((ONE_CORE, ONE, TWO), (FOUR,), (FLOOR, FLOORS))
"""Those of a group run by turns, and no server of another group beside them: none is ever quite idle."""

_FIRST = Pace(seconds=0.8, warm_up=0.1)
_MORE_ROUNDS = 2
"""Where four processes share two cores, single runs differ by a tenth."""

Rows = dict[Setting, Row]


def ratio(rows: Rows, more: Setting, less: Setting) -> float | None:
    """How many times the requests a second; None where one of them couldn't be measured.

    Of two of a group it is the median of the rounds' ratios: in each, one ran right after the other.
    """
    if more not in rows or less not in rows:
        return None
    if not any({more, less} <= set(group) for group in TOGETHER):
        return rows[more].rate / rows[less].rate
    rounds = zip(rows[more].runs, rows[less].runs, strict=True)
    return statistics.median(of_more.rate / of_less.rate for of_more, of_less in rounds)


def measure(bench: Bench, routes: Sequence[asks.Route], pace: Pace, starts: Starts) -> dict[str, Rows]:
    """Each route in each setting. Adds what an idle worker of several holds."""
    found: dict[str, Rows] = {route.name: {} for route in routes}
    for group in TOGETHER:
        with contextlib.ExitStack() as stack:
            kinds = sorted({(each.workers, each.is_floor) for each in group})
            running = {kind: stack.enter_context(_serving(bench, *kind)) for kind in kinds}
            for (workers, is_floor), server in running.items():
                if workers > 1 and not is_floor:
                    starts.memory[workers] = server.memory()
            for route in routes:
                rows = {each: Row() for each in group if _possible(each)}
                for setting in group:  # several have as many memories to fill
                    _run(bench, running[setting.workers, setting.is_floor], route, setting, _FIRST)
                for _ in range(pace.rounds + (_MORE_ROUNDS if TWO in group else 0)):
                    for setting, row in rows.items():
                        server = running[setting.workers, setting.is_floor]
                        row.runs.append(_run(bench, server, route, setting, pace))
                found[route.name] |= rows
    return found


def _serving(bench: Bench, workers: int, is_floor: bool) -> contextlib.AbstractContextManager[Server]:
    serve = servers.floor if is_floor else servers.ours
    return serve(bench.environment, workers=workers)


def _run(bench: Bench, server: Server, route: asks.Route, setting: Setting, pace: Pace) -> Found:
    requests = (route.floor if setting.is_floor else route.ours)(bench.book, server)
    watched = [pid for pids in bench.watched(server).values() for pid in pids]
    with _on_one_core(watched) if setting.on_one_core else contextlib.nullcontext():
        return bench.once(server, route, requests, pace)


def _possible(setting: Setting) -> bool:
    """Only Linux keeps processes on a core; and there must be another one."""
    return not setting.on_one_core or (hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1)


@contextlib.contextmanager
def _on_one_core(pids: Iterable[int]) -> Iterator[None]:
    """Keeps these processes on one core, and those that this one starts."""
    everyone, cores = [os.getpid(), *pids], os.sched_getaffinity(0)
    _keep(everyone, {min(cores)})
    try:
        yield
    finally:
        _keep(everyone, cores)


def _keep(pids: Iterable[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(thread.name), cores)
