"""Every query and update of phone numbers: whether messages may be sent to them. Numbers are in their normal form."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.accounts.documents import PhoneNumber
from backend.core.clock import utc_now

Document = dict[str, Any]


def _numbers() -> AsyncCollection[Document]:
    return PhoneNumber.get_pymongo_collection()


async def find_opted_out(numbers: Iterable[str | None]) -> frozenset[str]:
    """Returns those of the numbers that get no messages until they opt in. One query, or none without a number."""
    wanted = list({each for each in numbers if each})
    if not wanted:
        return frozenset()
    found = _numbers().find({"_id": {"$in": wanted}, "opted_out_at": {"$exists": True}}, {"_id": 1})
    return frozenset([row["_id"] async for row in found])


async def find(number: str | None) -> PhoneNumber | None:
    """Returns what is known of a number; None without a number, or if nothing is."""
    return None if number is None else await PhoneNumber.find_one({"_id": number})


async def opt_out(number: str, *, word: str, at: datetime) -> datetime:
    """Records that a number opted out, unless it has already. Returns since when it is opted out (UTC).

    `word` is one that the carrier knows, or its error code: never what else the sender wrote.
    """
    first = {
        "opted_out_at": {"$ifNull": ["$opted_out_at", at]},
        "opted_out_by": {"$ifNull": ["$opted_out_by", {"$literal": word}]},
        "updated_at": utc_now(),
    }
    row = await _numbers().find_one_and_update(
        {"_id": number}, [{"$set": first}], upsert=True, return_document=ReturnDocument.AFTER
    )
    assert row is not None  # noqa: S101 - an upsert returns what it has written
    since: datetime = row["opted_out_at"]
    return since


async def opt_in(number: str) -> None:
    """Records that a number wants messages again."""
    removed = {"opted_out_at": "", "opted_out_by": ""}
    await _numbers().update_one({"_id": number}, {"$unset": removed, "$set": {"updated_at": utc_now()}})


async def mark_undeliverable(number: str, *, at: datetime) -> None:
    """Records since when no message reaches a number, for example because it is unassigned or a landline."""
    since = {"undeliverable_since": {"$ifNull": ["$undeliverable_since", at]}, "updated_at": utc_now()}
    await _numbers().update_one({"_id": number}, [{"$set": since}], upsert=True)


async def mark_reachable(number: str) -> None:
    """Records that a number is in use: it has sent a message."""
    is_marked = {"_id": number, "undeliverable_since": {"$exists": True}}
    await _numbers().update_one(is_marked, {"$unset": {"undeliverable_since": ""}, "$set": {"updated_at": utc_now()}})
