"""Creating, finding and changing patients."""

from collections.abc import Mapping
from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository
from backend.accounts.access import is_staff
from backend.accounts.documents import Role, User
from backend.accounts.errors import PhoneRequired
from backend.accounts.profiles import PatientProfile
from backend.accounts.user_search import search_filter
from backend.accounts.users import create_user, deactivate_user, update_user, user_deactivated
from backend.core.events import Signal
from backend.core.http.pagination import PageRequest
from backend.directory.doctors import require_active_doctor
from backend.directory.errors import EmailRequired, FieldNotAllowed, PatientNotFound
from backend.directory.schemas import NewPatient, PatientPatch

patient_deactivated: Signal[User] = Signal()
"""Sent after each request to deactivate a patient, as a patient or as an account."""

_IS_PATIENT = {"role": Role.PATIENT}
_IN_LISTS = (
    *("name", "email", "phone", "role", "is_active"),
    *("patient.date_of_birth", "patient.assigned_doctor_id"),
)
_FOR_STAFF = frozenset(("medical_history", "notes", "assigned_doctor_id"))
_FOR_FRONT_DESK = frozenset(("is_active",))
_REFUSED: dict[Role, frozenset[str]] = {
    Role.PATIENT: _FOR_STAFF | _FOR_FRONT_DESK,
    Role.DOCTOR: _FOR_FRONT_DESK,
}
"""The fields that a role may not change."""


def profile_of(patient: User) -> PatientProfile:
    """Returns the profile of a patient."""
    return patient.patient or PatientProfile()


def visible_patients(caller: User) -> dict[str, Any]:
    """Returns the filter for patients: staff see all, patients only themselves."""
    return {} if is_staff(caller) else {"_id": caller.user_id}


async def create_patient(new: NewPatient) -> User:
    """Creates an active patient without a password. Raises `UnknownDoctor`, `EmailTaken`, `PhoneTaken`."""
    if new.assigned_doctor_id is not None:
        await require_active_doctor(new.assigned_doctor_id)
    own = new.model_dump(include={"name", "email", "phone", "language"})
    return await create_user(User(**own, role=Role.PATIENT, patient=new.profile()))


async def get_patient(patient_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """Returns the patient if they also match `where` (a MongoDB filter). Raises `PatientNotFound`."""
    patient = await repository.find({"$and": [{"_id": patient_id}, _IS_PATIENT, where or {}]})
    if patient is None:
        raise PatientNotFound
    return patient


async def list_patients(
    *,
    is_active: bool = True,
    q: str | None = None,
    assigned_doctor_id: PydanticObjectId | None = None,
    page: PageRequest,
) -> tuple[list[User], str | None]:
    """Returns a page of patients by name, with the fields of `PatientRow` only, and the cursor of the next page."""
    conditions: list[Mapping[str, Any]] = [_IS_PATIENT, {"is_active": is_active}]
    if assigned_doctor_id is not None:
        conditions.append({"patient.assigned_doctor_id": assigned_doctor_id})
    if q is not None:
        conditions.append(search_filter(q))
    return await repository.find_by_name(conditions, page, fields=dict.fromkeys(_IN_LISTS, 1))


async def update_patient(
    patient_id: PydanticObjectId, body: PatientPatch, *, caller: User, version: int | None = None
) -> User:
    """Changes fields of a patient whom the caller may see; None removes one.

    Raises `PatientNotFound`, `FieldNotAllowed`, `PhoneRequired`, `EmailRequired`, `UnknownDoctor`, `EmailTaken`,
    `PhoneTaken`, and `EditConflict` if the patient has another `version`.
    """
    old = await get_patient(patient_id, where=visible_patients(caller))
    _check_fields(caller, body)
    if body.assigned_doctor_id not in (None, profile_of(old).assigned_doctor_id):
        await require_active_doctor(body.assigned_doctor_id)
    return await update_user(patient_id, body.stored_changes(), where=_IS_PATIENT, version=version)


def _check_fields(caller: User, body: PatientPatch) -> None:
    """Checks that the caller may change these fields. Patients can't remove what they log in with."""
    if refused := _REFUSED.get(caller.role, frozenset()) & body.model_fields_set:
        raise FieldNotAllowed(refused)
    if caller.role is Role.PATIENT:
        if "phone" in body.model_fields_set and body.phone is None:
            raise PhoneRequired
        if "email" in body.model_fields_set and body.email is None:
            raise EmailRequired


async def deactivate_patient(patient_id: PydanticObjectId) -> User:
    """Deactivates a patient, closes all their sessions and sends `patient_deactivated`. It may be repeated.

    Raises `PatientNotFound`.
    """
    await get_patient(patient_id)
    return await deactivate_user(patient_id, where=_IS_PATIENT)


@user_deactivated.connect
async def _on_deactivation(user: User) -> None:
    if user.role is Role.PATIENT:
        await patient_deactivated.send(user)
