"""Reading appointments, always within what the caller may see."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beanie import PydanticObjectId
from fastapi import Response

from backend.accounts.documents import Role, User
from backend.appointments import repository
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged, AppointmentNotFound
from backend.appointments.permissions import cache_scope, visible_to
from backend.appointments.schemas import APPOINTMENT_ROWS
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.http.json_rows import written
from backend.core.http.pagination import BY_START, PageRequest, after
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.directory.errors import PatientNotFound
from backend.directory.patients import get_patient

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of a list."""

    status: tuple[Status, ...] = ()
    times: TimeRange = ALL_TIMES
    doctor_id: PydanticObjectId | None = None
    patient_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None

    def query(self) -> dict[str, Any]:
        """Returns the MongoDB filter. It always has `start`, which blocks of withdrawn seats don't have."""
        asked = self.times.query("start", day="$clinic_day")
        wanted = {**asked, "start": {"$gte": _BEGINNING, **asked.get("start", {})}}
        if self.status:
            wanted["status"] = {"$in": self.status}
        for field in ("doctor_id", "patient_id", "clinic_id"):
            if (value := getattr(self, field)) is not None:
                wanted[field] = value
        return wanted


async def list_appointments(
    caller: User, filters: Filters, page: PageRequest, *, newest_first: bool = False
) -> Response:
    """Returns a page of the appointments the caller may see, by start, as `Page[AppointmentRow]`. Raises `BadCursor`.

    It comes from the response cache if none of the caller's appointments has changed since.
    """

    async def read() -> Cacheable[bytes]:
        json = await _read_page(caller, filters, page, newest_first=newest_first)
        return Cacheable(json, depends_on=scope)

    scope = cache_scope(caller)
    key = ("appointments", caller.role, scope, filters, page, newest_first)
    return written(await response_cache.load(key, read))


async def _read_page(caller: User, filters: Filters, page: PageRequest, *, newest_first: bool) -> bytes:
    position = after(page, *BY_START, descending=newest_first)
    where = {"$and": [visible_to(caller), filters.query(), position]}
    fields, limit = APPOINTMENT_ROWS.projection, page.limit + 1
    rows = await repository.find_rows(where, fields=fields, newest_first=newest_first, limit=limit)
    return APPOINTMENT_ROWS.page(*page.cut(rows, lambda row: (row["start"], row["_id"])))


async def list_of_patient(
    caller: User,
    patient_id: PydanticObjectId,
    page: PageRequest,
    *,
    status: tuple[Status, ...],
    newest_first: bool,
) -> Response:
    """Returns a page of one patient's appointments that the caller may see. Raises `PatientNotFound`."""
    if caller.role is Role.PATIENT and patient_id != caller.user_id:
        raise PatientNotFound
    await get_patient(patient_id)
    filters = Filters(patient_id=patient_id, status=status)
    return await list_appointments(caller, filters, page, newest_first=newest_first)


async def get_appointment(
    caller: User, appointment_id: PydanticObjectId, *, version: int | None = None
) -> Appointment:
    """Returns an appointment the caller may see. Raises `AppointmentNotFound`.

    With `version`, raises `AppointmentChanged` unless it is the present one.
    """
    found = await repository.find(appointment_id, scope=visible_to(caller))
    if found is None:
        raise AppointmentNotFound
    if version is not None and version != found.version:
        raise AppointmentChanged
    return found
