"""A run's figures as text: a line for the terminal, and `RESULTS.md`."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks import asks, book
from benchmarks.measure import Pair, Row
from benchmarks.parts import Search, median, together
from benchmarks.results import Growth, Results, grown, verdicts
from benchmarks.workers import FLOOR, FLOORS, FOUR, ONE, ONE_CORE, TWO, ratio

TITLES = {route.name: route.title for route in asks.ROUTES}


def pair_line(title: str, pair: Pair) -> str:
    """Ours beside the floor, on one line."""
    ours, floor = pair.ours, pair.floor
    extra = (("mongod", ours.cpu("mongod"), floor.cpu("mongod")), ("client", ours.cpu("client"), None))
    more = ", ".join(f"{name} {_micros(one)}{f'/{_micros(two)}' if two else ''}" for name, one, two in extra)
    return (
        f"{title:24}{_short(ours)} | floor {_short(floor)} | rate {ours.rate / floor.rate:.2f}"
        f" p99 {ours.p99 / floor.p99:.2f} cpu {_ratio(ours.cpu(), floor.cpu())} | {more}"
    )


def _short(row: Row) -> str:
    return f"{row.rate:6.0f}/s p50 {row.p50:5.2f} p99 {row.p99:5.2f} ms cpu {_micros(row.cpu())}"


def _micros(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f} µs"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one is not None and other else "n/a"


def write(results: Results, machine: Sequence[tuple[str, str]], *, has_plot: str) -> str:
    """The whole report. `has_plot` is the plot's file name, or why there is none."""
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("", _head(results, machine, has_plot)),
        ("## Acceptance", _acceptance(results)),
        ("## Beside the floor", _beside(results)),
        ("## The growing book", _growth(results)),
        ("## First free", _searches(results)),
        ("## Two hundred for one seat", _contended(results)),
        ("## Logins beside other requests", _login(results)),
        ("## Messages", _messages(results)),
        ("## Start, memory, workers", _processes(results)),
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


def _head(results: Results, machine: Sequence[tuple[str, str]], has_plot: str) -> Iterator[str]:
    yield "# Measured"
    yield ""
    yield (
        "Written by `make bench`. Absolute figures move from machine to machine, and server, `mongod` and client "
        "share this one; the ratios within one run are what counts. What is measured, and how to read it: "
        "[docs/performance.md](../docs/performance.md)."
    )
    yield ""
    yield from _table(("", ""), machine)
    yield ""
    yield f"The run took {results.seconds / 60:.1f} minutes."
    if has_plot.endswith(".png"):
        yield ""
        yield f"![requests a second beside the floor, and latency in a growing book]({has_plot})"
    else:
        yield f"There is no plot: {has_plot}."


def _acceptance(results: Results) -> Iterator[str]:
    words = {True: "met", False: "**not met**", None: "–"}
    found = verdicts(results)
    yield from _table(("line", "this run", ""), ((v.line, v.figure, words[v.met]) for v in found))
    for name, why in results.failures.items():
        yield ""
        yield f"**Failed: {name}.** `{why[:300]}`"


def _beside(results: Results) -> Iterator[str]:
    head = ("", "requests/s", "p50 ms", "p99 ms", "server CPU µs/request", "mongod CPU µs/request")
    for title, pairs in (("the small book", results.pairs), ("the large book", results.large_pairs)):
        if not pairs:
            continue
        yield f"In {title}, 32 connections, one process, medians of alternating runs:"
        yield ""
        rows: list[Sequence[str]] = []
        for name, pair in pairs.items():
            rows += [_figures(TITLES[name], pair.ours), _figures("– floor", pair.floor), _ratios(pair)]
        if pairs is results.pairs and results.constant:
            rows.append(_figures("floor, constant JSON", results.constant))
        if pairs is results.pairs and results.busy:
            rows.append(_figures("booking with timed work and messages on", results.busy.row))
        yield from _table(head, rows)
        yield ""
    if results.busy:
        yield (
            f"With timed work on, the same process also sent {median(results.busy.sent_each):.2f} messages (to the "
            "simulated phone) for each booking meanwhile. All other rows are the API alone."
        )


def _figures(title: str, row: Row) -> Sequence[str]:
    cpu = [_micros(row.cpu(name)).removesuffix(" µs") for name in ("server", "mongod")]
    return (title, f"{row.rate:,.0f}", f"{row.p50:.2f}", f"{row.p99:.2f}", *cpu)


def _ratios(pair: Pair) -> Sequence[str]:
    ours, floor = pair.ours, pair.floor
    wall = (ours.rate / floor.rate, ours.p50 / floor.p50, ours.p99 / floor.p99)
    cpu = [_ratio(ours.cpu(name), floor.cpu(name)) for name in ("server", "mongod")]
    return ("– ratio", *(f"**{value:.2f}**" for value in wall), *(f"**{value}**" for value in cpu))


