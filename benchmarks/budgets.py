"""What one run has found, and which budgets it meets."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.measure import P50, P95, P99, Figure, Row, rate, ratio
from benchmarks.messages import Beside

Pair = tuple[Row, Row]
"""What is judged, and what it is compared with."""


@dataclass(frozen=True)
class Switch:
    """A route with a mechanism on and off."""

    setting: str
    route: str
    on: Row
    off: Row


@dataclass
class Results:
    """The figures of a run. What wasn't measured is empty."""

    sizes: tuple[int, int]
    """Appointments in the small and in the large book."""
    floor: dict[str, Pair] = field(default_factory=dict)
    """By route: ours and the floor."""
    growth: dict[str, Pair] = field(default_factory=dict)
    """By title: the large and the small book."""
    search: Pair | None = None
    """In a full and in an open book."""
    first_full_search: float | None = None
    """Milliseconds."""
    visits: dict[str, Pair] = field(default_factory=dict)
    """By how full the book is: a search for a visit of three slots, and one for a slot."""
    patients: dict[str, Row] = field(default_factory=dict)
    """By what they are looked for."""
    patient_count: int = 0
    messages: Beside | None = None
    switches: list[Switch] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    filling: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A budget, the figure of this run, and whether it is met (None: not measured)."""

    budget: str
    limit: str
    figure: str
    met: bool | None


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every budget."""
    floor = results.floor.get
    yield _at_least("booking, requests/s beside the floor's", floor("booking"), rate, 1.5)
    yield _at_least("slots of a day, requests/s beside the floor's", floor("day"), rate, 2)
    yield _at_least("own list, requests/s beside the floor's", floor("list"), rate, 2)
    yield _at_most("booking, p99 beside the floor's", floor("booking"), P99, 1.5)
    yield _at_most("slot search in a full book, p95 beside an open one", results.search, P95, 2)
    for title in ("open book", "every slot taken", "every second slot taken"):
        pair = results.visits.get(title)
        yield _at_most(f"search of three slots, {title}, p95 beside one slot", pair, P95, 3)
    for title, row in results.patients.items():
        found = row.median(P95)
        name = f"{results.patient_count:,} patients searched by {title}, p95 in ms"
        yield Verdict(name, "≤ 50", f"{found:.1f}", found <= 50) if found is not None else Verdict(name, "", "", None)
    small, large = results.sizes
    for title in ("booking", "slots of a doctor's day", "own appointments", "slot search"):
        name = f"{title}, p50 at {large:,} appointments beside {small:,}"
        yield _at_most(name, results.growth.get(title), P50, 1.25)
    beside = (results.messages.busy, results.messages.idle) if results.messages else None
    yield _at_most("slot search beside 100 messages a second, p99 beside idle", beside, P99, 2)


def _at_least(budget: str, pair: Pair | None, figure: Figure, limit: float) -> Verdict:
    return _judged(budget, pair, figure, limit, is_least=True)


def _at_most(budget: str, pair: Pair | None, figure: Figure, limit: float) -> Verdict:
    return _judged(budget, pair, figure, limit, is_least=False)


def _judged(budget: str, pair: Pair | None, figure: Figure, limit: float, *, is_least: bool) -> Verdict:
    shown_limit = f"{'≥' if is_least else '≤'} {limit:g}"
    value = ratio(*pair, figure) if pair else None
    if value is None:
        return Verdict(budget, shown_limit, "not measured", None)
    met = value >= limit if is_least else value <= limit
    shown = f"{value:.2f}"
    # A figure that rounds to the limit without meeting it is shown exactly.
    return Verdict(budget, shown_limit, f"{value:.4f}" if not met and float(shown) == limit else shown, met)
