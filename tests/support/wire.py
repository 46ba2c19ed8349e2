"""A wire to the database at which single commands can be held: a race run in exactly the order wanted.

A server process is given the wire's address instead of the database's. It notices nothing: a held command is a
slow network. MongoDB's wire protocol: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import bson

_HEADER_BYTES = 16  # four numbers: length, id, id answered to, kind of message
_OP_MSG = 2013
_BACKGROUND = {"hello", "ismaster", "isMaster", "ping", "endSessions", "buildInfo", "killCursors"}
"""What the driver says of its own accord."""


@dataclass(frozen=True)
class Command:
    """One command on its way to the database, with the documents or updates that it carries."""

    name: str
    collection: str
    body: dict[str, Any]
    documents: list[dict[str, Any]]

    @property
    def updates(self) -> list[dict[str, Any]]:
        """Filters (`q`) and updates (`u`), if it is an update."""
        return self.documents if self.name == "update" else []

    def __str__(self) -> str:
        return f"{self.name} {self.collection}"


Which = Callable[[Command], bool]


@dataclass(eq=False)
class Held:
    """A command that is to be held: the first that fits, after `skip` others that fit too."""

    which: Which
    skip: int
    command: Command | None = None
    is_lost: bool = False
    _here: threading.Event = field(default_factory=threading.Event)
    _go: threading.Event = field(default_factory=threading.Event)

    def takes(self, command: Command) -> bool:
        """Whether it is this one; asked once for each command, under the wire's lock."""
        if self.command is not None or self._go.is_set() or not self.which(command):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.command = command
        return True

    def stop(self) -> None:
        """Keeps the command until it is released."""
        self._here.set()
        self._go.wait()

    def arrived(self, timeout: float = 20) -> bool:
        """Waits until the command has come, or won't any more. Whether it has."""
        assert self._here.wait(timeout), "the command to be held didn't come"
        return self.command is not None

    def comes_within(self, seconds: float) -> bool:
        """Whether the command comes in that time."""
        return self._here.wait(seconds) and self.command is not None

    def give_up(self) -> None:
        """Says that the command won't come any more."""
        self._here.set()

    def lose(self) -> None:
        """The command never arrives: whoever sent it died first."""
        self.is_lost = True
        self.release()

    def release(self) -> None:
        """Lets the command go on, or any that would still come."""
        self._go.set()


class Order:
    """Lets the commands of several actors go one at a time, in an order that chance chooses.

    Each actor is something that is done through a wire of its own. The next command goes only when every actor waits
    to send one, or has ended.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._changed = threading.Condition()
        self._waiting: dict[Wire, list[threading.Event]] = {}
        self.log: list[str] = []

    def run(self, actors: "Mapping[Wire, Future[Any]]", timeout: float = 30) -> None:
        """Returns when all actors have ended."""
        for future in actors.values():
            future.add_done_callback(self._notice)
        while not all(future.done() for future in actors.values()):
            with self._changed:
                is_still = self._changed.wait_for(lambda: self._is_still(actors), timeout)
                assert is_still, "an actor neither ends nor sends anything"
                ready = [wire for wire in actors if self._waiting.get(wire)]
                if ready:
                    self._waiting[self._chance.choice(ready)].pop(0).set()

    def arrive(self, wire: "Wire", command: Command) -> None:
        """Returns when the command may go."""
        go = threading.Event()
        with self._changed:
            self._waiting.setdefault(wire, []).append(go)
            self._changed.notify_all()
        go.wait()
        self.log.append(f"{wire.name}: {command}")

    def _is_still(self, actors: "Mapping[Wire, Future[Any]]") -> bool:
        return all(future.done() or self._waiting.get(wire) for wire, future in actors.items())

    def _notice(self, _: "Future[Any]") -> None:
        with self._changed:
            self._changed.notify_all()


class Wire:
    """Passes on what servers say to one `mongod`, from a port of its own."""

    def __init__(self, mongod_port: int, name: str = "") -> None:
        self.name = name
        self._mongod_port = mongod_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._lock = threading.Lock()
        self._holds: list[Held] = []
        self._order: Order | None = None
        self._hears = threading.Event()
        self._hears.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where a server finds the database through this wire."""
        return f"mongodb://127.0.0.1:{self._listener.getsockname()[1]}/?directConnection=true"

    @contextlib.contextmanager
    def holding(self, which: Which = lambda _: True, *, skip: int = 0) -> Iterator[Held]:
        """Holds a command; at the end of the block at the latest it goes on."""
        held = Held(which, skip)
        with self._lock:
            self._holds.append(held)
        try:
            yield held
        finally:
            held.release()
            with self._lock:
                self._holds.remove(held)

    @contextlib.contextmanager
    def ordered(self, order: Order) -> Iterator[None]:
        """Has every command wait for its turn. All that was begun must have ended before the block does."""
        self._order = order
        try:
            yield
        finally:
            self._order = None

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Until the block ends, servers are told of no more changes. What is done meanwhile they must find out."""
        self._hears.clear()
        time.sleep(0.15)  # what they had asked before is answered by then
        try:
            yield
        finally:
            self._hears.set()

    def close(self) -> None:
        """Takes no new connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._mongod_port))
            except OSError:  # the database is away, and so is its wire
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
            threading.Thread(target=_copy, args=(far, near), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        """From the server to the database, message by message."""
        with near, far, contextlib.suppress(OSError):
            while message := _read_message(near):
                command = _read_command(message)
                if command is not None and _is_about_changes(command):
                    self._hears.wait()
                elif command is not None and command.name not in _BACKGROUND and not self._passes(command):
                    return
                far.sendall(message)

    def _passes(self, command: Command) -> bool:
        with self._lock:
            held = next((held for held in self._holds if held.takes(command)), None)
        if held is not None:
            held.stop()
        if self._order is not None:
            self._order.arrive(self, command)
        return held is None or not held.is_lost


def _is_about_changes(command: Command) -> bool:
    """Whether a server asks for what has changed, as it does all the time."""
    pipeline = command.body.get("pipeline") or [{}]
    return "$changeStream" in pipeline[0] or command.body.get("collection") == "$cmd.aggregate"


def _copy(source: socket.socket, target: socket.socket) -> None:
    with source, target, contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def _read_message(source: socket.socket) -> bytes:
    header = _read(source, _HEADER_BYTES)
    return header + _read(source, _number(header, 0) - _HEADER_BYTES) if header else b""


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _read(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def _read_command(message: bytes) -> Command | None:
    """What an OP_MSG asks for; None for the older messages with which a driver says hello."""
    if _number(message, 12) != _OP_MSG:
        return None
    at, body, documents = _HEADER_BYTES + 4, {}, []
    while at < len(message):
        kind, at = message[at], at + 1
        size = _number(message, at)
        if kind == 0:
            body = bson.decode(message[at : at + size])
        else:
            first = message.index(b"\0", at + 4) + 1
            documents = bson.decode_all(message[first : at + size])
        at += size
    name = next(iter(body))
    documents = documents or body.get("documents") or body.get("updates") or []
    return Command(name=name, collection=str(body[name]), body=body, documents=documents)
