"""Creating, finding and changing the records of patients."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository as accounts
from backend.accounts.access import is_staff
from backend.accounts.documents import Role, User
from backend.accounts.errors import PhoneRequired
from backend.core.events import Signal
from backend.core.http.errors import EditConflict
from backend.core.http.pagination import PageRequest
from backend.patients import repository
from backend.patients.documents import InactiveReason, Patient
from backend.patients.duplicates import find_duplicates
from backend.patients.errors import (
    DuplicateCandidate,
    FieldNotAllowed,
    PatientNotFound,
    PossibleDuplicate,
    UnknownDoctor,
)
from backend.patients.links.acting import patients_of
from backend.patients.merging.resolving import surviving_id
from backend.patients.schemas import NewPatient, PatientPatch
from backend.patients.search import KEY_FIELDS, ending_with, patient_keys, patient_search

patient_renamed: Signal[Patient] = Signal()
"""Sent after a patient's name has changed."""

born_changed: Signal[Patient] = Signal()
"""Sent after a patient's date of birth has changed."""

patient_deactivated: Signal[Patient] = Signal()
"""Sent after each request to deactivate a patient, though they may have been inactive already."""

_TRIES = 10
_IN_LISTS = ("name", "name_key", "email", "phone", "is_active", "date_of_birth", "assigned_doctor_id")
_FOR_STAFF = frozenset(("medical_history", "notes", "assigned_doctor_id"))
_FOR_FRONT_DESK = frozenset(("is_active",))
_REFUSED: dict[Role, frozenset[str]] = {
    Role.PATIENT: _FOR_STAFF | _FOR_FRONT_DESK,
    Role.DOCTOR: _FOR_FRONT_DESK,
}
"""The fields that a role may not change."""


async def visible_patients(caller: User) -> dict[str, Any]:
    """Returns the filter for patients: staff see all, others those for whom they act."""
    if is_staff(caller):
        return {}
    return {"_id": {"$in": [each.patient_id for each in await patients_of(caller)]}}


async def create_patient(new: NewPatient) -> Patient:
    """Creates an active patient, whom no account acts for yet. Raises `UnknownDoctor`, `PossibleDuplicate`."""
    if new.assigned_doctor_id is not None:
        await require_active_doctor(new.assigned_doctor_id)
    if not new.confirm_new:
        await _refuse_duplicates(new)
    patient: Patient = Patient.model_validate(new.model_dump(mode="json", exclude={"confirm_new"}))
    patient.updated_at = patient.created_at
    await repository.insert(patient)
    return patient


async def _refuse_duplicates(new: NewPatient) -> None:
    found = await find_duplicates(name=new.name, date_of_birth=new.date_of_birth, phone=new.phone)
    if found:
        shown = ("name", "date_of_birth", "phone")
        raise PossibleDuplicate(
            [
                DuplicateCandidate.model_validate({"id": each.id, **each.model_dump(include=set(shown))})
                for each in found
            ]
        )


