"""The embedded MongoDB: a real `mongod` from PyPI, on loopback. For development and tests, on Linux and macOS.

Knows no settings; see `embedded`.
"""

import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from backend.devtools.processes import LOOPBACK, command_line_of, find_free_port, is_free, listens

REPLICA_SET = "rs0"
_LARGEST_LOG = 10_000_000
_INSTEAD = "Set MONGODB_URL to use a MongoDB server of your own instead."


class MongodError(Exception):
    """The embedded MongoDB can't be had. The message says why and what to do."""


@dataclass(frozen=True)
class _Running:
    pid: int
    port: int


class Mongod:
    """The `mongod` on a data folder. The process that starts it owns it and stops it; others may use it meanwhile.

    The owner holds a file lock, which the kernel takes back even from a process that was killed. The next owner then
    takes over the server that was left behind.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cache_gb: float = 0.25,
        no_table_scan: bool = False,
        start_timeout_seconds: float = 60,
    ) -> None:
        self.folder = folder.resolve()
        self._cache_gb = cache_gb
        self._no_table_scan = no_table_scan
        self._timeout = start_timeout_seconds
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts the server, or finds the one that runs. Returns its URL.

        Blocks for up to the timeout. Raises `MongodError`.
        """
        try:
            self._database_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise MongodError(
                f"The folder {self.folder} can't be created: {error.strerror}. Set DATA_DIR to another."
            ) from None
        lock = (self.folder / "owner.lock").open("ab")
        if _try_lock(lock):
            self._lock = lock
            running = self._own()
        else:
            lock.close()
            running = self._find_of_others()
        return f"mongodb://{LOOPBACK}:{running.port}/?replicaSet={REPLICA_SET}"

    def release(self) -> None:
        """Stops the server, if this process owns it."""
        if self._lock is None:
            return
        with self._lock:
            if running := self._running():
                self._end(running)
        self._lock = None

    def _own(self) -> _Running:
        try:
            return self._take_over() or self._launch()
        except BaseException:  # Ctrl-C too
            if self._process is not None and self._process.poll() is None:
                self._end(_Running(pid=self._process.pid, port=self._recorded().get("port", 0)))
            assert self._lock is not None  # noqa: S101 - only the owner is here
            self._lock.close()
            self._lock = None
            raise

    def _find_of_others(self) -> _Running:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            if (running := self._running()) and _is_primary(running.port):
                return running
            time.sleep(0.05)
        raise MongodError(f"Another process owns the MongoDB of {self.folder}, but it doesn't answer.")

    @property
    def pid(self) -> int | None:
        """The server's process id, if it runs."""
        running = self._running()
        return running.pid if running else None

    @property
    def _database_folder(self) -> Path:
        return self.folder / "db"

    @property
    def _log(self) -> Path:
        return self.folder / "mongod.log"

    @property
    def _record(self) -> Path:
        return self.folder / "mongod.json"

    def _take_over(self) -> _Running | None:
        """The server that a killed owner left behind, if it still answers; one that doesn't is ended."""
        running = self._running()
        if running is None:
            return None
        try:
            with _client(running.port) as client:
                _make_primary(client, running.port, time.monotonic() + 15)
        except PyMongoError:
            self._end(running)
            return None
        return running

    def _running(self) -> _Running | None:
        """Found by the process ids that we and `mongod` itself wrote down, believed only if `ps` agrees."""
        for pid in (self._recorded().get("pid"), _number_in(self._database_folder / "mongod.lock")):
            ours, _, rest = command_line_of(pid).partition(f"--dbpath {self._database_folder} --port ")
            if pid and ours and rest:
                return _Running(pid=pid, port=int(rest.split()[0]))
        return None

    def _recorded(self) -> dict[str, int]:
        try:
            record = json.loads(self._record.read_text())
            return {"pid": int(record["pid"]), "port": int(record["port"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _launch(self) -> _Running:
        """Starts a server. The port of the last run is taken again if it is free: others may hold its URL."""
        binary = find_binary()
        deadline = time.monotonic() + self._timeout
        port = self._recorded().get("port", 0)
        if not is_free(port):
            port = find_free_port()
            if (self._database_folder / "WiredTiger").exists():
                self._rename_member(binary, port, deadline)
        self._run(binary, port, deadline, "--replSet", REPLICA_SET)
        return self._when_ready(port, deadline, _make_primary)

    def _rename_member(self, binary: Path, port: int, deadline: float) -> None:
        """Writes a new port into the stored replica set, which a replica set itself would not start without.

        (It would ask at its old address whether that is itself, and wait for whoever lives there now.)
        """
        self._run(binary, port, deadline)
        self._end(self._when_ready(port, deadline, _write_member))

    def _when_ready(
        self, port: int, deadline: float, act: Callable[[MongoClient[dict[str, Any]], int, float], None]
    ) -> _Running:
        """Does something with the server just started; without success, ends it."""
        assert self._process is not None  # noqa: S101 - just started
        running = _Running(pid=self._process.pid, port=port)
        try:
            with _client(port) as client:
                if client.admin.command("serverStatus")["pid"] != running.pid:
                    raise PyMongoError("another server has taken the port")
                act(client, port, deadline)
        except PyMongoError as error:
            self._end(running)
            raise self._failure(f"isn't ready after {self._timeout:.0f} s ({type(error).__name__})") from None
        return running

    def _run(self, binary: Path, port: int, deadline: float, *arguments: str) -> None:
        """Returns when the server listens. Raises `MongodError` if it ends, or doesn't by the deadline."""
        self._process = process = self._spawn(binary, port, *arguments)
        temporary = self._record.with_suffix(".tmp")
        temporary.write_text(json.dumps({"pid": process.pid, "port": port}))
        temporary.replace(self._record)
        while not listens(port):
            if process.poll() is not None:
                raise self._failure(f"ended with code {process.returncode}")
            if time.monotonic() > deadline:
                self._end(_Running(pid=process.pid, port=port))
                raise self._failure(f"doesn't listen after {self._timeout:.0f} s")
            time.sleep(0.02)

    def _spawn(self, binary: Path, port: int, *arguments: str) -> subprocess.Popen[bytes]:
        if self._log.exists() and self._log.stat().st_size > _LARGEST_LOG:
            self._log.replace(self._log.with_suffix(".log.1"))
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            # Nobody reads as of an earlier time; what an index has lost would be kept, and walked over, for that.
            "minSnapshotHistoryWindowInSeconds": "0",
            "shutdownTimeoutMillisForSignaledShutdown": "100",  # there is no other member to wait for
            **({"notablescan": "1"} if self._no_table_scan else {}),
        }
        command = [
            str(binary),
            *("--dbpath", str(self._database_folder)),
            *("--port", str(port)),
            *("--bind_ip", LOOPBACK),
            "--nounixsocket",
            *("--oplogSize", "256"),
            *("--wiredTigerCacheSizeGB", str(self._cache_gb)),
            *("--logpath", str(self._log)),
            "--logappend",
            *(part for name, value in parameters.items() for part in ("--setParameter", f"{name}={value}")),
            *arguments,
        ]
        try:
            with self._log.open("ab") as log:
                # A session of its own: Ctrl-C at the terminal must reach the application first.
                return subprocess.Popen(  # noqa: S603 - our own binary and arguments
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self.folder,
                )
        except OSError as error:
            raise MongodError(f"{binary} can't be run: {error.strerror}. {_INSTEAD}") from None

    def _end(self, running: _Running) -> None:
        """Stops the server: politely, and after 20 seconds at any rate."""
        for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
            try:
                os.kill(running.pid, number)
                os.kill(running.pid, signal.SIGCONT)  # one that was suspended could not even end
            except ProcessLookupError:
                return
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()  # a child that has ended stays until it is asked
                # A process loses its command line before its port.
                gone = str(self._database_folder) not in command_line_of(running.pid)
                if gone and is_free(running.port):
                    return
                time.sleep(0.02)

    def _failure(self, what: str) -> MongodError:
        lines = "\n".join(f"    {line}" for line in _last_words(self._log))
        return MongodError(
            f"The embedded MongoDB {what}. The end of {self._log}:\n{lines}\n"
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


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_primary(port: int) -> bool:
    try:
        with _client(port) as client:
            return bool(client.admin.command("hello").get("isWritablePrimary"))
    except PyMongoError:
        return False


def _client(port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(
        LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=5000, socketTimeoutMS=5000
    )


def _make_primary(client: MongoClient[dict[str, Any]], port: int, deadline: float) -> None:
    """Makes the server a writable replica set of one; PyMongo's error if it isn't by the deadline."""
    members = [{"_id": 0, "host": f"{LOOPBACK}:{port}"}]
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > deadline:
            raise PyMongoError("no primary")
        with suppress(OperationFailure):  # done already, or refused while the server is still getting up
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        time.sleep(0.02)


def _write_member(client: MongoClient[dict[str, Any]], port: int, _: float) -> None:
    """Corrects the address of the replica set's only member, on a server started without `--replSet`."""
    client["local"]["system.replset"].update_one(
        {"_id": REPLICA_SET}, {"$set": {"members.0.host": f"{LOOPBACK}:{port}"}, "$inc": {"version": 1}}
    )


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _last_words(log: Path, count: int = 5) -> list[str]:
    """The last errors of the log, or else its last lines."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-200:]
    except OSError:
        return []
    errors = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line or not line.startswith("{")]
    return [line[:300] for line in (errors or lines)[-count:]]
