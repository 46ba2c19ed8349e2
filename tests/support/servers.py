"""Real servers for tests: one in this process, on a thread and loop of its own, and others beside it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import uvicorn
import uvloop
from fastapi import FastAPI

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


class ServerThread:
    """uvicorn as in production, but in a thread: tests can shift the clock and call services on its loop."""

    def __init__(self, app: str | FastAPI, lifespan: Literal["on", "off"] = "on") -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, http="httptools", lifespan=lifespan, log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)

    def start(self) -> None:
        """Returns when it answers."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start; see its log")
            time.sleep(0.01)

    def stop(self) -> None:
        """Returns when it has ended."""
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        """Runs a coroutine on the server's loop and returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self._runner.get_loop()).result(timeout)

    def _serve(self) -> None:
        with self._runner:
            self._runner.run(self._server.serve(sockets=[self._socket]))


class Unexpected(logging.Handler):
    """Collects what the application logs as an error: no test may cause one unawares."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(logging.Formatter("%(name)s: %(message)s").format(record))


@dataclass
class Program:
    """A process of ours in a session of its own, with everything that it prints."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    base_url: str = ""

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)

    def wait(self, timeout: float = 30) -> int:
        """Its exit code, once it has ended and all its output is read."""
        code = self.process.wait(timeout)
        self._reader.join(timeout=5)
        return code

    def wait_until_ready(self, timeout: float = 40) -> "Program":
        """Returns when its server answers; raises with its output if it ends or takes too long."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/health", timeout=2).status_code == 200:
                    return self
            time.sleep(0.05)
        raise AssertionError(f"the server is not ready:\n{self.output}")

    def wait_for_line(self, part: str, timeout: float = 30) -> str:
        """The first line printed that holds `part`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if part in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{part!r} is not in:\n{self.output}")

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to the whole group of processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of all its processes (but not of a `mongod` that it started)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Ends it as politely as it allows."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=25)
        self.kill()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(*arguments: str, environment: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Program:
    """Starts `python …` with the tests' environment changed by `environment`."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Program(process)


@contextlib.contextmanager
def serving(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """`python -m backend serve` on a free port, until the block ends."""
    port = free_port()
    program = launch("-m", "backend", "serve", "--port", str(port), *arguments, environment=environment)
    program.base_url = f"http://127.0.0.1:{port}"
    try:
        yield program.wait_until_ready()
    finally:
        program.stop()
