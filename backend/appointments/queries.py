"""Reading appointments, always within what the caller may see."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beanie import PydanticObjectId
from fastapi import Response

from backend.accounts.documents import Language, Role, User
from backend.appointments import repository
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged, AppointmentNotFound
from backend.appointments.lifecycle import confirm_opens
from backend.appointments.permissions import Scope, scope_of, visible_to
from backend.appointments.schemas import APPOINTMENT_ROWS
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.clock import EPOCH, utc_now
from backend.core.http.json_rows import written
from backend.core.http.pagination import BY_START, PageRequest, after
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.directory.clinics import get_clinic
from backend.directory.visit_types.service import get_visit_type
from backend.patients.merging.resolving import records_of
from backend.patients.records import get_patient, visible_patients

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of a list."""

    status: tuple[Status, ...] = ()
    times: TimeRange = ALL_TIMES
    doctor_id: PydanticObjectId | None = None
    patient_ids: tuple[PydanticObjectId, ...] = ()
    """All records of a patient."""
    clinic_id: PydanticObjectId | None = None
    needs_decision: bool = False

    def query(self) -> dict[str, Any]:
        """Returns the MongoDB filter. It always has `start`, which blocks of withdrawn seats don't have."""
        asked = self.times.query("start", day="$clinic_day")
        wanted = {**asked, "start": {"$gte": _BEGINNING, **asked.get("start", {})}}
        if self.needs_decision:
            wanted["needs_decision.since"] = {"$gt": EPOCH}
        if self.status:
            wanted["status"] = {"$in": self.status}
        if self.patient_ids:
            wanted["patient_id"] = {"$in": self.patient_ids} if len(self.patient_ids) > 1 else self.patient_ids[0]
        for field in ("doctor_id", "clinic_id"):
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
        json = await _read_page(caller, scope, filters, page, newest_first=newest_first)
        return Cacheable(json, depends_on=scope.depends_on)

    scope = await scope_of(caller)
    key = ("appointments", caller.role, scope.depends_on, filters, page, newest_first)
    return written(await response_cache.load(key, read))


async def _read_page(caller: User, scope: Scope, filters: Filters, page: PageRequest, *, newest_first: bool) -> bytes:
    position = after(page, *BY_START, descending=newest_first)
    where = {"$and": [scope.where, filters.query(), position]}
    fields, limit = dict(APPOINTMENT_ROWS.projection), page.limit + 1
    if caller.role is Role.PATIENT:
        del fields["needs_decision"], fields["overbook_why"]  # the clinic's affairs
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
    patient = await get_patient(patient_id, where=await visible_patients(caller))
    filters = Filters(patient_ids=await records_of(patient.patient_id), status=status)
    return await list_appointments(caller, filters, page, newest_first=newest_first)


async def language_of_clinic(appointment: Appointment) -> Language:
    """Returns the language of the appointment's clinic."""
    return (await get_clinic(appointment.clinic_id)).language


async def telehealth_url_for(caller: User, appointment: Appointment) -> str | None:
    """Returns the link of a visit that takes place online, to the patient alone and only around its time.

    That is from when it can be confirmed until its end.
    """
    is_patient = caller.role is Role.PATIENT  # who sees the appointments of those they act for, and no others
    if appointment.visit_type_id is None or not (is_patient and appointment.active):
        return None
    visit_type, clinic = await get_visit_type(appointment.visit_type_id), await get_clinic(appointment.clinic_id)
    is_time = confirm_opens(appointment, clinic.rules) <= utc_now() < appointment.end
    return visit_type.telehealth_url if is_time else None


async def get_appointment(
    caller: User, appointment_id: PydanticObjectId, *, version: int | None = None
) -> Appointment:
    """Returns an appointment the caller may see. Raises `AppointmentNotFound`.

    With `version`, raises `AppointmentChanged` unless it is the present one.
    """
    found = await repository.find(appointment_id, scope=await visible_to(caller))
    if found is None:
        raise AppointmentNotFound
    if version is not None and version != found.version:
        raise AppointmentChanged
    return found
