"""Every query and update of outbound messages: the queue, claims, outcomes, reconciliation, and the rate limit.

A claim is one conditional write, so of several processes only one gets a message.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.batching import Change, update_together
from backend.core.mongo.updates import duplicates
from backend.messaging.documents import (
    ONE_TIME_CODES,
    CallReason,
    SenderPace,
    SmsDirection,
    SmsStatus,
    call_list_entry,
)
from backend.messaging.repository import Document, Filter, logs

Row = Mapping[str, Any]


# The queue


async def insert(message: Document) -> None:
    """Adds a message to the log. Raises `DuplicateKeyError` if a unique index refuses it."""
    await logs().insert_one(message)


async def insert_all(messages: Sequence[Document]) -> set[ObjectId]:
    """Adds messages to the log. Returns the ids of those that are on it already, as another document."""
    try:
        await logs().insert_many(messages, ordered=False)
    except BulkWriteError as error:
        return {messages[index]["_id"] for index in duplicates(error)}
    return set()


def _due(now: datetime) -> Filter:
    return {"not_before": {"$gt": EPOCH, "$lte": now}}


async def count_due(now: datetime, *, limit: int) -> int:
    """Returns how many queued messages may be sent now, but no more than `limit`."""
    return await logs().count_documents(_due(now), limit=limit)


async def find_due(now: datetime, *, limit: int) -> list[Document]:
    """Returns queued messages that may be sent now, the longest due first."""
    return await logs().find(_due(now), sort=[("not_before", 1)], limit=limit).to_list()


def _as_read(row: Row) -> Filter:
    return {"_id": row["_id"], "status": SmsStatus.QUEUED, "not_before": row["not_before"]}


def claim(row: Row, fields: Row) -> UpdateOne:
    """The write that claims a queued message, if nobody has changed it since it was read."""
    update = {"$set": fields, "$inc": {"attempts": 1}, "$unset": {"not_before": ""}}
    return UpdateOne(_as_read(row), update)


def skip(row: Row, fields: Row) -> UpdateOne:
    """The write that marks a queued message as skipped, if nobody has changed it since it was read."""
    unset = {"not_before": "", **({"body": ""} if row["kind"] in ONE_TIME_CODES else {})}
    return UpdateOne(_as_read(row), {"$set": fields, "$unset": unset})


def postpone(row: Row, until: datetime) -> UpdateOne:
    """The write that sends a queued message later, if nobody has changed it since it was read."""
    return UpdateOne(_as_read(row), {"$set": {"not_before": until}})


async def update_queued(updates: Sequence[UpdateOne]) -> bool:
    """Makes these writes. Returns whether all of them were made: another process may have been faster."""
    result = await logs().bulk_write(updates, ordered=False)
    return result.matched_count == len(updates)


async def find_claimed(attempt_ids: Sequence[str]) -> set[str]:
    """Returns those of the attempts that claimed their message."""
    found = logs().find({"attempt_id": {"$in": attempt_ids}}, {"attempt_id": 1})
    return {row["attempt_id"] async for row in found}


# Outcomes


async def find_by_attempt(attempt_id: str) -> Document | None:
    """Returns the message that this attempt tried to send."""
    return await logs().find_one({"attempt_id": attempt_id})


async def find_sent(sid: str) -> Document | None:
    """Returns the outbound message with this id of the carrier's."""
    return await logs().find_one({"twilio_sid": sid, "direction": SmsDirection.OUTBOUND})


async def set_status(
    log_id: ObjectId,
    status: SmsStatus,
    *,
    only_from: Collection[SmsStatus],
    fields: Row,
    removed: Collection[str],
) -> bool:
    """Sets a message's status if it is in one of `only_from`. Returns whether it did. Safe to repeat.

    Raises `DuplicateKeyError` if `fields` has a carrier's id that another message has.
    """
    changed = {"status": status, "updated_at": utc_now(), **fields}
    where = {"status": {"$in": list(only_from)}}
    update = {"$set": changed, "$unset": dict.fromkeys(removed, "")}
    if await update_together(logs(), Change(log_id, where, update)):
        return True
    result = await logs().update_one({"_id": log_id, **where}, update)
    is_done = {"_id": log_id, "status": status, "updated_at": changed["updated_at"]}
    return bool(result.modified_count) or await logs().find_one(is_done, {"_id": 1}) is not None


