"""How far a replica set's log has come: asked of its primary over and over, at little cost.

`hello` says it, and any server answers that before somebody has signed in
(https://www.mongodb.com/docs/manual/reference/command/hello/). As a driver's command it takes 150 µs of a process's
CPU, and every answer from memory waits for one; on a connection of its own, with nothing around it, it takes 30.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import bson
from bson import ObjectId, Timestamp
from bson.errors import InvalidBSON
from pymongo import AsyncMongoClient

Document = dict[str, Any]

_PATIENCE_SECONDS = 0.5
"""For an answer. There is still the database to be read."""
_CONNECT_SECONDS = 3

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
"""Length, number, the number answered, 2013; flags; a zero byte; a document. See
https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/"""
_FRAME = _HEADER.size + 5


class NoPrimary(Exception):
    """There is no primary of a replica set that can be asked."""


class Place(NamedTuple):
    """A place in a log. What another term's primary wrote last may have been undone."""

    term: int
    at: Timestamp


class Log(NamedTuple):
    """What the log of a server had come to.

    `process`: which server, as a `mongod` calls itself from its start to its end. `end`: somewhere before it, writes
    may be missing that have begun and not ended. `settled`: before it, nothing will come any more, and nothing be
    undone.
    """

    process: ObjectId
    end: Place
    settled: Place


class Primary(asyncio.Protocol):
    """A connection to the primary, for one question: how long is the log? One that doesn't answer, or answers that it
    is none any more, is left for good."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._asking: list[asyncio.Future[Log | None]] = []
        self._waiting: list[asyncio.Future[Log | None]] = []
        self._patience: asyncio.TimerHandle | None = None

    @property
    def is_left(self) -> bool:
        """Whether it is to be asked no more."""
        return self._transport is None or self._transport.is_closing()

    async def log(self) -> Log | None:
        """The log as it was after this was asked; None where the primary has been left.

        All who ask in the same turn of the event loop share a question, and who asks in the one after it: that makes
        a third fewer. Who asks while one is under way waits for the next.
        """
        if self.is_left:
            return None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Log | None] = loop.create_future()
        self._waiting.append(answer)
        if not self._asking and len(self._waiting) == 1:
            loop.call_soon(loop.call_soon, self._ask)
        return await answer

    def leave(self) -> None:
        """Asks it no more. Who waits is told so."""
        if self._transport is not None:
            self._transport.abort()

    def _ask(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return  # `connection_lost` tells those who wait
        self._asking, self._waiting = self._waiting, []
        # An answer that comes too late must never pass for one to a later question.
        self._patience = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self.leave)
        self._transport.write(_QUESTION)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < _HEADER.size or len(self._received) < _HEADER.unpack_from(self._received)[0]:
            return
        reply, self._received = self._received, b""
        try:
            if not self._asking:
                raise NoPrimary  # nobody has asked: it is no server of MongoDB
            log = _log(_document(reply))
        except NoPrimary:
            self.leave()
        else:
            self._answer(log)
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._ask)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._asking += self._waiting
        self._waiting = []
        self._answer(None)

    def _answer(self, log: Log | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        answered, self._asking = self._asking, []
        for each in answered:
            if not each.done():  # whoever asked may have gone away
                each.set_result(log)


@asynccontextmanager
async def primary_of(client: AsyncMongoClient[Document]) -> AsyncIterator[Primary]:
    """A connection to the primary that the client knows, until the block ends. Raises `NoPrimary`, or PyMongo's."""
    address = await client.address
    if address is None:
        raise NoPrimary
    # There is no public way to a client's certificates; it is None without TLS.
    tls = client.options.pool_options._ssl_context
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, primary = await asyncio.get_running_loop().create_connection(
                Primary,
                *address,
                ssl=cast(Any, tls),
                server_hostname=address[0] if tls else None,
            )
    except OSError as error:
        raise NoPrimary from error
    try:
        yield primary
    finally:
        primary.leave()


def _message(body: Document) -> bytes:
    document = bson.encode(body)
    return _HEADER.pack(_FRAME + len(document), 1, 0, _OP_MSG) + bytes(5) + document


_QUESTION = _message({"hello": 1, "$db": "admin"})


def _document(reply: bytes) -> Document:
    if len(reply) < _FRAME:
        raise NoPrimary
    length, _, _, kind = _HEADER.unpack_from(reply)
    if length != len(reply) or kind != _OP_MSG:
        raise NoPrimary
    try:
        return bson.decode(reply[_FRAME:])
    except InvalidBSON:
        raise NoPrimary from None


def _log(hello: Document) -> Log:
    """Raises `NoPrimary`. A `mongos` says nothing of a log, and a primary at first not what is settled."""
    last, version = hello.get("lastWrite", {}), hello.get("topologyVersion")
    if not hello.get("isWritablePrimary") or "majorityOpTime" not in last or not version:
        raise NoPrimary
    end, settled = last["opTime"], last["majorityOpTime"]
    return Log(
        process=version["processId"],
        end=Place(end["t"], end["ts"]),
        settled=Place(settled["t"], settled["ts"]),
    )


def process_read_by(client: AsyncMongoClient[Document]) -> ObjectId | None:
    """The server that the client reads from, as far as it knows."""
    servers = client.topology_description.server_descriptions().values()
    versions = (each.topology_version for each in servers if each.is_writable)
    return next((each["processId"] for each in versions if each), None)