def _growth(results: Results) -> Iterator[str]:
    sizes = sorted({size for growth in results.growth.values() for size in growth})
    if len(sizes) < 2:
        return
    yield "p50 in milliseconds by the number of appointments (with the slots that go with them):"
    yield ""
    head = ("", *(f"{size:,}" for size in sizes), "largest / smallest")
    rows = []
    for name, growth in results.growth.items():
        rows.append(_grown(TITLES.get(name, name), growth, sizes))
        if len(results.floor_growth.get(name, {})) > 1:
            rows.append(_grown("– floor", results.floor_growth[name], sizes))
    yield from _table(head, rows)
    yield ""
    filled = ", ".join(f"{count:,} after {seconds:.0f} s" for count, seconds in results.filled.items())
    yield f"Filling the book: {filled}."


def _grown(title: str, growth: Growth, sizes: Sequence[int]) -> Sequence[str]:
    ratio = grown(growth)
    cells = (f"{growth[size].p50:.2f}" if size in growth else "" for size in sizes)
    return (title, *cells, "" if ratio is None else f"**{ratio:.2f}**")


def _searches(results: Results) -> Iterator[str]:
    if not (results.open_search and results.full_search):
        return
    full_slots = len(book.FULL_DOCTORS) * book.FULL_DAYS * book.SLOTS_A_DAY
    yield f"By specialty and city, twenty rows, four searches at a time. Full: {full_slots:,} full slots come first."
    yield ""
    head = ("", "the very first, ms", "p50 ms", "p95 ms", "requests/s")
    opened, full = results.open_search, results.full_search
    rows = [_search("open book", opened), _search("full for 20 days", full)]
    ratios = (full.row.p50 / opened.row.p50, _p95(full.row) / _p95(opened.row))
    rows.append(("– ratio", f"{full.cold / opened.cold:.1f}", *(f"**{value:.2f}**" for value in ratios), ""))
    yield from _table(head, rows)


def _search(title: str, found: Search) -> Sequence[str]:
    return (
        title,
        f"{found.cold:.1f}",
        f"{found.row.p50:.2f}",
        f"{_p95(found.row):.2f}",
        f"{found.row.rate:.0f}",
    )


def _p95(row: Row) -> float:
    return row.median(lambda found: found.percentile(0.95)) or 0


def _contended(results: Results) -> Iterator[str]:
    for size, found in results.contended.items():
        slowest = ", ".join(f"{value:.0f}" for value in found.slowest)
        yield f"- {size:,} appointments: {together(found.statuses)}; the slowest answer of each round {slowest} ms."


def _login(results: Results) -> Iterator[str]:
    if results.login is None:
        return
    found = results.login
    yield f"A slot search at low load, alone and beside {median(found.logins):.1f} logins a second, eight at a time:"
    yield ""
    rows = [
        (title, f"{row.p50:.2f}", f"{row.p99:.2f}")
        for title, row in (("alone", found.idle), ("beside logins", found.busy))
    ]
    rows.append(
        ("– ratio", f"{found.busy.p50 / found.idle.p50:.2f}", f"**{found.busy.p99 / found.idle.p99:.2f}**")
    )
    yield from _table(("", "p50 ms", "p99 ms"), rows)


def _messages(results: Results) -> Iterator[str]:
    if not results.drain:
        return
    found = results.drain
    yield (
        f"{found['count']:,.0f} reminders due at once, two processes, against an emulator that answers at once: "
        f"{found['rate']:.0f} a second, **{found['client']:.2f}** of what the bare SDK posts with its usual client, "
        f"**{found['async']:.2f}** of its async one. A slot search meanwhile: p99 {found['busy']:.1f} ms "
        f"(idle {found['idle']:.1f} ms, ratio **{found['busy'] / found['idle']:.1f}**)."
    )


def _processes(results: Results) -> Iterator[str]:
    for size, found in results.starts.items():
        memory = ", ".join(
            f"{'n/a' if mib is None else f'{mib:.0f} MiB'} with {count}"
            for count, mib in found.memory.items()
        )
        yield (
            f"With {size:,} appointments, the first request is answered {median(found.seconds):.2f} s after the "
            "start of the process (database up, timed work on). Resident memory of an idle worker, by the number of "
            f"workers: {memory}."
        )
    if results.workers:
        yield ""
        settings = next(iter(results.workers.values()))
        head = ("requests/s", *(each.title for each in settings))
        rows = (
            (TITLES[name], *(f"{row.rate:,.0f}" for row in found.values()))
            for name, found in results.workers.items()
        )
        yield from _table(head, rows)
        yield ""
        head = ("times as many", *(f"{more.title} / {less.title}" for more, less in _COMPARED))
        ratios = (
            (TITLES[name], *(_bold(ratio(found, more, less)) for more, less in _COMPARED))
            for name, found in results.workers.items()
        )
        yield from _table(head, ratios)


_COMPARED = ((TWO, ONE_CORE), (TWO, ONE), (FOUR, ONE), (FLOORS, FLOOR))


def _bold(value: float | None) -> str:
    return "–" if value is None else f"**{value:.2f}**"
