"""Applying a load: the requests are made beforehand, and sent by a process of its own (`benchmarks.client`)."""

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"
READY, GO = b"ready\n", b"go\n"
"""What a client says when it is connected, and waits for."""


class LoadFailed(Exception):
    """The server answered otherwise than it should have, or not at all."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to send. Times are seconds. Without `repeat`, each request is sent once, and the last one ends the run."""

    port: int
    requests: Sequence[bytes]
    connections: int = 32
    seconds: float = 2.5
    warm_up: float = 0.5
    pause: float = 0.0
    repeat: bool = True
    statuses: tuple[int, ...] = (200,)
    watched: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Processes whose CPU time is taken, by what they are called."""


@dataclass
class Found:
    """What came of it, in the time after the warm-up: latencies in nanoseconds, CPU time in seconds."""

    latencies: list[int]
    statuses: Counter[int]
    seconds: float
    cpu: dict[str, float | None]
    wrong: str = ""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency below which that share lies. Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6

    def cpu_each(self, name: str) -> float | None:
        """CPU time of these processes per request, in microseconds; None where the system doesn't tell."""
        spent = self.cpu.get(name)
        return None if spent is None else spent / len(self.latencies) * 1e6


def request(method: str, path: str, *, token: str | None = None, body: bytes | None = None) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Accept: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def cpu_seconds(pids: Sequence[int]) -> float | None:
    """User and system time of processes so far, by the kernel's own accounting; None without /proc."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                ticks += sum(int(part) for part in stat.read().rpartition(")")[2].split()[11:13])
        except OSError:
            return None
    return ticks / os.sysconf("SC_CLK_TCK")


def run(load: Load) -> Found:
    """Applies a load from another process. Raises `LoadFailed` at any status that isn't expected."""
    command = [sys.executable, "-m", "benchmarks.client"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdin
    assert client.stdout
    pickle.dump(load, client.stdin)
    client.stdin.flush()
    if client.stdout.readline() != READY:
        raise LoadFailed("the client did not get ready")
    client.stdin.write(GO)
    client.stdin.flush()
    answer, _ = client.communicate()
    if client.returncode:
        raise LoadFailed("the client has failed; see above")
    found: Found = pickle.loads(answer)
    if found.wrong or not found.latencies:
        raise LoadFailed(f"{load.requests[0][:80]!r}: {dict(found.statuses)}; {found.wrong}")
    return found
