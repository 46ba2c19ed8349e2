"""Following what happens to collections, and knowing whether everything that has happened was told.

A change stream tells a process of every change, a moment late. How far the database has come it says itself: `hello`
names the last entry of its log. Who has been told of everything up to there is late for nothing that was
acknowledged to anybody, in any process, before he asked.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bson import ObjectId, Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.topology_description import TopologyDescription

from backend.core.primary import NoPrimary, Place, Primary, primary_of, process_read_by

log = logging.getLogger(__name__)

Document = dict[str, Any]
Ids = frozenset[Hashable]

_SILENCE_MILLISECONDS, _LONG_SILENCE_MILLISECONDS = 50, 1000
"""After so long the stream says that nothing has happened; what happens, it tells at once. The longer while nobody
asks, for `_QUIET_SECONDS`. Of what a server writes down for itself, every ten seconds, it doesn't tell: until it says
that nothing has happened, nobody is up to date."""
_QUIET_SECONDS = 10
_BREATH_SECONDS = 0.003
"""After a change. More may be on their way; being told of each by itself would cost its write half as much again."""
_CATCH_UP_SECONDS = 0.01
"""How long to wait for being told of what has happened. A change is told some 2 to 5 ms after it is in the log."""
_UNUSED_SECONDS = 30
_PAUSE_SECONDS = 1
_RUSH = 100
"""So many changes within `_RUSH_SECONDS`: nobody is up to date for long, and following costs every write. So it
rests."""
_RUSH_SECONDS = 0.5
_REST_SECONDS = 2
_BATCH = 1000
"""Changes that the stream tells of at once. With a whole batch, more of the same moment may be to come."""

_CURSOR = "$cmd.aggregate"
_TIMESTAMP = "82"
_SET = "updateDescription.updatedFields.{}"


class CannotFollow(Exception):
    """The database is none whose changes can be followed: no replica set, or one that says things differently."""


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
        self._primary: Primary | None = None
        self._told_until: Place | None = None
        self._is_wanted = asyncio.Event()
        self._wanted_at = 0.0
        self._recent: deque[tuple[float, int]] = deque()
        self._behind: list[tuple[Timestamp, asyncio.Future[bool]]] = []
        self._seen: tuple[TopologyDescription | None, ObjectId | None] = (None, None)

    @property
    def is_on(self) -> bool:
        """Whether changes are told from now on. Asking for it is making use of it."""
        self._wanted_at = asyncio.get_running_loop().time()
        self._is_wanted.set()
        return self._told_until is not None

    async def is_up_to_date(self) -> bool:
        """Whether everything was told that had happened when this was asked. One question, together with others;
        what is just on its way is waited for, `_CATCH_UP_SECONDS` at most."""
        primary = self._primary
        if primary is None or (its_log := await primary.log()) is None:
            return False
        told = self._told_until
        if told is None or its_log.process != self._read_from():
            return False
        if told.term != its_log.end.term:
            primary.leave()
            return False
        return told.at >= its_log.end.at or await self._catches_up_with(its_log.end.at)

    async def _catches_up_with(self, end: Timestamp) -> bool:
        loop = asyncio.get_running_loop()
        has_caught_up: asyncio.Future[bool] = loop.create_future()
        self._behind.append((end, has_caught_up))
        patience = loop.call_later(_CATCH_UP_SECONDS, _settle, has_caught_up, False)
        try:
            return await has_caught_up
        finally:
            patience.cancel()

    def _is_told(self, until: Place | None) -> None:
        self._told_until = until
        behind, self._behind = self._behind, []
        for end, has_caught_up in behind:
            if until is None or end <= until.at:
                _settle(has_caught_up, until is not None)
            elif not has_caught_up.done():
                self._behind.append((end, has_caught_up))

    def _read_from(self) -> ObjectId | None:
        """For a while a former primary may not know that it is none any more, and reads go to another already."""
        client = self._database.client
        if self._seen[0] is not client.topology_description:
            self._seen = client.topology_description, process_read_by(client)
        return self._seen[1]

    @asynccontextmanager
    async def through(self, waiting: AsyncDatabase[Document]) -> AsyncIterator[None]:
        """Follows until the block ends. `waiting` is the same database, by a client that lets an operation wait."""
        task = asyncio.create_task(self._follow_on(waiting))
        try:
            yield
        finally:
            while not task.done():  # PyMongo may lose a cancellation: in Python 3.11 `wait_for` does
                task.cancel()
                await asyncio.wait([task], timeout=0.1)

    async def _follow_on(self, waiting: AsyncDatabase[Document]) -> None:
        reason = ""
        while True:
            await self._is_wanted.wait()
            try:
                await self._follow(waiting)
            except (PyMongoError, CannotFollow, NoPrimary) as error:
                if reason != (reason := type(error).__name__):
                    log.info("changes are not followed: %s", reason)
                await asyncio.sleep(_PAUSE_SECONDS)
            except Exception:
                log.exception("changes are not followed")
                await asyncio.sleep(_PAUSE_SECONDS)
            if self._is_rush():
                await asyncio.sleep(_REST_SECONDS)

    async def _follow(self, waiting: AsyncDatabase[Document]) -> None:
        async with (
            primary_of(waiting.client) as primary,
            waiting.client.start_session(causal_consistency=False) as session,
        ):
            its_log = await primary.log()
            if (
                its_log is None or its_log.settled.term != its_log.end.term
            ):  # just elected: asked again in a while
                raise NoPrimary
            cursor = (await waiting.command(self._question(since=its_log.settled.at), session=session))[
                "cursor"
            ]
            if its_log.process != process_read_by(waiting.client):
                raise NoPrimary
            self._begin(primary, its_log.settled)
            try:
                while cursor["id"] and self._is_worth_it(primary):
                    cursor = (await waiting.command(self._next_of(cursor), session=session))["cursor"]
                    changes = cursor["nextBatch"]
                    for touched in map(self._touched, changes):
                        if touched is None or touched:
                            self._tell(touched)
                    if len(changes) < _BATCH:
                        self._is_told(Place(its_log.settled.term, _time_of(cursor["postBatchResumeToken"])))
                    if changes:
                        self._recent.append((asyncio.get_running_loop().time(), len(changes)))
                        await asyncio.sleep(_BREATH_SECONDS)
            finally:
                self._primary = None
                self._is_told(None)
                self._tell(None)
            if not cursor["id"]:
                raise CannotFollow  # the database was dropped, for one
            await waiting.command({"killCursors": _CURSOR, "cursors": [cursor["id"]]}, session=session)

    def _begin(self, primary: Primary, since: Place) -> None:
        """Whatever had happened up to there shows in what is read from now on."""
        self._tell(None)
        self._primary = primary
        self._is_told(since)
        self._recent.clear()

    def _is_worth_it(self, primary: Primary) -> bool:
        if asyncio.get_running_loop().time() - self._wanted_at > _UNUSED_SECONDS:
            self._is_wanted.clear()
            return False
        return not self._is_rush() and not primary.is_left

    def _is_rush(self) -> bool:
        since = asyncio.get_running_loop().time() - _RUSH_SECONDS
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        return sum(count for _, count in self._recent) > _RUSH

    def _next_of(self, cursor: Document) -> Document:
        is_quiet = asyncio.get_running_loop().time() - self._wanted_at > _QUIET_SECONDS
        silence = _LONG_SILENCE_MILLISECONDS if is_quiet else _SILENCE_MILLISECONDS
        return {"getMore": cursor["id"], "collection": _CURSOR, "batchSize": _BATCH, "maxTimeMS": silence}

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
                {"$project": dict.fromkeys(("operationType", "ns", "to", "documentKey", *shown), 1)},
            ],
            "cursor": {"batchSize": 0},
        }

    def _touched(self, change: Document) -> Ids | None:
        names = {change[each].get("coll") for each in ("ns", "to") if each in change}
        if names.isdisjoint(self._collections):
            return frozenset()
        if change["operationType"] not in ("insert", "update"):
            return None
        name, document = change["ns"]["coll"], change.get("fullDocument") or {}
        newly_set = change.get("updateDescription", {}).get("updatedFields", {})
        fields = self._collections[name]
        if any(field not in document or field in newly_set for field in fields):
            return None
        return frozenset([name, change["documentKey"]["_id"], *(document[field] for field in fields)])


def _settle(answer: asyncio.Future[bool], is_so: bool) -> None:
    if not answer.done():  # in time, or whoever asked has gone away
        answer.set_result(is_so)


def _time_of(token: Document) -> Timestamp:
    """When a resume token is of. Its first digits say so; MongoDB itself takes them from there (SERVER-133517)."""
    digits = str(token.get("_data"))
    if not digits.startswith(_TIMESTAMP):
        raise CannotFollow
    try:
        return Timestamp(int(digits[2:10], 16), int(digits[10:18], 16))
    except ValueError:
        raise CannotFollow from None