async def get_patient(patient_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> Patient:
    """Returns the patient if they also match `where` (a MongoDB filter). Raises `PatientNotFound`.

    The id of a record that was merged leads to the one that survived.
    """
    patient = await repository.find({"$and": [{"_id": patient_id}, where or {}]})
    if patient is None or patient.merged_into is not None:
        survivor_id = await surviving_id(patient_id)
        patient = await repository.find({"$and": [{"_id": survivor_id, "merged_into": None}, where or {}]})
    if patient is None:
        raise PatientNotFound
    return patient


async def list_patients(
    *,
    is_active: bool = True,
    q: str | None = None,
    date_of_birth: date | None = None,
    phone_ends_with: str | None = None,
    assigned_doctor_id: PydanticObjectId | None = None,
    only: Sequence[PydanticObjectId] | None = None,
    page: PageRequest,
) -> tuple[list[Patient], str | None]:
    """Returns a page of patients by name, with the fields of `PatientRow` only, and the cursor of the next page.

    Records that were merged into others are left out.
    """
    # Merged records are inactive. For active ones the index on words decides alone: it doesn't have this field.
    conditions: list[Mapping[str, Any]] = [
        {"is_active": True} if is_active else {"is_active": False, "merged_into": None}
    ]
    if assigned_doctor_id is not None:
        conditions.append({"assigned_doctor_id": assigned_doctor_id})
    if only is not None:
        conditions.append({"_id": {"$in": only}})
    if date_of_birth is not None:
        conditions.append({"date_of_birth": date_of_birth.isoformat()})
    if phone_ends_with is not None:
        conditions.append(ending_with(phone_ends_with))
    fields = dict.fromkeys(_IN_LISTS, 1)
    if q is None:
        return await repository.find_by_name(conditions, page, fields=fields)
    return await repository.find_in_ways(conditions, patient_search(q), page, fields=fields)


async def update_patient(
    patient_id: PydanticObjectId, body: PatientPatch, *, caller: User, version: int | None = None
) -> Patient:
    """Changes fields of a patient whom the caller may see; None removes one.

    Raises `PatientNotFound`, `FieldNotAllowed`, `PhoneRequired`, `UnknownDoctor`, and `EditConflict` if the patient
    has another `version`.
    """
    old = await get_patient(patient_id, where=await visible_patients(caller))
    _check_fields(caller, body)
    if body.assigned_doctor_id not in (None, old.assigned_doctor_id):
        await require_active_doctor(body.assigned_doctor_id)
    changed = await change(old.patient_id, body.stored_changes(), version=version)
    if changed is None:  # merged meanwhile
        raise EditConflict
    return changed


async def change(
    patient_id: PydanticObjectId,
    changes: Mapping[str, Any],
    *,
    where: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Patient | None:
    """Changes fields of a patient in one write, and the search words with them; None removes a field.

    Sends `patient_renamed`. Returns None if the patient doesn't match `where`, or was merged. Raises `EditConflict`
    if they have another `version`.
    """
    for _ in range(_TRIES):
        old = await repository.find({**(where or {}), "_id": patient_id, "merged_into": None})
        if old is None:
            return None
        if version not in (None, old.version):
            raise EditConflict
        new = dict(changes)
        if any(field in new for field in KEY_FIELDS):
            new |= patient_keys(**{field: new.get(field, getattr(old, field)) for field in KEY_FIELDS})
        patient = await repository.update(patient_id, new, where={**(where or {}), "version": old.version})
        if patient is not None:
            break
    else:
        raise EditConflict
    if patient.date_of_birth != old.date_of_birth:
        await born_changed.send(patient)
    if patient.name != old.name:
        await patient_renamed.send(patient)
    return patient


def _check_fields(caller: User, body: PatientPatch) -> None:
    """Checks that the caller may change these fields. Patients can't remove the phone that gets their reminders."""
    if refused := _REFUSED.get(caller.role, frozenset()) & body.model_fields_set:
        raise FieldNotAllowed(refused)
    if caller.role is Role.PATIENT and "phone" in body.model_fields_set and body.phone is None:
        raise PhoneRequired


async def deactivate_patient(patient_id: PydanticObjectId, *, reason: InactiveReason | None = None) -> Patient:
    """Deactivates a patient and sends `patient_deactivated`. It may be repeated. Raises `PatientNotFound`."""
    why = {} if reason is None else {"inactive_reason": reason}
    survivor_id = await surviving_id(patient_id)
    deactivated = await repository.update(survivor_id, {"is_active": False, **why}, where={})
    if deactivated is None:
        raise PatientNotFound
    await patient_deactivated.send(deactivated)
    return deactivated


async def require_active_doctor(doctor_id: PydanticObjectId) -> None:
    """Raises `UnknownDoctor` unless this is the id of an active doctor."""
    if not await accounts.exists({"_id": doctor_id, "role": Role.DOCTOR, "is_active": True}):
        raise UnknownDoctor
