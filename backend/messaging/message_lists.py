"""Reading the log, and the list of those whom a person should call."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo import ReturnDocument

from backend.accounts.documents import Role, User
from backend.core.clock import utc_now
from backend.core.http.errors import NotFound
from backend.core.http.pagination import after, encode_cursor
from backend.messaging.documents import SmsKind, SmsLog, SmsStatus
from backend.scheduling.access import clinics_of

_BY_CREATION = (("created_at", datetime), ("_id", ObjectId))
_BY_TROUBLE = (("call_list.since", datetime), ("_id", ObjectId))


class CallNotFound(NotFound):
    """No such entry of the list, or not for the caller, or resolved already."""

    code = "CALL_NOT_FOUND"
    detail = "There is no such open entry, or not for you."


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """What the log is narrowed to. Times are UTC, `until` exclusive."""

    patient_id: PydanticObjectId | None = None
    appointment_id: PydanticObjectId | None = None
    kind: SmsKind | None = None
    status: SmsStatus | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self) -> dict[str, Any]:
        """The filter."""
        names = ("patient_id", "appointment_id", "kind", "status")
        wanted: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name)}
        span = {"$gte": self.since, "$lt": self.until}
        if given := {operator: moment for operator, moment in span.items() if moment}:
            wanted["created_at"] = given
        return wanted


async def list_logs(
    filters: LogFilters, *, limit: int, cursor: str | None
) -> tuple[list[SmsLog], str | None]:
    """A page of the log, newest first, and the cursor of the next."""
    query = {"$and": [filters.query(), after(cursor, *_BY_CREATION, descending=True)]}
    found = await SmsLog.find(query).sort("-created_at", "-_id").limit(limit + 1).to_list()
    page = found[:limit]
    return page, encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None


def _in_sight(caller: User) -> dict[str, Any]:
    if caller.role is Role.DOCTOR:
        return {"doctor_id": caller.user_id}
    return {} if caller.role is Role.ADMIN else {"clinic_id": {"$in": clinics_of(caller)}}


async def list_calls(caller: User, *, limit: int, cursor: str | None) -> tuple[list[SmsLog], str | None]:
    """A page of the open entries that the caller may see, newest first, and the cursor of the next."""
    query = {
        "$and": [
            {"call_list.is_open": True},
            _in_sight(caller),
            after(cursor, *_BY_TROUBLE, descending=True),
        ]
    }
    found = await SmsLog.find(query).sort("-call_list.since", "-_id").limit(limit + 1).to_list()
    page = found[:limit]
    more = len(found) > limit and page[-1].call_list is not None
    return page, encode_cursor(page[-1].call_list.since, page[-1].id) if more and page[-1].call_list else None


async def resolve(caller: User, entry_id: PydanticObjectId) -> SmsLog:
    """Takes an entry off the list. Raises `CallNotFound`."""
    raw = await SmsLog.get_pymongo_collection().find_one_and_update(
        {"_id": entry_id, "call_list.is_open": True, **_in_sight(caller)},
        {
            "$set": {
                "call_list.is_open": False,
                "call_list.resolved_at": utc_now(),
                "call_list.resolved_by": caller.user_id,
            }
        },
        return_document=ReturnDocument.AFTER,
    )
    if raw is None:
        raise CallNotFound
    resolved: SmsLog = SmsLog.model_validate(raw)
    return resolved
