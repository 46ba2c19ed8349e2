"""Reads the message log, and keeps the staff's call list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId

from backend.accounts.documents import Role, User
from backend.core.http.pagination import PageRequest, after
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.messaging import repository
from backend.messaging.documents import SmsKind, SmsLog, SmsStatus
from backend.messaging.errors import CallNotFound
from backend.scheduling.access import clinics_of

_DAY = {
    "$dateToString": {
        "date": "$created_at",
        "format": "%Y-%m-%d",
        "timezone": {"$ifNull": ["$time_zone", "UTC"]},
    }
}
_BY_CREATION = (("created_at", datetime), ("_id", ObjectId))
_BY_ENTRY = (("call_list.since", datetime), ("_id", ObjectId))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """Narrows down the log."""

    patient_id: PydanticObjectId | None = None
    appointment_id: PydanticObjectId | None = None
    kind: SmsKind | None = None
    status: SmsStatus | None = None
    times: TimeRange = ALL_TIMES

    def query(self) -> dict[str, Any]:
        """Returns the filter as MongoDB takes it."""
        names = ("patient_id", "appointment_id", "kind", "status")
        where: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name)}
        return {**where, **self.times.query("created_at", day=_DAY)}


async def list_logs(filters: LogFilters, page: PageRequest) -> tuple[list[SmsLog], str | None]:
    """Returns a page of the log, newest first, and the cursor of the next page."""
    position = after(page, *_BY_CREATION, descending=True)
    found = await repository.find_newest(filters.query(), position, limit=page.limit + 1)
    return page.cut(found, lambda log: (log.created_at, log.id))


async def list_calls(caller: User, page: PageRequest) -> tuple[list[SmsLog], str | None]:
    """Returns a page of the open entries the caller may see, newest first, and the cursor of the next page."""
    position = after(page, *_BY_ENTRY, descending=True)
    found = await repository.find_open_calls(_scope_of(caller), position, limit=page.limit + 1)
    return page.cut(found, lambda log: (log.call_list.since if log.call_list else None, log.id))


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