async def add_sid(log_id: ObjectId, sid: str) -> None:
    """Records the carrier's id of a message that has none. Raises `DuplicateKeyError`."""
    await logs().update_one({"_id": log_id, "twilio_sid": None}, {"$set": {"twilio_sid": sid}})


async def set_unknown(log: Row, *, reconcile_at: datetime | None) -> bool:
    """Marks a claimed message as unknown, unless its claim has ended. Returns whether it did."""
    result = await logs().update_one(
        {"_id": log["_id"], "attempt_id": log["attempt_id"], "status": SmsStatus.SENDING},
        {
            "$set": {
                "status": SmsStatus.UNKNOWN,
                "updated_at": utc_now(),
                **({"reconcile_at": reconcile_at} if reconcile_at else {}),
            },
            "$unset": {"claimed_until": ""},
        },
    )
    return bool(result.modified_count)


async def requeue(log: Row, *, at: datetime, error_code: int | None = None) -> None:
    """Puts a claimed or unknown message back into the queue, unless another attempt has begun."""
    await logs().update_one(
        {
            "_id": log["_id"],
            "attempt_id": log["attempt_id"],
            "status": {"$in": [SmsStatus.SENDING, SmsStatus.UNKNOWN]},
        },
        {
            "$set": {
                "status": SmsStatus.QUEUED,
                "not_before": at,
                "updated_at": utc_now(),
                **({"error_code": error_code} if error_code else {}),
            },
            "$unset": {"claimed_until": "", "reconcile_at": ""},
        },
    )


# Reconciliation


async def find_lapsed(now: datetime) -> AsyncIterator[Document]:
    """Yields the messages whose claim has lapsed: the process that claimed them died or stalled."""
    async for row in logs().find({"claimed_until": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.SENDING}):
        yield row


async def claim_unknown(now: datetime, *, until: datetime) -> Document | None:
    """Claims an unknown message that is due for reconciliation; nobody else gets it until then."""
    return await logs().find_one_and_update(
        {"reconcile_at": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.UNKNOWN},
        {"$set": {"reconcile_at": until}},
        sort=[("reconcile_at", 1)],
    )


async def is_sid_of_another(sid: str, *, than: ObjectId) -> bool:
    """Returns whether another message has this id of the carrier's."""
    return await logs().find_one({"twilio_sid": sid, "_id": {"$ne": than}}, {"_id": 1}) is not None


async def end_reconciliation(log_id: ObjectId, call_reason: CallReason | None) -> None:
    """Leaves a message unknown for good, and puts it on the call list if there is a reason."""
    now = utc_now()
    await logs().update_one(
        {"_id": log_id, "status": SmsStatus.UNKNOWN},
        {"$set": {"updated_at": now, **call_list_entry(call_reason, now)}, "$unset": {"reconcile_at": ""}},
    )


# Metrics


async def find_oldest_due(now: datetime, *, since: datetime) -> datetime | None:
    """Returns since when the longest waiting message is due, of those that became due after a moment."""
    found = await logs().find_one(
        {"not_before": {"$gt": since, "$lte": now}}, {"not_before": 1}, sort=[("not_before", 1)]
    )
    return found["not_before"] if found else None


async def count_waiting(now: datetime) -> tuple[int, int]:
    """Returns how many queued messages are due, and how many are unknown."""
    unknown = {"reconcile_at": {"$gt": EPOCH}, "status": SmsStatus.UNKNOWN}
    return await logs().count_documents(_due(now)), await logs().count_documents(unknown)


# The rate limit


async def use_second(sender: str, *, second: int, wanted: int, limit: int) -> int:
    """Uses up to `wanted` messages of a second's limit. Returns how many had been used before, by all processes."""
    used = {"$cond": [{"$eq": ["$second", second]}, "$used", 0]}
    update = [{"$set": {"used": {"$min": [limit, {"$add": [used, wanted]}]}, "second": second}}]
    try:
        before = await _update_pace(sender, update)
    except DuplicateKeyError:  # two processes created the document at once; now it exists
        before = await _update_pace(sender, update)
    return before["used"] if before and before["second"] == second else 0


async def _update_pace(sender: str, update: list[Document]) -> Document | None:
    found: Document | None = await SenderPace.get_pymongo_collection().find_one_and_update(
        {"_id": sender}, update, upsert=True, return_document=ReturnDocument.BEFORE
    )
    return found
