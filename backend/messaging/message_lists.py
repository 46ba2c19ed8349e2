"""Reads the message log, and keeps the staff's call list."""

from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.core.http.pagination import Page, PageRequest
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.messaging import repository
from backend.messaging.documents import SmsKind, SmsStatus
from backend.messaging.errors import CallNotFound
from backend.messaging.schemas import CallListEntryOut, SmsLogOut
from backend.patients.merging.resolving import surviving_id
from backend.scheduling.access import clinics_of

_ZONE = {"$ifNull": ["$time_zone", "UTC"]}
_DAY = {"$dateToString": {"date": "$created_at", "format": "%Y-%m-%d", "timezone": _ZONE}}


async def list_logs(
    page: PageRequest,
    *,
    patient_id: PydanticObjectId | None = None,
    appointment_id: PydanticObjectId | None = None,
    kind: SmsKind | None = None,
    status: SmsStatus | None = None,
    times: TimeRange = ALL_TIMES,
) -> Page[SmsLogOut]:
    """Returns a page of the log, newest first."""
    if patient_id is not None:
        patient_id = await surviving_id(patient_id)
    wanted = {"patient_id": patient_id, "appointment_id": appointment_id, "kind": kind, "status": status}
    where: dict[str, Any] = {field: value for field, value in wanted.items() if value is not None}
    where |= times.query("created_at", day=_DAY)
    found, next_cursor = await repository.find_newest(page, where, by="created_at")
    return Page(items=[SmsLogOut.of(log) for log in found], next_cursor=next_cursor)


async def list_calls(caller: User, page: PageRequest) -> Page[CallListEntryOut]:
    """Returns a page of the open entries that the caller may see, newest first."""
    where = {"call_list.is_open": True, **_scope_of(caller)}
    found, next_cursor = await repository.find_newest(page, where, by="call_list.since")
    return Page(items=[CallListEntryOut.of(log) for log in found], next_cursor=next_cursor)


async def resolve_call(caller: User, entry_id: PydanticObjectId) -> CallListEntryOut:
    """Marks a call as made. Raises `CallNotFound`."""
    resolved = await repository.resolve_call(entry_id, by=caller.user_id, scope=_scope_of(caller))
    if resolved is None:
        raise CallNotFound
    return CallListEntryOut.of(resolved)


def _scope_of(caller: User) -> dict[str, Any]:
    """The filter for the entries a member of staff may see."""
    if caller.role is Role.DOCTOR:
        return {"doctor_id": caller.user_id}
    return {} if caller.role is Role.ADMIN else {"clinic_id": {"$in": clinics_of(caller)}}
