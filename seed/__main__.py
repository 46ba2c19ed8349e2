"""The command line: `python -m seed`."""

import argparse
import asyncio
import sys

from backend.core.mongo.client import DatabaseStartError
from backend.devtools.embedded import embedded_mongodb
from backend.documents import DOCUMENTS
from backend.startup import connect
from seed.bulk import fill_in_bulk
from seed.credentials import DemoLogin
from seed.run import DEFAULT_RANDOM_SEED, SeedRefused, SeedRun, seed_demo


def main() -> int:
    """Reads the arguments, seeds, and prints the demo logins. Exit code 2: refused; 3: no database."""
    parser = argparse.ArgumentParser(prog="python -m seed", description="Fills the database with demo data.")
    parser.add_argument("--random-seed", type=int, default=DEFAULT_RANDOM_SEED, help="the same seed, the same demo")
    parser.add_argument("--force", action="store_true", help="also in production, or among other people's data")
    parser.add_argument(
        "--appointments",
        type=int,
        default=0,
        metavar="N",
        help="for load tests: so many past appointments more",
    )
    arguments = parser.parse_args()
    try:
        with embedded_mongodb():
            logins = asyncio.run(_seed(arguments))
    except SeedRefused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except DatabaseStartError as error:
        print(error, file=sys.stderr)
        return 3
    show(logins)
    return 0


async def _seed(arguments: argparse.Namespace) -> list[DemoLogin]:
    async with connect([*DOCUMENTS, SeedRun]):
        logins = await seed_demo(random_seed=arguments.random_seed, force=arguments.force)
        if arguments.appointments:
            await fill_in_bulk(arguments.appointments, random_seed=arguments.random_seed)
        return logins


def show(logins: list[DemoLogin]) -> None:
    """Prints a login of each role."""
    if not logins:
        print("The demo was seeded before, but the file with its logins is gone; see docs/operations.md.")
    for login in logins:
        print(f"  {login.role:<8} {login.email:<28} {login.password}")


if __name__ == "__main__":
    sys.exit(main())
