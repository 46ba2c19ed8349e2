"""A process that keeps connections busy with requests made beforehand, and takes the time.

It shares the machine with what it measures, so it does as little as it can: no client library, answers are cut at
their Content-Length, and nothing of them is read but the status. Every status is counted.
"""

import asyncio
import gc
import itertools
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.load import GO, HOST, READY, Found, Load, cpu_seconds

_LENGTH = b"content-length: "
_PATIENCE = 30
"""How long an answer may take. Seconds."""


class _Run:
    """One process's share of a load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests: Iterator[bytes] = itertools.cycle(load.requests) if load.repeat else iter(load.requests)
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
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    if sys.stdin.buffer.readline() != GO:
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
    deadline = time.monotonic() + _PATIENCE
    while not run.found.wrong and any(connection.is_waiting for connection in connections):
        if time.monotonic() > deadline:
            run.found.wrong = f"an answer didn't come within {_PATIENCE} seconds"
        await asyncio.sleep(0.005)
    return run.found


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(uvloop.run(_apply(pickle.load(sys.stdin.buffer)))))
