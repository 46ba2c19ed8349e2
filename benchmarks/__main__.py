"""`python -m benchmarks [--quick] [--only booking,day,list,view]`: how fast it is, beside the floor."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import asks, book, measure, servers
from benchmarks.measure import Pace, Pair


def _line(name: str, pair: Pair) -> str:
    ours, floor = pair.ours, pair.floor
    cpu, floor_cpu = ours.cpu(), floor.cpu()
    return (
        f"{name:24} ours {ours.rate:6.0f}/s p50 {ours.p50:5.2f} p99 {ours.p99:5.2f} ms cpu {cpu or 0:5.0f} µs | "
        f"floor {floor.rate:6.0f}/s p50 {floor.p50:5.2f} p99 {floor.p99:5.2f} ms cpu {floor_cpu or 0:5.0f} µs | "
        f"rate {ours.rate / floor.rate:.2f} p99 {ours.p99 / floor.p99:.2f} "
        f"cpu {(cpu or 0) / (floor_cpu or 1):.2f} | mongod {ours.cpu('mongod') or 0:.0f}/{floor.cpu('mongod') or 0:.0f} "
        f"client {ours.cpu('client') or 0:.0f} µs"
    )


def main() -> int:
    """Does what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs on a small book")
    parser.add_argument("--only", help="parts, separated by commas")
    given = parser.parse_args()
    only = given.only.split(",") if given.only else [route.name for route in asks.ROUTES]
    pace = Pace(seconds=1.2, warm_up=0.3) if given.quick else Pace()
    with (
        tempfile.TemporaryDirectory(prefix="clinic-bench-") as folder,
        measure.fresh(Path(folder), cache_gb=1) as bench,
    ):
        began = time.perf_counter()
        count = bench.grow(book.SMALL)
        print(f"{count} appointments in {time.perf_counter() - began:.1f} s", flush=True)
        with servers.ours(bench.environment) as ours, servers.floor(bench.environment) as floor:
            bench.require_fair(ours, floor)
            for route in asks.ROUTES:
                if route.name in only:
                    print(_line(route.title, bench.compare(route, ours, floor, pace)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
