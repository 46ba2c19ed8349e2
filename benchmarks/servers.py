"""The processes that are measured: the application as production runs it, and the floor."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.devtools.processes import LOOPBACK, find_free_port
from benchmarks.load import request

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """A server that answers requests."""

    pid: int
    port: int

    @property
    def pids(self) -> list[int]:
        """Its process, and those that it started."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            children = []
        return [self.pid, *map(int, children)]


@contextlib.contextmanager
def ours(environment: Mapping[str, str], **settings: object) -> Iterator[Server]:
    """`python -m backend serve` until the block ends. It does no timed work unless `settings` say so."""
    more = {"SCHEDULER_ENABLED": "false", **{name: str(value) for name, value in settings.items()}}
    with _running(["-m", "backend", "serve"], {**environment, **more}, "/api/v1/slots?limit=1") as server:
        yield server


@contextlib.contextmanager
def floor(environment: Mapping[str, str]) -> Iterator[Server]:
    """`benchmarks.floor`, until the block ends."""
    with _running(["-m", "benchmarks.floor"], environment, "/ready") as server:
        yield server


@contextlib.contextmanager
def _running(command: list[str], environment: Mapping[str, str], path: str) -> Iterator[Server]:
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for_answer(process, port, path)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((LOOPBACK, port), timeout=60) as connection,
        ):
            connection.sendall(request("GET", path))
            if b" 200 " in connection.recv(4096)[:20]:
                return
        time.sleep(0.005)
    raise RuntimeError(f"the server did not answer {path}; exit code {process.poll()}")
