"""The picture of a run: requests a second beside the floor, and latency in a growing book."""

from pathlib import Path

from benchmarks.report import TITLES
from benchmarks.results import Results

_OURS, _FLOOR = "#1f5f8b", "#b9c4cc"


def draw(results: Results, file: Path) -> str | None:
    """Writes the PNG. Answers why not, if it can't."""
    try:
        import matplotlib as mpl  # not installed by `make setup`

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        return f"matplotlib is not installed ({error.name or error})"
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13.5, 4.6), layout="constrained")
    names = list(results.pairs)
    for number, name in enumerate(names):
        pair = results.pairs[name]
        left.bar(number - 0.2, pair.floor.rate, 0.38, color=_FLOOR, label="floor" if not number else None)
        left.bar(number + 0.2, pair.ours.rate, 0.38, color=_OURS, label="ours" if not number else None)
        ratio = pair.ours.rate / pair.floor.rate
        left.text(number + 0.2, pair.ours.rate, f"{ratio:.2f}", ha="center", va="bottom")
    left.set_xticks(range(len(names)), [TITLES[name].replace(" of a ", "\nof a ") for name in names])
    left.set_title("Requests a second, one process, 32 connections", loc="left")
    left.legend(frameon=False, loc="upper left")
    left.margins(y=0.2)
    for name, growth in results.growth.items():
        sizes = sorted(growth)
        (line,) = right.plot(sizes, [growth[size].p50 for size in sizes], "o-", label=TITLES.get(name, name))
        floor = results.floor_growth.get(name, {})
        if len(floor) > 1:
            sizes = sorted(floor)
            right.plot(sizes, [floor[size].p50 for size in sizes], ":", color=line.get_color())
    right.set_xscale("log")
    right.set_ylim(bottom=0)
    right.set_xlabel("appointments in the book")
    right.set_title("p50 in milliseconds (dotted: the floor)", loc="left")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    return None
