"""What many requests ask of the database in the same moment goes out as one command.

A command costs driver and server far more than one more document in it. Nothing is kept: every answer is read, and
every write made, after it was asked for. `REQUEST_BATCHING_ENABLED=false` sends each by itself. Figures:
docs/performance.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import bson
from pymongo import UpdateMany
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.mongo.updates import DUPLICATE_KEY
from backend.core.settings import settings

K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H", bound=Hashable)
Document = dict[str, Any]
Collection = AsyncCollection[Document]

LARGEST_BATCH = 16
"""Larger batches make the event loop and the database wait for each other in turn."""

_PAUSE_SECONDS = 0.03
"""Between two batches of updates: a fuller batch costs less for each update."""


class Batcher(Generic[K, V]):
    """Collects what is asked in one turn of the event loop and loads it with one call.

    `load_all` returns one result per key, in their order; an exception as a result is raised for that key alone.
    """

    def __init__(self, name: str, load_all: Callable[[Sequence[K]], Awaitable[Sequence[V | Exception]]]) -> None:
        self._name, self._load_all = name, load_all
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, list[tuple[K, asyncio.Future[V]]]] = (
            WeakKeyDictionary()
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: K) -> V:
        """The result for a key. Raises what `load_all` raises, or returns for this key."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[V] = loop.create_future()
        waiting = self._waiting.setdefault(loop, [])
        waiting.append((key, result))
        if len(waiting) == 1:
            task = loop.create_task(self._load_those_waiting(loop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await result

    async def _load_those_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting.pop(loop)
        size = LARGEST_BATCH if settings.REQUEST_BATCHING_ENABLED else 1
        first, *others = [waiting[at : at + size] for at in range(0, len(waiting), size)]
        if others:
            await asyncio.gather(*map(self._load, (first, *others)))
        else:
            await self._load(first)  # without a task of its own

    async def _load(self, batch: Sequence[tuple[K, "asyncio.Future[V]"]]) -> None:
        metrics.batch_size.labels(self._name).observe(len(batch))
        try:
            results = await self._load_all([key for key, _ in batch])
        except PyMongoError as error:
            results = [error] * len(batch)
        except Exception as error:
            if len(batch) > 1:  # one of them can't be sent to the database at all, and so none was
                await asyncio.gather(*(self._load([each]) for each in batch))
                return
            results = [error]
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue  # the caller was cancelled
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def reads_by_id(collection: Callable[[], Collection]) -> Batcher[Any, Document | None]:
    """Reads documents by their ids; None where there is none."""

    async def find(ids: Sequence[Any]) -> Sequence[Document | None]:
        if len(ids) == 1:
            return [await collection().find_one({"_id": ids[0]})]
        found = await collection().find({"_id": {"$in": list(set(ids))}}).to_list()
        by_id = {document["_id"]: document for document in found}
        return [by_id.get(wanted) for wanted in ids]

    return Batcher("read", find)


def inserts(collection: Callable[[], Collection]) -> Batcher[Document, None]:
    """Inserts documents. Each keeps its own error: a unique index may refuse one and take the next."""

    async def insert(documents: Sequence[Document]) -> Sequence[Exception | None]:
        if len(documents) == 1:
            await collection().insert_one(documents[0])
            return [None]
        try:
            await collection().insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            refused = {fault["index"]: _refusal(fault) for fault in error.details["writeErrors"]}
            return [refused.get(number) for number in range(len(documents))]
        return [None] * len(documents)

    return Batcher("insert", insert)


def _refusal(fault: Document) -> OperationFailure:
    """The error that inserting the document alone would have raised, without the document: that is private."""
    details = {name: value for name, value in fault.items() if name != "op"}
    kind = DuplicateKeyError if fault["code"] == DUPLICATE_KEY else OperationFailure
    return kind(fault["errmsg"], fault["code"], details)


class SingleFlight(Generic[H, V]):
    """Runs one read per key at a time. Callers that come while one is under way share the next.

    So every result was read after it was asked for. If the read under way fails, those who wait for the next get its
    error: nobody waits twice for a database that is away.
    """

    def __init__(self) -> None:
        self._running: dict[H, asyncio.Task[V]] = {}
        self._next: dict[H, asyncio.Task[V]] = {}

    async def load(self, key: H, read: Callable[[H], Awaitable[V]]) -> V:
        """What `read` returns for the key. Raises what it raises."""
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._read_after(self._running.get(key), key, read))
        return await asyncio.shield(self._next[key])  # a cancelled caller must not cancel the others' read

    async def _read_after(self, running: "asyncio.Task[V] | None", key: H, read: Callable[[H], Awaitable[V]]) -> V:
        try:
            if running is not None:
                await asyncio.wait([running])
        finally:
            mine = self._running[key] = self._next.pop(key)
        try:
            if running is not None and not running.cancelled() and (error := running.exception()):
                raise error
            return await read(key)
        finally:
            if self._running[key] is mine:
                del self._running[key]


class Change(NamedTuple):
    """An update of one document, made if the document still matches `where`.

    It must be safe to repeat. `update` may be a function of the time, which is then the same for a whole batch.
    """

    id: Any
    where: Mapping[str, Any]
    update: Mapping[str, Any] | list[Mapping[str, Any]] | Callable[[datetime], list[Mapping[str, Any]]]


def alike(changes: Iterable[Change]) -> list[UpdateMany]:
    """One update for all documents that change alike under the same conditions: half the cost for each."""
    now = utc_now()
    ids: dict[bytes, list[Any]] = {}
    groups: dict[bytes, tuple[Any, Any]] = {}
    for change in changes:
        update = change.update(now) if callable(change.update) else change.update
        key = bson.encode({"where": change.where, "update": update})
        groups.setdefault(key, (change.where, update))
        ids.setdefault(key, []).append(change.id)
    return [UpdateMany({"_id": {"$in": ids[key]}, **where}, update) for key, (where, update) in groups.items()]


_Waiting = list[tuple[Change, "asyncio.Future[bool]"]]
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Waiting]] = WeakKeyDictionary()
"""Changes that wait, by collection; there only while a batch is being written."""


