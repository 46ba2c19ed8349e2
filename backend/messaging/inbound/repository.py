"""Every query and update of inbound messages: patients' replies, their claims, and what they answer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo import ReturnDocument

from backend.core.clock import EPOCH, utc_now
from backend.messaging.documents import CallReason, SmsDirection, SmsKind, SmsStatus
from backend.messaging.repository import Document, logs


async def claim_lapsed(lease: timedelta, **which: ObjectId) -> Document | None:
    """Claims a reply whose claim has lapsed before it was handled: any, or the one with this `_id`."""
    now = utc_now()
    lapsed = {"claimed_until": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.RECEIVED}
    update = {"$set": {"claimed_until": now + lease}}
    return await logs().find_one_and_update({**which, **lapsed}, update, return_document=ReturnDocument.AFTER)


async def mark_handled(reply: Document, fields: dict[str, Any], *, now: datetime) -> bool:
    """Records what a reply was answered. Returns False if another process has claimed it meanwhile."""
    result = await logs().update_one(
        {"_id": reply["_id"], "claimed_until": reply["claimed_until"]},
        {"$set": {"handled_at": now, "updated_at": now, **fields}, "$unset": {"claimed_until": ""}},
    )
    return result.modified_count > 0


async def count_from(phone: str, *, since: datetime, limit: int) -> int:
    """Returns how many messages came from a number after a moment, but no more than `limit`."""
    inbound = {"phone": phone, "created_at": {"$gt": since}, "direction": SmsDirection.INBOUND}
    return await logs().count_documents(inbound, limit=limit)


async def count_not_understood(reply: Document, *, limit: int) -> int:
    """Returns how many replies of the day before one, from its number, we didn't understand; at most `limit`."""
    earlier = {
        "phone": reply["phone"],
        "created_at": {"$gt": reply["created_at"] - timedelta(days=1), "$lte": reply["created_at"]},
        "direction": SmsDirection.INBOUND,
        "not_understood": True,
        "_id": {"$ne": reply["_id"]},
    }
    return await logs().count_documents(earlier, limit=limit)


async def close_calls_about_replies(reason: CallReason, *, now: datetime, **which: Any) -> None:
    """Takes replies off the call list that are there for a reason: the patient has since written something better."""
    is_open = {
        **which,
        "direction": SmsDirection.INBOUND,
        "call_list.is_open": True,
        "call_list.reason": reason,
    }
    await logs().update_many(is_open, {"$set": {"call_list.is_open": False, "call_list.resolved_at": now}})


async def find_reminders(
    patient_ids: Sequence[PydanticObjectId], phone: str, *, starting_after: datetime, created_by: datetime
) -> list[Document]:
    """Returns the last reminders that were, or may have been, sent to patients at a phone; the newest first."""
    maybe_sent = {
        "patient_id": {"$in": list(patient_ids)},
        "kind": SmsKind.REMINDER,
        "status": {"$in": [SmsStatus.SENT, SmsStatus.DELIVERED, SmsStatus.SENDING, SmsStatus.UNKNOWN]},
        "phone": phone,
        "start": {"$gt": starting_after},
        "created_at": {"$lte": created_by},
    }
    return await logs().find(maybe_sent, sort=[("created_at", -1), ("_id", -1)], limit=20).to_list()
