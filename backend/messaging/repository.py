"""Queries and updates of the message log that lists and the call list need. See also `outbox` and `inbound`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.appointments.documents import Appointment
from backend.core.clock import utc_now
from backend.core.http.pagination import PageRequest, after
from backend.messaging.documents import CallReason, SmsKind, SmsLog, SmsStatus, call_list_entry

Document = dict[str, Any]
Filter = Mapping[str, Any]


def logs() -> AsyncCollection[Document]:
    """The collection. Only the package's repositories use it."""
    return SmsLog.get_pymongo_collection()


async def insert(message: Document) -> None:
    """Adds a message to the log. Raises `DuplicateKeyError` if a unique index refuses it."""
    await logs().insert_one(message)


async def find_one(**equal: Any) -> Document | None:
    """Returns the stored message whose fields have these values."""
    return await logs().find_one(equal)


async def find_newest(page: PageRequest, where: Filter, *, by: str) -> tuple[list[SmsLog], str | None]:
    """Returns a page of messages, the newest first by the time in the field `by`, and the cursor of the next page."""
    position = after(page, (by, datetime), ("_id", ObjectId), descending=True)
    found = SmsLog.find({"$and": [where, position]}).sort(f"-{by}", "-_id").limit(page.limit + 1)
    return page.cut(await found.to_list(), attrgetter(by, "id"))


async def resolve_call(entry_id: PydanticObjectId, *, by: PydanticObjectId, scope: Filter) -> SmsLog | None:
    """Closes an open entry of the call list, if it lies in the scope. Returns None if there is none."""
    closed = {"is_open": False, "resolved_at": utc_now(), "resolved_by": by}
    raw = await logs().find_one_and_update(
        {"_id": entry_id, "call_list.is_open": True, **scope},
        {"$set": {f"call_list.{field}": value for field, value in closed.items()}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else SmsLog.model_validate(raw)


async def add_missed_deadline_to_call_list(appointment: Appointment) -> None:
    """Puts the reminder that requested a confirmation on the call list."""
    request = {
        "appointment_id": appointment.id,
        "kind": SmsKind.REMINDER,
        "reschedule_count": appointment.reschedule_count,
        "requests_confirmation": True,
    }
    await logs().update_one(request, {"$set": call_list_entry(CallReason.DEADLINE_MISSED, utc_now())})


async def correct_zone(appointment_ids: Sequence[PydanticObjectId], *, time_zone: str) -> None:
    """Sets the time zone of messages about appointments.

    Messages that wait are looked at again at once: quiet hours may have ended on the new clock. Those that the
    carrier has refused keep their next time.
    """
    about = {"appointment_id": {"$in": appointment_ids}}
    await logs().update_many(about, {"$set": {"time_zone": time_zone}})
    waiting = {**about, "status": SmsStatus.QUEUED, "attempts": 0}
    await logs().update_many(waiting, {"$set": {"not_before": utc_now()}})


# Merging two records of a patient


async def count_of_patient(patient_id: PydanticObjectId) -> int:
    """Returns how many messages are about a patient."""
    return await logs().count_documents({"patient_id": patient_id})


async def move_all(patient_id: PydanticObjectId, *, to: PydanticObjectId) -> int:
    """Gives all messages of a patient to another record; returns how many. Safe to repeat."""
    update = {"$set": {"patient_id": to}, "$push": {"merged_from": patient_id}}
    return (await logs().update_many({"patient_id": patient_id}, update)).modified_count


async def move_back(patient_id: PydanticObjectId, *, to: PydanticObjectId, about: Sequence[PydanticObjectId]) -> int:
    """Gives back the messages that came from a record, and those about its appointments; returns how many."""
    theirs = [{"merged_from": to}, {"appointment_id": {"$in": about}}]
    update = {"$set": {"patient_id": to}, "$pull": {"merged_from": to}}
    return (await logs().update_many({"patient_id": patient_id, "$or": theirs}, update)).modified_count
