"""Reading appointments: always inside what the caller may see."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beanie import PydanticObjectId
from fastapi import Response

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged, AppointmentNotFound
from backend.appointments.permissions import in_sight, seen_by
from backend.appointments.schemas import APPOINTMENT_ROWS
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.http.json_rows import written
from backend.core.http.pagination import BY_START, after, encode_cursor
from backend.directory.errors import PatientNotFound

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a list is narrowed to. Times are UTC, `until` exclusive."""

    status: tuple[Status, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    doctor_id: PydanticObjectId | None = None
    patient_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None

    def query(self) -> dict[str, Any]:
        """The filter. `start` is always part of it: what blocks a withdrawn seat has none."""
        wanted: dict[str, Any] = {"start": {"$gte": self.since or _BEGINNING}}
        if self.until is not None:
            wanted["start"]["$lt"] = self.until
        if self.status:
            wanted["status"] = {"$in": self.status}
        for field in ("doctor_id", "patient_id", "clinic_id"):
            if (value := getattr(self, field)) is not None:
                wanted[field] = value
        return wanted


async def list_appointments(
    caller: User, filters: Filters, *, limit: int, cursor: str | None, newest_first: bool = False
) -> Response:
    """A page of the appointments that the caller may see, by start, as `Page[AppointmentRow]`. Raises `BadCursor`.

    From memory, where nothing has happened to any of the caller's since.
    """

    async def read() -> Cacheable[bytes]:
        page = await _page(caller, filters, limit=limit, cursor=cursor, newest_first=newest_first)
        return Cacheable(page, depends_on=scope)

    scope = seen_by(caller)
    key = ("appointments", caller.role, scope, filters, limit, cursor, newest_first)
    return written(await response_cache.load(key, read))


async def _page(
    caller: User, filters: Filters, *, limit: int, cursor: str | None, newest_first: bool
) -> bytes:
    query = {"$and": [in_sight(caller), filters.query(), after(cursor, *BY_START, descending=newest_first)]}
    direction = -1 if newest_first else 1
    found = Appointment.get_pymongo_collection().find(query, APPOINTMENT_ROWS.projection)
    rows = await found.sort([("start", direction), ("_id", direction)]).limit(limit + 1).to_list()
    page = rows[:limit]
    next_cursor = encode_cursor(page[-1]["start"], page[-1]["_id"]) if len(rows) > limit else None
    return APPOINTMENT_ROWS.page(page, next_cursor)


async def list_of_patient(
    caller: User,
    patient_id: PydanticObjectId,
    *,
    status: tuple[Status, ...],
    limit: int,
    cursor: str | None,
    newest_first: bool,
) -> Response:
    """A page of one patient's appointments that the caller may see. Raises `PatientNotFound`."""
    is_other = caller.role is Role.PATIENT and patient_id != caller.user_id
    if is_other or await User.find_one({"_id": patient_id, "role": Role.PATIENT}) is None:
        raise PatientNotFound
    filters = Filters(patient_id=patient_id, status=status)
    return await list_appointments(caller, filters, limit=limit, cursor=cursor, newest_first=newest_first)


async def get_appointment(
    caller: User, appointment_id: PydanticObjectId, *, version: int | None = None
) -> Appointment:
    """An appointment that the caller may see. Raises `AppointmentNotFound`.

    With a version, raises `AppointmentChanged` unless it is the present one.
    """
    found = await Appointment.find_one({"_id": appointment_id, **in_sight(caller)})
    if found is None:
        raise AppointmentNotFound
    if version is not None and version != found.version:
        raise AppointmentChanged
    return found
