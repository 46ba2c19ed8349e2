"""The command line: `python -m backend serve | worker | jobs | create-admin | openapi`.

Exit codes: 0 done, 1 failed, 2 wrong arguments or settings, 3 no database.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pkgutil import resolve_name

from pydantic import ValidationError

# What a command needs is imported when it runs: reading the settings may fail, and what measures requests must
# know first whether there will be several workers.


def main() -> int:
    """Does what the arguments say. What went wrong goes to stderr in words; returns the exit code."""
    options = vars(_parser().parse_args())
    try:
        from backend.core.settings import SettingsError  # noqa: PLC0415
    except ValidationError as error:
        return _failed("These settings can't be read:", *_faults(error), code=2)
    from backend.core.mongo.client import DatabaseStartError  # noqa: PLC0415

    try:
        return int(options.pop("command")(**options))
    except SettingsError as error:
        return _failed(str(error), code=2)
    except DatabaseStartError as error:
        return _failed(str(error), code=3)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description="The clinic's appointment book.")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="serve the API")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument(
        "--port",
        type=_within(0, 65_535),
        metavar="PORT",
        default=os.environ.get("PORT") or "8000",
        help="the port (default: $PORT, or else 8000)",
    )
    serve.add_argument(
        "--workers", type=_within(1, 1000), metavar="N", default=1, help="how many processes (default: 1)"
    )
    serve.add_argument("--demo", action="store_true", help="fill an empty database with demo data first")
    serve.add_argument("--reload", action="store_true", help="start again whenever the code changes")
    serve.set_defaults(command=_later("backend.serving:serve"))

    worker = commands.add_parser("worker", help="do the timed work, without serving")
    worker.add_argument("--beside-web", action="store_true", help="started by serve: niced, ended by it alone")
    worker.add_argument(
        "--metrics-port",
        type=_within(1, 65_535),
        metavar="PORT",
        help="serve its metrics to Prometheus on this port (default: not at all)",
    )
    worker.set_defaults(command=_later("backend.worker:work"))

    jobs = commands.add_parser("jobs", help="show when each timed job last succeeded; fails if one is late")
    jobs.set_defaults(command=_later("backend.worker:show_jobs"))

    admin = commands.add_parser(
        "create-admin",
        help="make an administrator",
        description="Makes an administrator. Asks for what isn't given; the password may come in ADMIN_PASSWORD.",
    )
    for option in ("--name", "--email", "--phone"):
        admin.add_argument(option)
    admin.set_defaults(command=_later("backend.create_admin:create_admin"))

    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.set_defaults(command=_print_openapi)
    return parser


def _within(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {lowest} to {highest}")
        return int(text)

    return read


def _later(function: str) -> Callable[..., int]:
    """Returns a function that is imported only when it is called."""
    return lambda **options: int(resolve_name(function)(**options))


def _print_openapi() -> int:
    from backend.app import create_app  # noqa: PLC0415

    print(json.dumps(create_app().openapi(), indent=2))
    return 0


def _faults(error: ValidationError) -> list[str]:
    """Without the values: some are secrets."""
    return [f"  - {fault['loc'][0]}: {fault['msg']}" for fault in error.errors(include_input=False)]


def _failed(*lines: str, code: int) -> int:
    print("\n".join(lines), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
