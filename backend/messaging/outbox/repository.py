"""Every query and update of outbound messages: the queue, claims, outcomes, reconciliation, and the rate limit.

A claim is one conditional write, so of several processes only one gets a message.
"""

from collections.abc import AsyncIterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.batching import Change, update_together
from backend.core.mongo.updates import duplicates
from backend.messaging.documents import ONE_TIME_CODES, CallReason, SenderPace, SmsStatus, call_list_entry
from backend.messaging.repository import Document, Filter, logs

Row = Mapping[str, Any]


# The queue


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


def _update(row: Row, update: Row) -> UpdateOne:
    """Returns a write to a queued message. It is made if nobody has changed the message since it was read."""
    return UpdateOne({"_id": row["_id"], "status": SmsStatus.QUEUED, "not_before": row["not_before"]}, update)


def claim(row: Row, fields: Row) -> UpdateOne:
    """Returns the write that claims a queued message."""
    return _update(row, {"$set": fields, "$inc": {"attempts": 1}, "$unset": {"not_before": ""}})


def skip(row: Row, fields: Row) -> UpdateOne:
    """Returns the write that marks a queued message as skipped."""
    unset = {"not_before": "", **({"body": ""} if row["kind"] in ONE_TIME_CODES else {})}
    return _update(row, {"$set": fields, "$unset": unset})


def postpone(row: Row, until: datetime) -> UpdateOne:
    """Returns the write that makes a queued message wait."""
    return _update(row, {"$set": {"not_before": until}})


async def update_queued(updates: Sequence[UpdateOne]) -> bool:
    """Makes these writes. Returns whether all of them were made: another process may have been faster."""
    result = await logs().bulk_write(updates, ordered=False)
    return result.matched_count == len(updates)


async def find_claimed(attempt_ids: Sequence[str]) -> set[str]:
    """Returns those of the attempts that claimed their message."""
    found = logs().find({"attempt_id": {"$in": attempt_ids}}, {"attempt_id": 1})
    return {row["attempt_id"] async for row in found}


# Outcomes


async def set_status(
    log_id: ObjectId,
    status: SmsStatus,
    *,
    only_from: Sequence[SmsStatus],
    fields: Row,
    removed: Sequence[str],
) -> bool:
    """Sets a message's status if it is in one of `only_from`. Returns whether it did. Safe to repeat.

    Raises `DuplicateKeyError` if `fields` has a carrier's id that another message has.
    """
    changed = {"status": status, "updated_at": utc_now(), **fields}
    where = {"status": {"$in": only_from}}
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
    fields: Document = {"status": SmsStatus.UNKNOWN, "updated_at": utc_now()}
    if reconcile_at:
        fields["reconcile_at"] = reconcile_at
    result = await logs().update_one(
        {"_id": log["_id"], "attempt_id": log["attempt_id"], "status": SmsStatus.SENDING},
        {"$set": fields, "$unset": {"claimed_until": ""}},
    )
    return bool(result.modified_count)


async def requeue(log: Row, *, at: datetime, error_code: int | None = None) -> None:
    """Puts a claimed or unknown message back into the queue, unless another attempt has begun."""
    claimed_or_unknown = {"$in": [SmsStatus.SENDING, SmsStatus.UNKNOWN]}
    fields: Document = {"status": SmsStatus.QUEUED, "not_before": at, "updated_at": utc_now()}
    if error_code:
        fields["error_code"] = error_code
    await logs().update_one(
        {"_id": log["_id"], "attempt_id": log["attempt_id"], "status": claimed_or_unknown},
        {"$set": fields, "$unset": {"claimed_until": "", "reconcile_at": ""}},
    )


# Reconciliation


def find_lapsed() -> AsyncIterable[Document]:
    """Finds the messages whose claim has lapsed: the process that claimed them died or stalled."""
    return logs().find({"claimed_until": {"$gt": EPOCH, "$lte": utc_now()}, "status": SmsStatus.SENDING})


async def claim_unknown(lease: timedelta) -> Document | None:
    """Claims an unknown message that is due for reconciliation; nobody else gets it during the lease."""
    now = utc_now()
    return await logs().find_one_and_update(
        {"reconcile_at": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.UNKNOWN},
        {"$set": {"reconcile_at": now + lease}},
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
    paces = SenderPace.get_pymongo_collection()
    try:
        before = await paces.find_one_and_update({"_id": sender}, update, upsert=True)
    except DuplicateKeyError:  # two processes created the document at once; now it exists
        before = await paces.find_one_and_update({"_id": sender}, update, upsert=True)
    return before["used"] if before and before["second"] == second else 0
