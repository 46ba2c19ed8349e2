"""Reads the message log, and keeps the staff's call list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId

from backend.accounts.documents import Role, User
from backend.core.http.pagination import after, encode_cursor
from backend.messaging import repository
from backend.messaging.documents import SmsKind, SmsLog, SmsStatus
from backend.messaging.errors import CallNotFound
from backend.scheduling.access import clinics_of

_BY_CREATION = (("created_at", datetime), ("_id", ObjectId))
_BY_ENTRY = (("call_list.since", datetime), ("_id", ObjectId))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """Narrows down the log. Times are UTC, `until` is exclusive."""

    patient_id: PydanticObjectId | None = None
    appointment_id: PydanticObjectId | None = None
    kind: SmsKind | None = None
    status: SmsStatus | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self) -> dict[str, Any]:
        """Returns the filter as MongoDB takes it."""
        names = ("patient_id", "appointment_id", "kind", "status")
        where: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name)}
        span = {"$gte": self.since, "$lt": self.until}
        if given := {operator: moment for operator, moment in span.items() if moment}:
            where["created_at"] = given
        return where


async def list_logs(
    filters: LogFilters, *, limit: int, cursor: str | None
) -> tuple[list[SmsLog], str | None]:
    """Returns a page of the log, newest first, and the cursor of the next page."""
    position = after(cursor, *_BY_CREATION, descending=True)
    found = await repository.find_newest(filters.query(), position, limit=limit + 1)
    page = found[:limit]
    return page, encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None


async def list_calls(caller: User, *, limit: int, cursor: str | None) -> tuple[list[SmsLog], str | None]:
    """Returns a page of the open entries the caller may see, newest first, and the cursor of the next page."""
    position = after(cursor, *_BY_ENTRY, descending=True)
    found = await repository.find_open_calls(_scope_of(caller), position, limit=limit + 1)
    page = found[:limit]
    last = page[-1].call_list if len(found) > limit else None
    return page, encode_cursor(last.since, page[-1].id) if last else None


async def resolve_call(caller: User, entry_id: PydanticObjectId) -> SmsLog:
    """Marks a call as made. Raises `CallNotFound`."""
    resolved = await repository.resolve_call(entry_id, by=caller.user_id, scope=_scope_of(caller))
    if resolved is None:
        raise CallNotFound
    return resolved


def _scope_of(caller: User) -> dict[str, Any]:
    """The filter for the entries a member of staff may see."""
    if caller.role is Role.DOCTOR:
        return {"doctor_id": caller.user_id}
    return {} if caller.role is Role.ADMIN else {"clinic_id": {"$in": clinics_of(caller)}}
