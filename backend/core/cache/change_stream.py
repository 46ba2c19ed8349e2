"""Follows what changes in some collections, and knows whether everything that has changed was received.

A change stream delivers each change a moment late. How far the database has come, it says itself: `hello` names the
last entry of the primary's log. A process that has received everything up to that entry misses nothing that was
acknowledged to anybody, in any process, before it asked.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pymongo
from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.mongo.batching import SingleFlight

log = logging.getLogger(__name__)

Document = dict[str, Any]
Database = AsyncDatabase[Document]
Ids = frozenset[Hashable]

_HELLO_SECONDS = 0.5
_CATCH_UP_SECONDS = 0.01
"""How long a question waits for changes that are on their way. A change arrives some 2 to 5 ms after it is logged."""
_IDLE_MILLISECONDS, _UNUSED_MILLISECONDS = 50, 1000
"""After so long the stream says that nothing has changed; the longer while nobody asks, for `_QUIET_SECONDS`."""
_QUIET_SECONDS, _UNUSED_SECONDS = 10, 30
_BREATH_SECONDS = 0.003
"""Pause after changes: more may be on their way, and delivering each alone makes its write half as dear again."""
_RETRY_SECONDS = 1
_RUSH, _RUSH_SECONDS, _REST_SECONDS = 100, 0.5, 2
"""More changes than this in so long: the cache would be behind most of the time, and following slows every write. So
it rests."""
_BATCH = 1000
"""Changes of one reply. After a full batch, more of the same moment may follow."""

_CURSOR = "$cmd.aggregate"
_TIMESTAMP = "82"
_ONE_DOCUMENT = ("insert", "update")


class CannotFollow(Exception):
    """There is no primary whose changes can be followed now. The message says why."""


class _Log(NamedTuple):
    """The log of a primary. A later term may have undone what an earlier one wrote last."""

    process: ObjectId
    term: int
    end: Timestamp
    settled_term: int
    settled: Timestamp

    @property
    def writer(self) -> tuple[ObjectId, int]:
        """Who writes this log: another server, or another term, begins another one."""
        return self.process, self.term


class ChangeStream:
    """Follows a database's collections while somebody asks `is_current`.

    `collections` names for each collection the fields by whose ids its documents are looked up. `invalidate` receives
    the ids that a change touches: the document's own, those in these fields, and the collection's name; or None
    where anything may have changed (a document was removed or looked up by another id, or the stream broke off).
    """

    def __init__(
        self,
        database: Database,
        collections: Mapping[str, Sequence[str]],
        invalidate: Callable[[Ids | None], None],
    ) -> None:
        self._database, self._collections, self._invalidate = database, collections, invalidate
        self._hellos: SingleFlight[Database, _Log] = SingleFlight()
        self._writer: tuple[ObjectId, int] | None = None
        self._received: Timestamp | None = None
        self._progress = asyncio.Event()
        self._wanted, self._wanted_at = asyncio.Event(), 0.0
        self._recent: deque[tuple[float, int]] = deque()

    @property
    def is_on(self) -> bool:
        """Whether changes are received from now on. Asking keeps the stream open."""
        self._wanted_at = asyncio.get_running_loop().time()
        self._wanted.set()
        return self._received is not None

    async def is_current(self) -> bool:
        """Whether every change was received that had been acknowledged when this was called."""
        try:
            its_log = await self._hellos.load(self._database, _log_of)
        except (PyMongoError, CannotFollow):
            return False
        if its_log.writer != self._writer:
            self._writer = None  # the stream ends, and begins anew
            return False
        if self._received is not None and self._received >= its_log.end:
            return True
        try:
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                while self._received is not None and self._received < its_log.end:
                    await self._progress.wait()
        except TimeoutError:
            return False
        return self._received is not None

    @asynccontextmanager
    async def running(self, waiting: Database) -> AsyncIterator[None]:
        """Follows until the block ends. `waiting` is the same database by a client whose operations may wait."""
        task = asyncio.create_task(self._run(waiting))
        try:
            yield
        finally:
            while not task.done():  # in Python 3.11 PyMongo's `wait_for` may lose a cancellation
                task.cancel()
                await asyncio.wait([task], timeout=0.1)

    async def _run(self, waiting: Database) -> None:
        reason = ""
        while True:
            await self._wanted.wait()
            try:
                await self._follow(waiting)
                reason = ""
            except (PyMongoError, CannotFollow) as error:
                before, reason = (
                    reason,
                    str(error) if isinstance(error, CannotFollow) else type(error).__name__,
                )
                if reason != before:
                    log.warning("response cache off, every request reads the database: %s", reason)
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # the outermost edge: without this loop the cache would stay off for ever
                log.exception("response cache off, every request reads the database: following failed")
                await asyncio.sleep(_RETRY_SECONDS)
            if self._is_rush():
                await asyncio.sleep(_REST_SECONDS)

    async def _follow(self, waiting: Database) -> None:
        its_log = await _log_of(waiting)
        if its_log.settled_term != its_log.term or its_log.writer != (await _log_of(self._database)).writer:
            raise CannotFollow("a primary was just elected")
        async with waiting.client.start_session(causal_consistency=False) as session:
            opened = await waiting.command(self._pipeline(since=its_log.settled), session=session)
            cursor = opened["cursor"]
            self._begin(its_log)
            try:
                while cursor["id"] and self._is_worth_it():
                    more = await waiting.command(self._next_of(cursor), session=session)
                    cursor = more["cursor"]
                    await self._receive(cursor)
            finally:
                self._end()
            if not cursor["id"]:
                raise CannotFollow("the database was dropped, or the stream was closed")
            await waiting.command({"killCursors": _CURSOR, "cursors": [cursor["id"]]}, session=session)

    def _begin(self, its_log: _Log) -> None:
        self._invalidate(None)
        self._recent.clear()
        self._writer, self._received = its_log.writer, its_log.settled
        metrics.stream_up.set(1)

    def _end(self) -> None:
        self._writer = None
        self._reach(None)
        self._invalidate(None)
        metrics.stream_up.set(0)

    async def _receive(self, cursor: Document) -> None:
        changes = cursor["nextBatch"]
        for touched in map(self._touched, changes):
            if touched is None or touched:
                self._invalidate(touched)
        if len(changes) < _BATCH:
            self._reach(_time_of(cursor["postBatchResumeToken"]))
        if changes:
            now = asyncio.get_running_loop().time()
            self._recent.append((now, len(changes)))
            if self._received is not None:
                metrics.stream_lag.set(max(0.0, utc_now().timestamp() - self._received.time))
            await asyncio.sleep(_BREATH_SECONDS)

    def _reach(self, received: Timestamp | None) -> None:
        self._received = received
        self._progress.set()
        self._progress = asyncio.Event()

    def _is_worth_it(self) -> bool:
        if asyncio.get_running_loop().time() - self._wanted_at > _UNUSED_SECONDS:
            self._wanted.clear()
            return False
        return self._writer is not None and not self._is_rush()

    def _is_rush(self) -> bool:
        since = asyncio.get_running_loop().time() - _RUSH_SECONDS
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        return sum(count for _, count in self._recent) > _RUSH

    def _pipeline(self, *, since: Timestamp) -> Document:
        """As a command, because only that returns the batch's resume token together with all its changes."""
        fields = {field for each in self._collections.values() for field in each}
        shown = [
            *("operationType", "ns", "to", "documentKey"),
            *(f"fullDocument.{field}" for field in fields),
            *(f"updateDescription.updatedFields.{field}" for field in fields),
        ]
        stream = {"startAtOperationTime": since, "fullDocument": "updateLookup"}
        return {
            "aggregate": 1,
            "pipeline": [{"$changeStream": stream}, {"$project": dict.fromkeys(shown, 1)}],
            "cursor": {"batchSize": 0},
        }

    def _next_of(self, cursor: Document) -> Document:
        is_quiet = asyncio.get_running_loop().time() - self._wanted_at > _QUIET_SECONDS
        wait = _UNUSED_MILLISECONDS if is_quiet else _IDLE_MILLISECONDS
        return {"getMore": cursor["id"], "collection": _CURSOR, "batchSize": _BATCH, "maxTimeMS": wait}

    def _touched(self, change: Document) -> Ids | None:
        names = {change[each].get("coll") for each in ("ns", "to") if each in change}
        if names.isdisjoint(self._collections):
            return frozenset()
        if change["operationType"] not in _ONE_DOCUMENT:
            return None
        name, document = change["ns"]["coll"], change.get("fullDocument") or {}
        newly_set = change.get("updateDescription", {}).get("updatedFields", {})
        fields = self._collections[name]
        if any(field not in document or field in newly_set for field in fields):
            return None
        return frozenset([name, change["documentKey"]["_id"], *(document[field] for field in fields)])


async def _log_of(database: Database) -> _Log:
    """Asks the primary. Raises `CannotFollow` and PyMongo's errors.

    Source: https://www.mongodb.com/docs/manual/reference/command/hello/
    """
    with pymongo.timeout(_HELLO_SECONDS):
        return _log_in(await database.client.admin.command("hello"))


def _log_in(hello: Document) -> _Log:
    last, version = hello.get("lastWrite", {}), hello.get("topologyVersion")
    if not hello.get("isWritablePrimary") or "majorityOpTime" not in last or not version:
        raise CannotFollow("the server is no primary of a replica set")  # a `mongos` has no log of its own
    end, settled = last["opTime"], last["majorityOpTime"]
    return _Log(version["processId"], end["t"], end["ts"], settled["t"], settled["ts"])


def _time_of(token: Document) -> Timestamp:
    """The time of a resume token: its first digits. MongoDB itself reads it from there (SERVER-133517)."""
    digits = str(token.get("_data"))
    try:
        if digits.startswith(_TIMESTAMP):
            return Timestamp(int(digits[2:10], 16), int(digits[10:18], 16))
    except ValueError:
        pass
    raise CannotFollow("the server's resume tokens have another form")
