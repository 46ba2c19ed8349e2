"""What is changed alike under the same conditions is one write, and nothing else goes with it."""

import asyncio
import os
from typing import Any
from urllib.parse import urlsplit

from pymongo import AsyncMongoClient, UpdateMany
from pymongo.database import Database

from backend.core.mongo.batching import Change, alike, update_together
from tests.races.support import in_background
from tests.support.wire import Wire

Db = Database[dict[str, Any]]


def test_only_the_same_change_under_the_same_conditions_is_one_write() -> None:
    first, other = {"$set": {"a": 1}}, {"$set": {"a": 2}}
    changes = [
        Change(1, {"reschedule_count": 0}, first),
        Change(2, {"reschedule_count": 0}, first),
        Change(3, {"reschedule_count": 1}, first),
        Change(4, {"reschedule_count": 0}, other),
    ]
    assert alike(changes) == [
        UpdateMany({"_id": {"$in": [1, 2]}, "reschedule_count": 0}, first),
        UpdateMany({"_id": {"$in": [3]}, "reschedule_count": 1}, first),
        UpdateMany({"_id": {"$in": [4]}, "reschedule_count": 0}, other),
    ]


def test_what_is_lost_with_its_connection_is_written_once_more(db: Db) -> None:
    """The driver itself doesn't repeat such a write."""
    db["together"].insert_one({"_id": 1})
    wire = Wire(urlsplit(os.environ["MONGODB_URL"]).port or 0)

    async def change() -> bool:
        async with AsyncMongoClient[dict[str, Any]](wire.url) as client:
            return await update_together(
                client[db.name]["together"], Change(1, {"done": None}, {"$set": {"done": True}})
            )

    try:
        with wire.holding(lambda command: command.name == "update") as held:
            changing = in_background(lambda: asyncio.run(asyncio.wait_for(change(), 10)))
            assert held.arrived()
            held.lose()
            assert changing.result(timeout=10)
    finally:
        wire.close()
        db["together"].drop()
