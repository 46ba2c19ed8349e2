"""Queries and updates of the message log that lists and the call list need. See also `outbox` and `inbound`."""

from collections.abc import Mapping
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.core.clock import utc_now
from backend.messaging.documents import CallReason, SmsKind, SmsLog, call_list_entry

Document = dict[str, Any]
Filter = Mapping[str, Any]


def logs() -> AsyncCollection[Document]:
    """The collection. Only the package's repositories use it."""
    return SmsLog.get_pymongo_collection()


async def find_newest(*filters: Filter, limit: int) -> list[SmsLog]:
    """Returns the messages that match all filters, newest first."""
    return await SmsLog.find({"$and": list(filters)}).sort("-created_at", "-_id").limit(limit).to_list()


async def find_open_calls(*filters: Filter, limit: int) -> list[SmsLog]:
    """Returns the messages with an open entry on the call list that match all filters, newest entry first."""
    where = {"$and": [{"call_list.is_open": True}, *filters]}
    return await SmsLog.find(where).sort("-call_list.since", "-_id").limit(limit).to_list()


async def resolve_call(entry_id: PydanticObjectId, *, by: PydanticObjectId, scope: Filter) -> SmsLog | None:
    """Closes an open entry of the call list, if it lies in the scope. Returns None if there is none."""
    raw = await logs().find_one_and_update(
        {"_id": entry_id, "call_list.is_open": True, **scope},
        {
            "$set": {
                "call_list.is_open": False,
                "call_list.resolved_at": utc_now(),
                "call_list.resolved_by": by,
            }
        },
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else SmsLog.model_validate(raw)


async def add_missed_deadline_to_call_list(
    appointment_id: PydanticObjectId, *, reschedule_count: int
) -> None:
    """Puts the reminder that requested a confirmation on the call list."""
    request = {
        "appointment_id": appointment_id,
        "kind": SmsKind.REMINDER,
        "reschedule_count": reschedule_count,
        "requests_confirmation": True,
    }
    await logs().update_one(request, {"$set": call_list_entry(CallReason.DEADLINE_MISSED, utc_now())})
