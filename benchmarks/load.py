"""The load: a process of its own that keeps connections busy with requests made beforehand, and takes the time.

It shares the machine with what it measures, so it does as little as it can: no client library, answers are cut at
their Content-Length, and nothing of them is read but the status. Every status is counted.
"""

import asyncio
import gc
import itertools
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

HOST = "127.0.0.1"
_READY, _GO = b"ready\n", b"go\n"
_LENGTH = b"content-length: "


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


def run(load: Load, *, processes: int = 1) -> Found:
    """Applies a load from other processes. Raises `LoadFailed` at any status that isn't expected."""
    command = [sys.executable, "-m", "benchmarks.load"]
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(processes)
    ]
    shares = [
        Load(
            **{
                **vars(load),
                "requests": load.requests[number::processes],
                "connections": load.connections // processes,
                "watched": load.watched if number == 0 else {},
            }
        )
        for number in range(processes)
    ]
    for client, share in zip(clients, shares, strict=True):
        assert client.stdin
        pickle.dump(share, client.stdin)
        client.stdin.flush()
    for client in clients:
        assert client.stdout
        if client.stdout.readline() != _READY:
            raise LoadFailed("a client did not get ready")
    for client in clients:
        assert client.stdin
        client.stdin.write(_GO)
        client.stdin.flush()
    answers = [client.communicate()[0] for client in clients]
    if any(client.returncode for client in clients):
        raise LoadFailed("a client has failed; see above")
    return _together(load, [pickle.loads(answer) for answer in answers])


def _together(load: Load, parts: list[Found]) -> Found:
    cpu = dict(parts[0].cpu)
    for part in parts[1:]:
        cpu["client"] = (cpu["client"] or 0) + (part.cpu["client"] or 0)
    found = Found(
        latencies=list(itertools.chain.from_iterable(part.latencies for part in parts)),
        statuses=sum((part.statuses for part in parts), Counter()),
        seconds=max(part.seconds for part in parts),
        cpu=cpu,
        wrong=next((part.wrong for part in parts if part.wrong), ""),
    )
    if found.wrong or not found.latencies:
        raise LoadFailed(f"{load.requests[0][:80]!r}: {dict(found.statuses)}; {found.wrong}")
    return found


class _Run:
    """One process's share of a load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests: Iterator[bytes] = (
            itertools.cycle(load.requests) if load.repeat else iter(load.requests)
        )
        self.latencies: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.wrong = ""
        self.is_over = asyncio.Event()
        self.began = 0.0
        self.cpu_before: dict[str, float | None] = {}
        self.found: Found | None = None

    def begin(self) -> None:
        """After the warm-up."""
        self.latencies = []
        self.cpu_before = self._cpu()
        self.began = time.perf_counter()

    def end(self, wrong: str = "") -> None:
        """When the time is over, the requests are used up, or something went wrong."""
        if self.found is not None:
            self.found.wrong = self.found.wrong or wrong
            return
        seconds, after = time.perf_counter() - self.began, self._cpu()
        cpu: dict[str, float | None] = {}
        for name, spent in after.items():
            before = self.cpu_before.get(name)
            cpu[name] = None if spent is None or before is None else spent - before
        self.found = Found(self.latencies, self.statuses, seconds, cpu, wrong)
        self.is_over.set()

    def _cpu(self) -> dict[str, float | None]:
        watched = {name: cpu_seconds(pids) for name, pids in self.load.watched.items()}
        return {**watched, "client": time.process_time()}


class _Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport
        self._received = b""
        self._began = 0
        self.is_waiting = False
        self.is_through = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.end(wrong=f"the server closed a connection: {exc}")

    def send(self) -> None:
        """Sends the next request, if there is one."""
        run = self._run
        if run.found is not None:
            return
        message = next(run.requests, None)
        if message is None:
            self.is_through = True
            if all(connection.is_through for connection in connections):
                run.end()
            return
        self.is_waiting = True
        self._began = time.perf_counter_ns()
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        took = time.perf_counter_ns() - self._began
        if self._received:
            data = self._received + data
        head = data.find(b"\r\n\r\n")
        at = data.find(_LENGTH, 0, head)
        if head < 0 or at < 0 or len(data) < head + 4 + int(data[at + 16 : data.find(b"\r", at)]):
            if head >= 0 and at < 0:
                self._run.end(wrong=f"an answer without Content-Length: {data[:head]!r}")
            self._received = data
            return
        self._received, self.is_waiting = b"", False
        run, status = self._run, int(data[9:12])
        run.statuses[status] += 1
        if run.found is None:
            run.latencies.append(took)
        if status not in run.load.statuses:
            run.end(wrong=f"status {status}: {data[-400:]!r}")
        elif run.load.pause:
            asyncio.get_running_loop().call_later(run.load.pause, self.send)
        else:
            self.send()


connections: list[_Connection] = []


async def _apply(load: Load) -> Found:
    loop, run = asyncio.get_running_loop(), _Run(load)
    for _ in range(load.connections):
        _, connection = await loop.create_connection(lambda: _Connection(run), HOST, load.port)
        connections.append(connection)
    gc.freeze()
    gc.disable()
    sys.stdout.buffer.write(_READY)
    sys.stdout.buffer.flush()
    if sys.stdin.buffer.readline() != _GO:
        raise SystemExit("told nothing")
    run.begin()
    if load.warm_up:
        loop.call_later(load.warm_up, run.begin)
    loop.call_later(load.warm_up + load.seconds, run.end)
    step = load.pause / len(connections)
    for number, connection in enumerate(connections):
        loop.call_later(step * number, connection.send)
    await run.is_over.wait()
    assert run.found
    # What is under way is waited for: a booking must not come after its run.
    deadline = time.monotonic() + 10
    while not run.found.wrong and any(connection.is_waiting for connection in connections):
        if time.monotonic() > deadline:
            run.found.wrong = "an answer didn't come within 10 seconds"
        await asyncio.sleep(0.005)
    return run.found


if __name__ == "__main__":
    import uvloop

    from benchmarks import load as module  # the classes that the other process knows

    given = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps(uvloop.run(module._apply(given))))
