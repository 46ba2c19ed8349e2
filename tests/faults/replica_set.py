"""A replica set of three real servers, of which one at a time can be taken away."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from backend.devtools.mongod import find_binary
from backend.devtools.processes import LOOPBACK, find_free_port, listens

_NAME = "three"
_ELECTION_MILLISECONDS = 2000
"""Without a sign of life from the primary for so long the others elect a new one. MongoDB's default: ten seconds."""

_CUT_OFF_SECONDS = 1
"""Less than it takes the primary to notice that it is alone."""


@dataclass
class _Member:
    folder: Path
    port: int = field(default_factory=find_free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [
            str(find_binary()),
            *("--dbpath", str(self.folder), "--port", str(self.port), "--bind_ip", LOOPBACK),
            *("--replSet", _NAME, "--oplogSize", "128", "--wiredTigerCacheSizeGB", "0.25"),
            *("--nounixsocket", "--logpath", str(self.folder / "log"), "--logappend"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not listens(self.port):
            assert self.process.poll() is None, "a member of the replica set ended"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


class ReplicaSet:
    """Three members. The URL names all of them."""

    def __init__(self, folder: Path) -> None:
        self._members = [_Member(folder / str(number)) for number in range(3)]
        hosts = [f"{LOOPBACK}:{member.port}" for member in self._members]
        self.url = f"mongodb://{','.join(hosts)}/?replicaSet={_NAME}"
        for member in self._members:
            member.start()
        config = {
            "_id": _NAME,
            "members": [{"_id": number, "host": host} for number, host in enumerate(hosts)],
            "settings": {"electionTimeoutMillis": _ELECTION_MILLISECONDS},
        }
        with MongoClient[dict[str, Any]](LOOPBACK, self._members[0].port, directConnection=True) as client:
            client.admin.command("replSetInitiate", config)
        self.primary()

    def primary(self, *, seconds: float = 60) -> int:
        """The port of the member that takes writes, once there is one."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=2000) as client:
                    client.admin.command("ping")
                    assert client.primary
                    return client.primary[1]
            except PyMongoError:
                assert time.monotonic() < deadline, "there is no primary"

    def _wait_for_all(self, *, seconds: float = 180) -> None:
        """Returns when all three hold the data. While one catches up, the loss of another would end all writing.

        A rollback on a busy machine was seen to take more than a minute.
        """
        deadline = time.monotonic() + seconds
        states: list[str] = []
        while sorted(states) != ["PRIMARY", "SECONDARY", "SECONDARY"]:
            assert time.monotonic() < deadline, f"the members are {states}"
            time.sleep(0.1)
            with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=30_000) as client:
                states = [each["stateStr"] for each in client.admin.command("replSetGetStatus")["members"]]

    def _at(self, port: int) -> _Member:
        return next(member for member in self._members if member.port == port)

    @contextlib.contextmanager
    def without_primary(self, how: str, *, seconds: int) -> Iterator[None]:
        """Takes the primary away for so long: it "dies", "stands still", or "steps down"."""
        self._wait_for_all()
        member = self._at(self.primary())
        if how == "dies":
            self._kill_cut_off(member)
        elif how == "stands still":
            member.signal(signal.SIGSTOP)
        else:
            with MongoClient[dict[str, Any]](LOOPBACK, member.port, directConnection=True) as client:
                client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=seconds // 2)
        try:
            yield
            time.sleep(seconds)
        finally:
            if how == "dies":
                member.start()
            elif how == "stands still":
                member.signal(signal.SIGCONT)

    def _kill_cut_off(self, member: _Member) -> None:
        """The others hear nothing of what it does last: whatever it alone has acknowledged would be lost.

        They are killed too: to those that stand still their sockets would keep what it streams to them.
        """
        others = [each for each in self._members if each is not member]
        for other in others:
            other.kill()
        time.sleep(_CUT_OFF_SECONDS)
        member.kill()
        for other in others:
            other.start()

    def close(self) -> None:
        """Ends all three, whatever state they are in."""
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                member.kill()


@contextlib.contextmanager
def replica_set(folder: Path) -> Iterator[ReplicaSet]:
    """Three members on a folder, until the block ends."""
    three = ReplicaSet(folder)
    try:
        yield three
    finally:
        three.close()
        shutil.rmtree(folder, ignore_errors=True)
