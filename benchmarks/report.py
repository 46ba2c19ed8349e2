"""A run's figures as text: a line for the terminal, and `RESULTS.md`."""

import statistics
from collections.abc import Iterable, Iterator, Sequence

from benchmarks import asks
from benchmarks.budgets import Pair, Results, Switch, Verdict, verdicts
from benchmarks.measure import P50, P95, P99, Figure, Row, cpu, rate, ratio

_TITLES = {route.name: route.title for route in asks.ROUTES}
_WORDS = {True: "met", False: "**NOT MET**", None: "–"}
_HEAD = ("requests/s", "p50 ms", "p95 ms", "p99 ms", "server CPU µs/request", "mongod CPU µs/request")
_FIGURES: Sequence[tuple[Figure, str]] = (
    (rate, ",.0f"),
    (P50, ".2f"),
    (P95, ".2f"),
    (P99, ".2f"),
    (cpu("server"), ".0f"),
    (cpu("mongod"), ".0f"),
)


def line(title: str, pair: Pair, other: str) -> str:
    """A pair on one line."""
    one, two = pair
    ratios = ", ".join(
        f"{name} {_shown(ratio(one, two, figure), '.2f')}"
        for name, figure in (("rate", rate), ("p50", P50), ("p99", P99), ("cpu", cpu()))
    )
    return f"{title:48}{_short(one)} | {other} {_short(two)} | ratios: {ratios}"


def single(title: str, row: Row) -> str:
    """A load by itself on one line."""
    return f"{title:48}{_short(row)} p95 {_shown(row.median(P95), '.2f')} ms"


def _short(row: Row) -> str:
    values = [_shown(row.median(figure), kind) for figure, kind in _FIGURES]
    return f"{values[0]}/s p50 {values[1]} p99 {values[3]} ms cpu {values[4]} µs"


def _shown(value: float | None, kind: str) -> str:
    return "n/a" if value is None else f"{value:{kind}}"


def summary(results: Results) -> Iterator[str]:
    """The budgets for the terminal."""
    for found in verdicts(results):
        if found.met is not None:
            yield f"{'met    ' if found.met else 'NOT MET'} {found.budget}: {found.figure} ({found.limit})"


def write(results: Results, machine: Sequence[tuple[str, str]]) -> str:
    """The whole of `RESULTS.md`."""
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("", _head(results, machine)),
        ("## Budgets", _budgets(results)),
        ("## Beside the floor", _floor(results)),
        ("## A small and a large book", _growth(results)),
        ("## Slot search", _search(results)),
        ("## Visits of three slots", _visits(results)),
        ("## Patients", _patients(results)),
        ("## Each mechanism on and off", _switches(results.switches)),
    )
    lines: list[str] = []
    for title, text in sections:
        lines += [title, ""] if title else []
        lines += [*text, ""]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _head(results: Results, machine: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    yield (
        "Written by `make bench`. Absolute figures differ from machine to machine, and server, `mongod` and client "
        "share this one: compare ratios. What is measured and why: [docs/performance.md](../docs/performance.md)."
    )
    yield ""
    yield from _table(("", ""), machine)
    yield ""
    yield f"The run took {results.seconds / 60:.1f} minutes, {results.filling:.0f} s of them to fill the books."


def _budgets(results: Results) -> Iterator[str]:
    rows = ((v.budget, v.limit, v.figure, _word(v)) for v in verdicts(results))
    yield from _table(("ratio", "budget", "this run", ""), rows)
    for name, why in results.failures.items():
        yield ""
        yield f"**Failed: {name}.** `{why[:300]}`"


def _word(verdict: Verdict) -> str:
    return _WORDS[verdict.met]


def _pairs(pairs: Iterable[tuple[str, str, Pair]]) -> Iterator[str]:
    rows: list[Sequence[str]] = []
    for title, other, (one, two) in pairs:
        rows += [_row(title, one), _row(f"– {other}", two)]
        ratios = (f"**{_shown(ratio(one, two, figure), '.2f')}**" for figure, _ in _FIGURES)
        rows.append(("– ratio", *ratios))
    yield from _table(("", *_HEAD), rows)


def _row(title: str, row: Row) -> Sequence[str]:
    return (title, *(_shown(row.median(figure), kind) for figure, kind in _FIGURES))


def _floor(results: Results) -> Iterator[str]:
    yield "In the small book, one process, 32 connections. A ratio is the median of the rounds' ratios."
    yield ""
    yield from _pairs((_TITLES[name], "floor", pair) for name, pair in results.floor.items())


def _growth(results: Results) -> Iterator[str]:
    small, large = results.sizes
    yield f"{large:,} appointments beside {small:,}, in two databases that exist at once, measured alternately."
    yield ""
    yield from _pairs((f"{title}, large", "small", pair) for title, pair in results.growth.items())


def _search(results: Results) -> Iterator[str]:
    found: list[tuple[str, str, Pair]] = []
    if results.search:
        yield (
            "Full: every slot of the first twenty days is taken. The very first search after that took "
            f"{_shown(results.first_full_search, '.0f')} ms."
        )
        found.append(("full book", "open book", results.search))
    if results.messages:
        sent = statistics.median(results.messages.sent)
        yield f"Beside messages: the same process sent {sent:.0f} a second to the emulated carrier."
        found.append(("beside messages", "idle", (results.messages.busy, results.messages.idle)))
    yield ""
    yield from _pairs(found)


def _visits(results: Results) -> Iterator[str]:
    yield (
        "A search of a clinic for a visit of three slots, beside one for a slot: in an open book, and with every "
        "or every second slot of the first twenty days taken. Without the response cache."
    )
    yield ""
    yield from _pairs((title, "one slot", pair) for title, pair in results.visits.items())


def _patients(results: Results) -> Iterator[str]:
    yield f"Searches among {results.patient_count:,} patients by what staff type, one after the other."
    yield ""
    yield from _table(("", *_HEAD), (_row(title, row) for title, row in results.patients.items()))


def _switches(switches: Sequence[Switch]) -> Iterator[str]:
    yield from _pairs((f"`{each.setting}`: {each.route}", "off", (each.on, each.off)) for each in switches)
