"""Many small updates sent together, and as few of them as possible: what they cost the database is most of a rush.

All are sent as `UpdateMany`, which the driver doesn't repeat by itself after a broken connection: what the server
keeps to tell a repetition costs a quarter of a small write. So they must be such as may be repeated.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import bson
from pymongo import UpdateMany
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, BulkWriteError

from backend.core.clock import utc_now

Collection = AsyncCollection[dict[str, Any]]


class Change(NamedTuple):
    """What is to be written to one document, if it is still as `where` says."""

    id: Any
    where: Mapping[str, Any]
    update: Mapping[str, Any] | list[Mapping[str, Any]] | Callable[[datetime], list[Mapping[str, Any]]]
    """A function of the moment where it tells that moment: the same for all that are written together."""


_PAUSE_SECONDS = 0.03
"""Between two writes of a rush: the more go with the next, the less each costs."""

_Waiting = list[tuple[Change, "asyncio.Future[bool]"]]

_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Waiting]] = WeakKeyDictionary()
"""What waits, by collection; there only while a write is under way."""


def alike(changes: Iterable[Change]) -> list[UpdateMany]:
    """One write for all documents that are to be changed alike under the same conditions: half the cost for each."""
    now = utc_now()
    ids: dict[bytes, list[Any]] = {}
    groups: dict[bytes, tuple[Any, Any]] = {}
    for change in changes:
        update = change.update(now) if callable(change.update) else change.update
        key = bson.encode({"where": change.where, "update": update})
        groups.setdefault(key, (change.where, update))
        ids.setdefault(key, []).append(change.id)
    return [
        UpdateMany({"_id": {"$in": ids[key]}, **where}, update) for key, (where, update) in groups.items()
    ]


async def update_together(collection: Collection, change: Change) -> bool:
    """Carries out a change. False if it isn't sure that it has changed something: then ask for it by itself.

    While one write is under way, those that come meanwhile go with the next: a single one pays nothing for it, and a
    rush of them pays for one command instead of fifty. Raises PyMongo's errors, but for those of single updates, such
    as a broken unique index.
    """
    loop = asyncio.get_running_loop()
    queues = _loops.setdefault(loop, {})
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
        try:
            is_sure = await _write(collection, [change for change, _ in batch]) == len(batch)
        except BulkWriteError:
            is_sure = False
        except Exception as error:  # whatever it is, those who wait must hear of it
            for _, done in batch:
                done.set_exception(error)
            continue
        for _, done in batch:
            done.set_result(is_sure)
        if queues[collection.full_name]:
            await asyncio.sleep(_PAUSE_SECONDS)
    del queues[collection.full_name]


async def _write(collection: Collection, changes: list[Change]) -> int:
    """How many documents were changed."""
    writes = alike(changes)
    try:
        result = await collection.bulk_write(writes, ordered=False)
    except AutoReconnect:  # once more, as the driver itself does with others
        result = await collection.bulk_write(writes, ordered=False)
    return int(result.modified_count)
