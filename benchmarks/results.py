"""What one run has found, and which lines of the acceptance it meets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from benchmarks.asks import ROUTES
from benchmarks.measure import Pair, Row
from benchmarks.parts import Beside, Busy, Contended, Search, Starts, median
from benchmarks.workers import FLOOR, FLOORS, ONE, ONE_CORE, TWO, Rows, Setting, ratio

_TITLES = {route.name: route.title for route in ROUTES}

Growth = dict[int, Row]
"""By the number of appointments in the book."""


@dataclass
class Results:
    """The figures of a run. What wasn't measured is empty."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    """Beside the floor, in the small book."""
    large_pairs: dict[str, Pair] = field(default_factory=dict)
    growth: dict[str, Growth] = field(default_factory=dict)
    floor_growth: dict[str, Growth] = field(default_factory=dict)
    filled: dict[int, float] = field(default_factory=dict)
    """Seconds that filling took, by the number of appointments."""
    constant: Row | None = None
    busy: Busy | None = None
    open_search: Search | None = None
    full_search: Search | None = None
    contended: dict[int, Contended] = field(default_factory=dict)
    login: Beside | None = None
    starts: dict[int, Starts] = field(default_factory=dict)
    workers: dict[str, Rows] = field(default_factory=dict)
    drain: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A line of the acceptance, the figure of this run, and whether it is met (None: not measured)."""

    line: str
    figure: str
    met: bool | None


def grown(growth: Growth) -> float | None:
    """The p50 in the largest book as a multiple of that in the smallest."""
    sizes = sorted(growth)
    return growth[sizes[-1]].p50 / growth[sizes[0]].p50 if len(sizes) > 1 else None


def verdicts(results: Results) -> list[Verdict]:
    """Every line of the acceptance that a run can judge."""
    return [verdict for judge in _JUDGES for verdict in judge(results)]


def _at_least(line: str, value: float | None, limit: float) -> Verdict:
    return _judged(line, value, limit, value is not None and value >= limit)


def _at_most(line: str, value: float | None, limit: float, unit: str = "") -> Verdict:
    return _judged(line, value, limit, value is not None and value <= limit, unit)


def _judged(line: str, value: float | None, limit: float, met: bool, unit: str = "") -> Verdict:
    if value is None:
        return Verdict(line, "not measured", None)
    shown = f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    # What rounds to the limit without meeting it is shown exactly.
    if not met and float(shown) == limit:
        shown = f"{value:.4f}"
    return Verdict(line, f"{shown}{unit}", met)


def _booking(results: Results) -> Iterator[Verdict]:
    pair = results.pairs.get("booking")
    cpu = (pair.ours.cpu(), pair.floor.cpu()) if pair else (None, None)
    rate = pair.ours.rate / pair.floor.rate if pair else None
    tail = pair.ours.p99 / pair.floor.p99 if pair else None
    yield _at_least("1. Booking: requests/s at least 0.75 of the floor's", rate, 0.75)
    yield _at_most("1. Booking: CPU per request at most 1.3× the floor's", _over(*cpu), 1.3)
    yield _at_most("1. Booking: p99 at 32 connections at most 1.5× the floor's", tail, 1.5)


def _over(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _reads(results: Results) -> Iterator[Verdict]:
    for name, title in (("day", "Slots of a day"), ("list", "Own list")):
        pair = results.pairs.get(name)
        rate = pair.ours.rate / pair.floor.rate if pair else None
        yield _at_least(f"2. {title}: requests/s at least 0.6 of the floor's", rate, 0.6)


def _search(results: Results) -> Iterator[Verdict]:
    tails = [
        search.row.median(lambda found: found.percentile(0.95)) if search else None
        for search in (results.full_search, results.open_search)
    ]
    line = "3. First free in a full book (16,000 full slots before it): p95 at most 2× that in an open book"
    yield _at_most(line, _over(*tails), 2)


def _growth(results: Results) -> Iterator[Verdict]:
    found = {name: grown(growth) for name, growth in results.growth.items()}
    ratios = {name: ratio for name, ratio in found.items() if ratio is not None}
    line = "4. From the smallest to the largest book: every p50 within 1.25×"
    if not ratios:
        yield Verdict(line, "not measured", None)
        return
    worst = max(ratios, key=lambda name: ratios[name])
    verdict = _at_most(line, ratios[worst], 1.25)
    yield Verdict(line, f"{verdict.figure} (the worst: {_TITLES.get(worst, worst)})", verdict.met)


def _seat(results: Results) -> Iterator[Verdict]:
    slowest = max((value for found in results.contended.values() for value in found.slowest), default=None)
    yield _at_most(
        "5. 200 for one seat: all answered within 1 s, none by time-out", slowest and slowest / 1000, 1, " s"
    )
    wins = [found.one_wins for found in results.contended.values()]
    line = "5. 200 for one seat: one 201 and 199 × 409, each time"
    yield (
        Verdict(line, "yes" if all(wins) else "no", all(wins))
        if wins
        else Verdict(line, "not measured", None)
    )


def _login(results: Results) -> Iterator[Verdict]:
    ratio = results.login.busy.p99 / results.login.idle.p99 if results.login else None
    yield _at_most("6. Eight logins in parallel: p99 of a slot search beside them at most 3× idle", ratio, 3)


def _workers(results: Results) -> Iterator[Verdict]:
    line = "7. Two workers on two cores: at least 1.5× of one on one core, for each read route (the least)"
    yield _at_least(line, least(results, TWO, ONE_CORE), 1.5)
    line = "7. The same beside one worker that has both cores"
    beside, floor = least(results, TWO, ONE), least(results, FLOORS, FLOOR)
    verdict = _at_least(line, beside, 1.5)
    if floor is not None:
        verdict = replace(verdict, figure=f"{verdict.figure} (the floor: {floor:.2f})")
    yield verdict


def least(results: Results, more: Setting, less: Setting) -> float | None:
    """Of the routes, the least that more gives."""
    found = [ratio(rows, more, less) for rows in results.workers.values()]
    return min((value for value in found if value is not None), default=None)


def _start(results: Results) -> Iterator[Verdict]:
    seconds = max((median(found.seconds) for found in results.starts.values()), default=None)
    yield _at_most("8. Start to the first answered request under 3 s", seconds, 3, " s")
    memory = [mib for found in results.starts.values() for mib in found.memory.values() if mib is not None]
    yield _at_most("8. Memory of an idle worker under 130 MiB", max(memory, default=None), 130, " MiB")


_JUDGES: tuple[Callable[[Results], Iterator[Verdict]], ...] = (
    _booking,
    _reads,
    _search,
    _growth,
    _seat,
    _login,
    _workers,
    _start,
)
