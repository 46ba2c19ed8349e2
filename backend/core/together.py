"""Many small updates sent together: while one write is under way, those that come meanwhile go with the next.

A single update pays nothing for it, and a rush of them pays for one command instead of fifty.
"""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

Collection = AsyncCollection[dict[str, Any]]
_Waiting = list[tuple[UpdateOne, "asyncio.Future[bool]"]]

_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Waiting]] = WeakKeyDictionary()
"""What waits, by collection; there only while a write is under way."""


async def update_together(collection: Collection, update: UpdateOne) -> bool:
    """Carries out an update. False if it isn't sure that it has changed something: then ask for it by itself.

    Raises PyMongo's errors, but for those of single updates, such as a broken unique index.
    """
    loop = asyncio.get_running_loop()
    queues = _loops.setdefault(loop, {})
    done: asyncio.Future[bool] = loop.create_future()
    if collection.full_name in queues:
        queues[collection.full_name].append((update, done))
    else:
        queues[collection.full_name] = [(update, done)]
        task = loop.create_task(_write_all(collection, queues))
        done.add_done_callback(lambda _: task)  # keeps the task alive as long as somebody waits
    return await asyncio.shield(done)


async def _write_all(collection: Collection, queues: dict[str, _Waiting]) -> None:
    while batch := queues[collection.full_name]:
        queues[collection.full_name] = []
        try:
            result = await collection.bulk_write([update for update, _ in batch], ordered=False)
            is_sure = result.modified_count == len(batch)
        except BulkWriteError:
            is_sure = False
        except Exception as error:  # whatever it is, those who wait must hear of it
            for _, done in batch:
                done.set_exception(error)
            continue
        for _, done in batch:
            done.set_result(is_sure)
    del queues[collection.full_name]