async def update_together(collection: Collection, change: Change) -> bool:
    """Makes a change. False if it isn't certain that it was made: then make it by itself.

    While one batch is being written, the changes that arrive form the next. Raises PyMongo's errors, except for those
    of single updates, such as a duplicate key.
    """
    if not settings.REQUEST_BATCHING_ENABLED:
        return await _write(collection, [change]) == 1
    loop = asyncio.get_running_loop()
    queues = _queues.setdefault(loop, {})
    done: asyncio.Future[bool] = loop.create_future()
    if collection.full_name in queues:
        queues[collection.full_name].append((change, done))
    else:
        queues[collection.full_name] = [(change, done)]
        task = loop.create_task(_write_all(collection, queues))
        done.add_done_callback(lambda _: task)  # keeps the task alive as long as somebody waits
    return await asyncio.shield(done)


async def _write_all(collection: Collection, queues: dict[str, _Waiting]) -> None:
    while batch := queues[collection.full_name]:
        queues[collection.full_name] = []
        metrics.batch_size.labels("update").observe(len(batch))
        try:
            is_certain = await _write(collection, [change for change, _ in batch]) == len(batch)
        except BulkWriteError:
            is_certain = False
        except Exception as error:  # passed on to every caller
            for _, done in batch:
                done.set_exception(error)
            continue
        for _, done in batch:
            done.set_result(is_certain)
        if queues[collection.full_name]:
            await asyncio.sleep(_PAUSE_SECONDS)
    del queues[collection.full_name]


async def _write(collection: Collection, changes: list[Change]) -> int:
    """The number of documents changed."""
    writes = alike(changes)
    try:
        result = await collection.bulk_write(writes, ordered=False)
    except AutoReconnect:  # the driver retries single updates itself, but not UpdateMany
        result = await collection.bulk_write(writes, ordered=False)
    return int(result.modified_count)
