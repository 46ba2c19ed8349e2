"""The embedded MongoDB: a real `mongod` from PyPI, on loopback. For development and tests, on Linux and macOS.

Knows no settings; see `embedded`.
"""

import fcntl
import importlib.util
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from backend.devtools.processes import LOOPBACK, command_line_of, find_free_port, is_free, listens

REPLICA_SET = "rs0"
_START_SECONDS, _TAKE_OVER_SECONDS = 60, 15
_INSTEAD = "Set MONGODB_URL to use a MongoDB server of your own instead."


class MongodError(Exception):
    """The embedded MongoDB can't be had. The message says why and what to do."""


class Mongod:
    """The `mongod` on a data folder. The process that starts it owns it and stops it; others may use it meanwhile.

    The owner holds a file lock, which the kernel takes back even from a process that was killed. The next owner then
    takes over the server that was left behind.
    """

    def __init__(self, folder: Path, *, cache_gb: float = 0.25, no_table_scan: bool = False) -> None:
        self.folder = folder.resolve()
        self._database = self.folder / "db"
        self._log = self.folder / "mongod.log"
        self._last_port = self.folder / "mongod.port"
        self._cache_gb = cache_gb
        self._no_table_scan = no_table_scan
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, if it runs."""
        running = self._running()
        return running[0] if running else None

    def start(self) -> str:
        """Starts the server, or finds the one that runs. Returns its URL.

        Blocks for up to a minute. Raises `MongodError`.
        """
        try:
            self._database.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.folder / "owner.lock").open("ab")
        except OSError as error:
            raise MongodError(
                f"The folder {self.folder} can't be used: {error.strerror}. Set DATA_DIR to another."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            port = self._find_of_others()
        else:
            self._lock = lock
            port = self._take_over() or self._launch()
        return f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}"

    def release(self) -> None:
        """Stops the server, if this process owns it."""
        if self._lock is not None:
            with self._lock:
                if running := self._running():
                    self._end(*running)
            self._lock = None

    def _running(self) -> tuple[int, int] | None:
        """Returns the server's process id (from its own lock file, believed only if `ps` agrees) and port."""
        pid = _number_in(self._database / "mongod.lock")
        _, ours, rest = command_line_of(pid).partition(f" --dbpath {self._database} --port ")
        return (pid, int(rest.split()[0])) if ours else None

    def _find_of_others(self) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if running := self._running():
                with suppress(PyMongoError):
                    _make_primary(running[1], deadline)
                    return running[1]
            time.sleep(0.05)
        raise MongodError(f"Another process owns the MongoDB of {self.folder}, but it doesn't answer.")

    def _take_over(self) -> int | None:
        """Returns the port of the server that a killed owner left behind; one that doesn't answer is ended."""
        if running := self._running():
            with suppress(PyMongoError):
                _make_primary(running[1], time.monotonic() + _TAKE_OVER_SECONDS)
                return running[1]
            self._end(*running)
        return None

    def _launch(self) -> int:
        """Starts a server; returns its port: that of the last run if it is free, because others may hold its URL."""
        port, deadline = _number_in(self._last_port), time.monotonic() + _START_SECONDS
        try:
            if not is_free(port):
                port = find_free_port()
                if (self._database / "WiredTiger").exists():
                    self._rename_member(port, deadline)
                self._last_port.write_text(str(port))
            self._run(port, deadline, "--replSet", REPLICA_SET)
            _make_primary(port, deadline)
        except BaseException as error:  # Ctrl-C too
            if self._process is not None and self._process.poll() is None:
                self._end(self._process.pid, port)
            self.release()
            if isinstance(error, PyMongoError):
                raise self._failure(f"isn't ready ({type(error).__name__})") from None
            raise
        return port

    def _rename_member(self, port: int, deadline: float) -> None:
        """Writes a new port into the stored replica set, which a replica set itself would not start without.

        (It would ask at its old address whether that is itself, and wait for the server that is there now.)
        """
        process = self._run(port, deadline)
        member = {"$set": {"members.0.host": f"{LOOPBACK}:{port}"}, "$inc": {"version": 1}}
        with _client(port) as client:
            client["local"]["system.replset"].update_one({"_id": REPLICA_SET}, member)
        self._end(process.pid, port)

    def _run(self, port: int, deadline: float, *arguments: str) -> subprocess.Popen[bytes]:
        """Returns when the server listens. Raises `MongodError` if it ends, or doesn't by the deadline."""
        self._process = process = self._spawn(port, *arguments)
        while not listens(port):
            if process.poll() is not None:
                raise self._failure(f"ended with code {process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"doesn't listen after {_START_SECONDS} s")
            time.sleep(0.02)
        return process

    def _spawn(self, port: int, *arguments: str) -> subprocess.Popen[bytes]:
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            # Nobody reads as of an earlier time; what an index has lost would be kept, and walked over, for that.
            "minSnapshotHistoryWindowInSeconds": "0",
            "shutdownTimeoutMillisForSignaledShutdown": "100",  # there is no other member to wait for
            "notablescan": "1" if self._no_table_scan else "0",
        }
        binary = find_binary()
        command = [
            *(str(binary), "--dbpath", str(self._database), "--port", str(port)),
            *("--bind_ip", LOOPBACK, "--nounixsocket", "--oplogSize", "256"),
            *("--wiredTigerCacheSizeGB", str(self._cache_gb)),
            *(part for name, value in parameters.items() for part in ("--setParameter", f"{name}={value}")),
            *arguments,
        ]
        try:
            with self._log.open("wb") as log:
                # A session of its own: Ctrl-C at the terminal must reach the application first.
                return subprocess.Popen(  # noqa: S603 - our own binary and arguments
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise MongodError(f"{binary} can't be run: {error.strerror}. {_INSTEAD}") from None

    def _end(self, pid: int, port: int) -> None:
        """Stops the server: politely, and after 20 seconds at any rate."""
        for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # one that was suspended could not even end
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()  # a child that has ended stays until it is asked
                # A process loses its command line before its port.
                if str(self._database) not in command_line_of(pid) and is_free(port):
                    return
                time.sleep(0.02)

    def _failure(self, what: str) -> MongodError:
        """Returns an error with the last errors of the log, or else its last lines."""
        lines = self._log.read_text(errors="replace").splitlines()[-200:]
        errors = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line or not line.startswith("{")]
        shown = "\n".join(f"    {line[:300]}" for line in (errors or lines)[-5:])
        return MongodError(
            f"The embedded MongoDB {what}. The end of {self._log}:\n{shown}\n"
            f"It needs OpenSSL 3 and libcurl 4 (Debian 12, Ubuntu 22.04 or later; macOS). {_INSTEAD}"
        )


def find_binary() -> Path:
    """The `mongod` that pip installed, found without importing the package around it."""
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary
    raise MongodError(f"No embedded MongoDB is installed: run `make setup`. {_INSTEAD}")


def _client(port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=5000, socketTimeoutMS=5000)


def _make_primary(port: int, deadline: float) -> None:
    """Makes the server a writable replica set of one; PyMongo's error if it isn't by the deadline."""
    members = [{"_id": 0, "host": f"{LOOPBACK}:{port}"}]
    with _client(port) as client:
        while not client.admin.command("hello").get("isWritablePrimary"):
            if time.monotonic() > deadline:
                raise PyMongoError("no primary")
            with suppress(OperationFailure):  # done already, or refused while the server is still getting up
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            time.sleep(0.02)


def _number_in(path: Path) -> int:
    """Returns the number in a file, 0 without one."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
