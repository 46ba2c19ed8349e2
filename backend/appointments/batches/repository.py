"""Every query and update of batches, and of their appointments while it isn't decided whether they are booked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.appointments.batches.documents import Batch, BatchState
from backend.appointments.documents import Appointment, PendingMessage
from backend.core.clock import EPOCH

Document = dict[str, Any]

_MAX_TRIES = 5


def _batches() -> AsyncCollection[Document]:
    return Batch.get_pymongo_collection()


def _appointments() -> AsyncCollection[Document]:
    return Appointment.get_pymongo_collection()


async def insert(batch: Batch) -> None:
    """Stores a new batch. Raises `DuplicateKeyError` if its creator has used the key."""
    await batch.insert()


async def find_by_key(created_by: PydanticObjectId, key: str) -> Batch | None:
    """Returns the batch of an account's earlier request with this key. One that was given back has lost its key."""
    return await Batch.find_one({"created_by": created_by, "idempotency_key": key})


async def commit(batch_id: PydanticObjectId) -> bool:
    """Commits a batch; False if it was given back meanwhile."""
    is_open = {"_id": batch_id, "state": BatchState.OPEN}
    result = await _batches().update_one(is_open, {"$set": {"state": BatchState.COMMITTED}})
    return result.matched_count > 0


async def begin_giving_back(batch_id: PydanticObjectId) -> bool:
    """Decides that a batch is given back, unless it was committed. Its key can be used again at once."""
    undecided = {"_id": batch_id, "state": {"$ne": BatchState.COMMITTED}}
    update = {"$set": {"state": BatchState.GIVEN_BACK}, "$unset": {"idempotency_key": ""}}
    return (await _batches().update_one(undecided, update)).matched_count > 0


async def mark_finished(batch_id: PydanticObjectId) -> None:
    """Records that nothing is left to do about a batch."""
    await _batches().update_one({"_id": batch_id}, {"$unset": {"due_at": ""}})


async def delete(batch_id: PydanticObjectId) -> None:
    """Deletes a batch of which nothing is left."""
    await _batches().delete_one({"_id": batch_id})


async def claim_due(now: datetime, *, again_at: datetime) -> Batch | None:
    """Claims a batch that its process left unfinished, until `again_at`; None if there is none."""
    due = {"due_at": {"$gt": EPOCH, "$lte": now}}
    raw = await _batches().find_one_and_update(due, {"$set": {"due_at": again_at}}, sort=[("due_at", 1)])
    return None if raw is None else Batch.model_validate(raw)


async def find_appointments(batch: Batch) -> Sequence[Document]:
    """Returns the stored appointments of a batch, in the order of the request."""
    found = await _appointments().find({"_id": {"$in": batch.appointment_ids}}).to_list()
    by_id = {row["_id"]: row for row in found}
    return [by_id[each] for each in batch.appointment_ids]


async def book_all(batch: Batch, message: PendingMessage, *, now: datetime) -> None:
    """Makes the appointments of a committed batch what any booking makes, with its message. Safe to repeat."""
    # Who is booked into a slot that has begun is there, and needs no message.
    messages = {"$cond": [{"$gt": ["$start", now]}, [{"$literal": message.model_dump()}], []]}
    booked = {"pending_messages": messages, "remind_at": now, "reminded_until": now, "updated_at": now}
    await _appointments().update_many(
        {"_id": {"$in": batch.appointment_ids}, "open_batch_id": batch.id},
        [{"$set": booked}, {"$unset": "open_batch_id"}],
    )


async def erase(appointment_id: PydanticObjectId, *, expires_at: datetime) -> Document | None:
    """Leaves nothing of an appointment but its id, and returns what it was; None if it was never inserted.

    The id stays taken until `expires_at`, so that a slow process can't insert the appointment any more.
    """
    erased = {"_id": appointment_id, "active": False, "expires_at": expires_at}
    for attempt in range(_MAX_TRIES):
        try:
            found = await _appointments().find_one_and_update(
                {"_id": appointment_id},
                [{"$replaceWith": {"$literal": erased}}],
                upsert=True,
                return_document=ReturnDocument.BEFORE,
            )
        except DuplicateKeyError:  # it was inserted in this very moment
            if attempt == _MAX_TRIES - 1:
                raise
        else:
            return found if found and "patient_id" in found else None
    return None
