"""`python -m benchmarks`: how fast it is, beside the floor. `make bench` runs all of it.

A full run writes `RESULTS.md` and `results.png` beside this file. `--quick` and `--only` print, and write nothing.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.plot import draw
from benchmarks.report import write
from benchmarks.results import verdicts
from benchmarks.run import ALL, FULL, IN_A_MINUTE, QUICK, Run

_HERE = Path(__file__).parent
_CACHE_GB = 2


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ALL):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; there are {', '.join(ALL)}")
    return names


def main() -> int:
    """Does what the arguments say. 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs on small books, and not all of them")
    parser.add_argument("--only", type=_parts, help=f"some parts of {', '.join(ALL)}")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the databases and servers are stopped then, too
    with (
        tempfile.TemporaryDirectory(prefix="clinic-bench-") as folder,
        measure.fresh(Path(folder), cache_gb=_CACHE_GB) as bench,
    ):
        usual = (QUICK, IN_A_MINUTE) if given.quick else (FULL, ALL)
        results = Run(bench, usual[0], given.only or usual[1]).all()
        about = machine.describe(bench)
    print()
    for verdict in (found for found in verdicts(results) if found.met is not None):
        word = {True: "met    ", False: "NOT MET"}[verdict.met is True]
        print(f"{word} {verdict.line}: {verdict.figure}")
    if not (given.quick or given.only):
        picture = _HERE / "results.png"
        why_not = draw(results, picture)
        if why_not:
            print(f"no plot: {why_not}", file=sys.stderr)
        (_HERE / "RESULTS.md").write_text(write(results, about, has_plot=why_not or picture.name))
    print(f"{results.seconds:.0f} s")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
