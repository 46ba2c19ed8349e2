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
    """A server that answers."""

    pid: int
    port: int
    workers: int
    started_in: float
    """Seconds from the start of its process to its first answer."""

    @property
    def pids(self) -> list[int]:
        """Its processes: the workers, where there are several, and what started them."""
        return [self.pid, *_children_of(self.pid)]

    def memory(self) -> float | None:
        """Resident memory of its largest worker. MiB; None where the system doesn't tell."""
        workers = _workers_of(self.pid) if self.workers > 1 else [self.pid]
        found = [_resident(pid) for pid in workers]
        return max((mib for mib in found if mib is not None), default=None)


@contextlib.contextmanager
def ours(environment: Mapping[str, str], *, workers: int = 1, scheduler: bool = False) -> Iterator[Server]:
    """`python -m backend serve`, with the default log, until the block ends."""
    more = {"SCHEDULER_ENABLED": str(scheduler).lower()}
    command = ["-m", "backend", "serve", "--workers", str(workers)]
    with _running(command, {**environment, **more}, "/api/v1/slots?limit=1", workers) as server:
        yield server


@contextlib.contextmanager
def floor(environment: Mapping[str, str], *, workers: int = 1) -> Iterator[Server]:
    """`benchmarks.floor`, until the block ends."""
    command = ["-m", "benchmarks.floor", "--workers", str(workers)]
    with _running(command, environment, "/constant", workers) as server:
        yield server


@contextlib.contextmanager
def _running(command: list[str], environment: Mapping[str, str], path: str, workers: int) -> Iterator[Server]:
    port, began = find_free_port(), time.perf_counter()
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
        yield Server(process.pid, port, workers, time.perf_counter() - began)
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


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _workers_of(pid: int) -> list[int]:
    """Among the children is a process that only keeps track of shared resources."""
    return [
        child
        for child in _children_of(pid)
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def _resident(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
