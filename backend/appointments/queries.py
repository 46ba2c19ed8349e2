"""Reading appointments, always within what the caller may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from beanie import PydanticObjectId
from fastapi import Response

from backend.accounts.documents import Language, Role, User
from backend.appointments import repository
from backend.appointments.documents import ActorRole, Appointment, Status
from backend.appointments.errors import AppointmentChanged, AppointmentNotFound
from backend.appointments.lifecycle import AllowedAction, allowed_actions, confirm_opens
from backend.appointments.permissions import Scope, check_not_own, left_to_colleagues, scope_of, visible_to
from backend.appointments.schemas import APPOINTMENT_ROWS
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.clock import EPOCH, utc_now
from backend.core.http.json_rows import written
from backend.core.http.pagination import BY_START, PageRequest, after
from backend.core.http.time_range import ALL_TIMES, TimeRange
from backend.directory.clinics import get_clinic, read_clinics
from backend.directory.visit_types.service import get_visit_type
from backend.patients.merging.resolving import records_of
from backend.patients.records import get_patient, visible_patients
from backend.scheduling.decisions.documents import DecisionCause

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
    caller: User, filters: Filters, page: PageRequest, *, newest_first: bool = False, with_actions: bool = False
) -> Response:
    """Returns a page of the appointments the caller may see, by start, as `Page[AppointmentRow]`. Raises `BadCursor`.

    It comes from the response cache if none of the caller's appointments has changed since. With the actions that
    the caller can take it is always read: they depend on the clinics' policies, and on the moment.
    """

    async def read() -> Cacheable[bytes]:
        json = await _read_page(caller, scope, filters, page, newest_first=newest_first)
        return Cacheable(json, depends_on=scope.depends_on)

    scope = await scope_of(caller)
    if with_actions:
        return written(await _read_page(caller, scope, filters, page, newest_first=newest_first, with_actions=True))
    key = ("appointments", caller.role, scope.depends_on, filters, page, newest_first)
    return written(await response_cache.load(key, read))


async def _read_page(
    caller: User,
    scope: Scope,
    filters: Filters,
    page: PageRequest,
    *,
    newest_first: bool,
    with_actions: bool = False,
) -> bytes:
    position = after(page, *BY_START, descending=newest_first)
    where = {"$and": [scope.where, filters.query(), position]}
    fields, limit = dict(APPOINTMENT_ROWS.projection), page.limit + 1
    if with_actions:
        fields |= _FOR_ACTIONS
    if caller.role is Role.PATIENT:
        del fields["needs_decision"], fields["overbook_why"]  # the clinic's affairs
    found = await repository.find_rows(where, fields=fields, newest_first=newest_first, limit=limit)
    rows, next_cursor = page.cut(found, lambda row: (row["start"], row["_id"]))
    if with_actions:
        await _add_allowed_actions(caller, rows)
    return APPOINTMENT_ROWS.page(rows, next_cursor)


@dataclass(slots=True)
class _Step:
    """A line of the history, as far as `lifecycle` reads it."""

    status: Status
    at: datetime
    start: datetime | None = None


@dataclass(slots=True)
class _Recorded:
    """A stored appointment, as far as `lifecycle` reads it. Building the model takes ten times as long."""

    start: datetime
    end: datetime
    status: Status
    created_at: datetime
    history: Sequence[_Step]
    confirmation_requested_at: datetime | None = None
    needs_decision: list[DecisionCause] | None = None
    cancellation_notice_minutes: int | None = None

    @property
    def time_taken_at(self) -> datetime:
        """When it was booked, or last rescheduled. UTC."""
        return max((step.at for step in self.history if step.start is not None), default=self.created_at)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "_Recorded":
        """Takes the fields from a stored document."""
        given = {name: row[name] for name in cls.__slots__ if name in row}
        history = [_Step(**{**step, "status": Status(step["status"])}) for step in row["history"]]
        return cls(**{**given, "status": Status(row["status"]), "history": history})


_FOR_ACTIONS = {
    **{name: 1 for name in _Recorded.__slots__ if name != "history"},
    **{f"history.{name}": 1 for name in _Step.__slots__},
}


async def _add_allowed_actions(caller: User, rows: Sequence[dict[str, Any]]) -> None:
    """Adds to stored appointments what the caller can do with each, as the response to reading one says it."""
    clinics = await read_clinics({row["clinic_id"] for row in rows})
    rules = {clinic_id: clinic.rules for clinic_id, clinic in clinics.items()}
    own, role, now = await left_to_colleagues(caller), ActorRole(caller.role.value), utc_now()
    for row in rows:
        found: Sequence[AllowedAction] = ()
        if row["patient_id"] not in own:
            found = allowed_actions(_Recorded.of(row), role=role, now=now, rules=rules[row["clinic_id"]])
        row["allowed_actions"] = [
            {"action": each.action, "status": each.status, "from": each.since, "until": each.until} for each in found
        ]


async def list_of_patient(
    caller: User,
    patient_id: PydanticObjectId,
    page: PageRequest,
    *,
    status: tuple[Status, ...],
    newest_first: bool,
    with_actions: bool,
) -> Response:
    """Returns a page of one patient's appointments that the caller may see. Raises `PatientNotFound`."""
    patient = await get_patient(patient_id, where=await visible_patients(caller))
    filters = Filters(patient_ids=await records_of(patient.patient_id), status=status)
    return await list_appointments(caller, filters, page, newest_first=newest_first, with_actions=with_actions)


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


async def get_appointment_to_change(
    caller: User, appointment_id: PydanticObjectId, *, version: int | None = None
) -> Appointment:
    """Returns what `get_appointment` does, or raises `OwnAppointment` if it is for a colleague to change."""
    found = await get_appointment(caller, appointment_id, version=version)
    await check_not_own(caller, found.patient_id)
    return found
