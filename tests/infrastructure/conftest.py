"""Private servers of MongoDB, beside the one that all tests share."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.devtools.mongod import find_binary
from backend.devtools.processes import find_free_port, listens
from tests.support.servers import ROOT, Program, launch


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder for an embedded MongoDB, which is stopped whatever happens."""
    yield tmp_path / "data"
    # The server's own lock, which holds its process id while it runs: a test may have taken our record away.
    for lock in tmp_path.rglob("mongod.lock"):
        if pid := lock.read_text().strip():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def use_mongod(folder: Path) -> Iterator[Callable[[], Program]]:
    """Starts processes that hold a share of the folder's MongoDB, print its process id and URL, and wait."""
    programs: list[Program] = []

    def use() -> Program:
        program = launch("-m", "tests.support.mongod_user", str(folder))
        programs.append(program)
        program.wait_for_line("mongodb://")
        return program

    yield use
    for program in programs:
        program.kill()


@pytest.fixture(scope="module")
def bare_mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., int]]:
    """Starts a server as an administrator might, with these arguments; returns its port."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> int:
        port = find_free_port()
        data = tmp_path_factory.mktemp("bare")
        places = ["--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        process = subprocess.Popen(
            [str(find_binary()), *places, "--wiredTigerCacheSizeGB", "0.25", *arguments],
            stdout=subprocess.DEVNULL,
        )
        processes.append(process)
        while not listens(port):
            assert process.poll() is None
            time.sleep(0.02)
        return port

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def private_environment(folder: Path) -> dict[str, str]:
    """For programs that shall start their own MongoDB."""
    return {
        "MONGODB_URL": "",
        "DATA_DIR": str(folder),
        "DATABASE_NAME": "running",
        "LOG_LEVEL": "INFO",
        "PYTHONPATH": str(ROOT),
    }
