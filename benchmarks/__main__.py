"""`python -m benchmarks`: how fast it is, beside the floor. `make bench` runs all of it.

A full run writes `RESULTS.md` beside this file. `--quick` and `--only` print, and write nothing.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import books, machine
from benchmarks.report import summary, write
from benchmarks.run import FULL, PARTS, QUICK, Run


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return names


def main() -> int:
    """Does what the arguments say. Returns 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs on small books: only to see that it works")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some parts of {', '.join(PARTS)}")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the databases and servers are stopped then, too
    plan = QUICK if given.quick else FULL
    with (
        tempfile.TemporaryDirectory(prefix="clinic-bench-") as folder,
        books.database(Path(folder)) as (mongod, url),
    ):
        began = time.perf_counter()
        filled = books.fill_all(mongod, url, {"small": plan.small, "large": plan.large})
        filling = time.perf_counter() - began
        counts = ", ".join(f"{name} {book.count:,}" for name, book in filled.items())
        print(f"appointments: {counts} ({filling:.0f} s)", flush=True)
        results = Run(filled, plan, given.only).all()
        results.filling, results.seconds = filling, results.seconds + filling
        about = machine.describe(mongod, url)
    print()
    for line in summary(results):
        print(line)
    if not given.quick and tuple(given.only) == PARTS:
        (Path(__file__).parent / "RESULTS.md").write_text(write(results, about))
    print(f"{results.seconds:.0f} s")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
