"""Following what happens to collections, and knowing whether everything that has happened was told.

A change stream tells a process of every change, a moment late. How far the database has come it says itself: `hello`
names the last entry of its log. Who has been told of everything up to there is late for nothing that anybody,
in any process, had an answer to before he asked.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from backend.core.shared import SharedReads

log = logging.getLogger(__name__)

Document = dict[str, Any]
Ids = frozenset[Hashable]

_SILENCE_MILLISECONDS = 50
"""After so long the stream says that nothing has happened; what happens, it tells at once."""
_PATIENCE_SECONDS = 5
_UNUSED_SECONDS = 30
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1, 60
_BREATH_SECONDS = 0.003
"""After a change. More may be on their way; being told of each by itself would cost its write half as much again."""
_LONGEST_BEHIND_SECONDS = 1
_REST_SECONDS = 5
"""Where writes come so thick that nobody was found up to date for so long, following rests: it costs every write."""
_BATCH = 1000
"""Changes that the stream tells of at once. With a whole batch, more of the same moment may be to come."""

_CURSOR = "$cmd.aggregate"
_TIMESTAMP = "82"
_SET = "updateDescription.updatedFields.{}"


class CannotFollow(Exception):
    """The database is none whose changes can be followed: no replica set, or one that says things differently."""


class _Place(NamedTuple):
    """A place in the database's log. What a former primary wrote last may have been undone: see `term`."""

    term: int
    at: Timestamp


class Following:
    """Follows a database's collections while that is made use of; each with the fields by which its documents are
    looked up.

    `tell` is called with the ids that a change touches: its document's, those in the fields, and the collection's
    name. With None, anything may have changed: a document has gone or went over to another id, or the
    stream was broken off.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        collections: Mapping[str, Sequence[str]],
        tell: Callable[[Ids | None], None],
    ) -> None:
        self._database, self._collections, self._tell = database, collections, tell
        self._told_until: _Place | None = None
        self._is_wanted = asyncio.Event()
        self._wanted_at = 0.0
        self._behind_since: float | None = None
        self._ends: SharedReads[None, _Place] = SharedReads()

    @property
    def is_on(self) -> bool:
        """Whether changes are told from now on. Asking for it is making use of it."""
        self._wanted_at = asyncio.get_running_loop().time()
        self._is_wanted.set()
        return self._told_until is not None

    async def is_up_to_date(self) -> bool:
        """Whether everything was told that had happened when this was asked. One command, together with others."""
        try:
            end = await self._ends.ask(None, lambda _: self._end_of_log())
        except (PyMongoError, CannotFollow):
            return False
        told = self._told_until
        if told is not None and told.term == end.term and told.at >= end.at:
            self._behind_since = None
            return True
        self._behind_since = self._behind_since or asyncio.get_running_loop().time()
        return False

    @asynccontextmanager
    async def through(self, waiting: AsyncDatabase[Document]) -> AsyncIterator[None]:
        """Follows until the block ends. `waiting` is the same database, by a client that lets an operation wait."""
        task = asyncio.create_task(self._follow_on(waiting))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _follow_on(self, waiting: AsyncDatabase[Document]) -> None:
        pause = _PAUSE_SECONDS
        while True:
            await self._is_wanted.wait()
            try:
                await self._follow(waiting)
                pause = _PAUSE_SECONDS
                if self._behind_since is not None:
                    await asyncio.sleep(_REST_SECONDS)
                    self._behind_since = None
            except (PyMongoError, TimeoutError, CannotFollow) as error:
                log.info("changes are not followed: %s", type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _follow(self, waiting: AsyncDatabase[Document]) -> None:
        begun = await self._end_of_log()
        async with waiting.client.start_session(causal_consistency=False) as session:
            cursor = await self._send(waiting, session, self._question(since=begun.at))
            self._told_until = begun  # what had happened before shows in whatever is read from now on
            try:
                while cursor["id"] and self._is_worth_it():
                    cursor = await self._send(waiting, session, _next_of(cursor))
                    changes = cursor["nextBatch"]
                    for change in changes:
                        self._tell(self._touched(change))
                    if len(changes) < _BATCH:
                        self._told_until = _Place(begun.term, _time_of(cursor["postBatchResumeToken"]))
                    if changes:
                        await asyncio.sleep(_BREATH_SECONDS)
            finally:
                self._told_until = None
                self._tell(None)
            if cursor["id"]:
                await self._send(waiting, session, {"killCursors": _CURSOR, "cursors": [cursor["id"]]})

    def _is_worth_it(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._wanted_at > _UNUSED_SECONDS:
            self._is_wanted.clear()
            return False
        return self._behind_since is None or now - self._behind_since < _LONGEST_BEHIND_SECONDS

    @staticmethod
    async def _send(
        waiting: AsyncDatabase[Document], session: AsyncClientSession, command: Document
    ) -> Document:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reply: Document = await waiting.command(command, session=session)
        cursor: Document = reply.get("cursor", {})
        return cursor

    def _question(self, *, since: Timestamp) -> Document:
        fields = {field for each in self._collections.values() for field in each}
        shown = [
            part.format(field) for field in fields for part in (f"fullDocument.{field}", _SET.format(field))
        ]
        stream = {"startAtOperationTime": since, "fullDocument": "updateLookup"}
        return {
            "aggregate": 1,
            "pipeline": [
                {"$changeStream": stream},
                {"$match": {"ns.coll": {"$in": list(self._collections)}}},
                {"$project": dict.fromkeys(("operationType", "ns", "documentKey", *shown), 1)},
            ],
            "cursor": {"batchSize": 0},
        }

    async def _end_of_log(self) -> _Place:
        hello = await self._database.client.admin.command("hello")
        try:
            last = hello["lastWrite"]["opTime"]
            return _Place(last["t"], last["ts"])
        except (KeyError, TypeError):
            raise CannotFollow from None

    def _touched(self, change: Document) -> Ids | None:
        name, kind = change["ns"]["coll"], change["operationType"]
        fields, document = self._collections[name], change.get("fullDocument") or {}
        newly_set = change.get("updateDescription", {}).get("updatedFields", {})
        if kind not in ("insert", "update") or any(
            field not in document or field in newly_set for field in fields
        ):
            return None
        return frozenset([name, change["documentKey"]["_id"], *(document[field] for field in fields)])


def _next_of(cursor: Document) -> Document:
    return {
        "getMore": cursor["id"],
        "collection": _CURSOR,
        "batchSize": _BATCH,
        "maxTimeMS": _SILENCE_MILLISECONDS,
    }


def _time_of(token: Document) -> Timestamp:
    """When a resume token is of. Its first digits say so; MongoDB itself takes them from there (SERVER-133517)."""
    digits = str(token.get("_data"))
    if not digits.startswith(_TIMESTAMP):
        raise CannotFollow
    try:
        return Timestamp(int(digits[2:10], 16), int(digits[10:18], 16))
    except ValueError:
        raise CannotFollow from None
