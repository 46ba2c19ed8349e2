"""Creating, finding and changing doctors. Hours, leave and slots are in `scheduling`."""

from collections.abc import Mapping
from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository
from backend.accounts.documents import Role, User
from backend.accounts.profiles import DoctorProfile
from backend.accounts.users import create_user, deactivate_user, update_user, user_renamed
from backend.core.events import Signal
from backend.core.http.pagination import PageRequest
from backend.core.mongo.text_search import fold, starting_with, words_of
from backend.directory.clinics import require_active_clinics
from backend.directory.departments import require_active_department
from backend.directory.errors import DoctorNotFound
from backend.directory.repository import find_clinic_ids
from backend.directory.schemas import NewDoctor

doctor_created: Signal[User] = Signal()
"""Sent after a doctor was created. `scheduling` then opens slots."""

_IS_DOCTOR = {"role": Role.DOCTOR}
_NOT_IN_LISTS = dict.fromkeys(
    ("password_hash", "sessions", "search_words", "doctor.weekly_hours", "doctor.search_words"), 0
)
_OF_PROFILE = DoctorProfile.model_fields.keys() & NewDoctor.model_fields.keys()


def profile_of(doctor: User) -> DoctorProfile:
    """Returns the profile of a doctor."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    return doctor.doctor


async def create_doctor(new: NewDoctor) -> User:
    """Creates an active doctor with the default hours, and sends `doctor_created`.

    Raises `UnknownClinic`, `UnknownDepartment`, `EmailTaken`, `LicenseTaken`.
    """
    await require_active_clinics(new.clinic_ids)
    if new.department_id is not None:
        await require_active_department(new.department_id)
    profile = DoctorProfile(
        **new.model_dump(include=_OF_PROFILE),
        specialty_key=fold(new.specialty),
        search_words=words_of(new.name, new.specialty),
    )
    own = new.model_dump(exclude={"password", *_OF_PROFILE})
    doctor = User(**own, role=Role.DOCTOR, doctor=profile)
    await create_user(doctor, password=new.password.get_secret_value())
    await doctor_created.send(doctor)
    return doctor


async def get_doctor(doctor_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """Returns the doctor if they also match `where` (a MongoDB filter). Raises `DoctorNotFound`."""
    doctor = await repository.find({**(where or {}), **_IS_DOCTOR, "_id": doctor_id})
    if doctor is None:
        raise DoctorNotFound
    return doctor


async def list_doctors(
    *,
    where: Mapping[str, Any] | None = None,
    is_active: bool = True,
    specialty: str | None = None,
    clinic_id: PydanticObjectId | None = None,
    department_id: PydanticObjectId | None = None,
    city: str | None = None,
    q: str | None = None,
    page: PageRequest,
) -> tuple[list[User], str | None]:
    """Returns a page of doctors by name, without password and weekly hours, and the cursor of the next page.

    `city` is that of an active clinic; `q` searches names and specialties, never e-mails and phones.
    """
    conditions: list[Mapping[str, Any]] = [where or {}, _IS_DOCTOR, {"is_active": is_active}]
    if specialty is not None:
        conditions.append({"doctor.specialty_key": fold(specialty)})
    if clinic_id is not None:
        conditions.append({"doctor.clinic_ids": clinic_id})
    if department_id is not None:
        conditions.append({"doctor.department_id": department_id})
    if city is not None:
        in_city = await find_clinic_ids({"city_key": fold(city), "is_active": True})
        conditions.append({"doctor.clinic_ids": {"$in": in_city}})
    if q is not None:
        conditions.append(starting_with("doctor.search_words", q))
    return await repository.find_by_name(conditions, page, fields=_NOT_IN_LISTS)


async def update_doctor(
    doctor_id: PydanticObjectId, changes: Mapping[str, Any], *, version: int | None = None
) -> User:
    """Changes fields of a doctor; None removes one. New clinics and a new department must be active.

    The fields are those of `DoctorPatch`, which validates them. Raises `DoctorNotFound`, `UnknownClinic`,
    `UnknownDepartment`, `EmailTaken`, `LicenseTaken`, and `EditConflict` if the doctor has another
    `version`.
    """
    old = profile_of(await get_doctor(doctor_id))
    if new_clinics := [each for each in changes.get("clinic_ids", ()) if each not in old.clinic_ids]:
        await require_active_clinics(new_clinics)
    department_id = changes.get("department_id")
    if department_id is not None and department_id != old.department_id:
        await require_active_department(department_id)
    new = {f"doctor.{name}" if name in _OF_PROFILE else name: value for name, value in changes.items()}
    if "specialty" in changes:
        new["doctor.specialty_key"] = fold(changes["specialty"])
    doctor = await update_user(doctor_id, new, where=_IS_DOCTOR, version=version)
    return await _update_search_words(doctor)


@user_renamed.connect
async def _on_rename(user: User) -> None:
    if user.doctor is not None:
        await _update_search_words(user)


async def _update_search_words(doctor: User) -> User:
    """Brings the search words in line, unless name or specialty have changed again: that change does it."""
    profile = profile_of(doctor)
    words = words_of(doctor.name, profile.specialty)
    if words == profile.search_words:
        return doctor
    await repository.set_doctor_search_words(doctor.user_id, words, name=doctor.name, specialty=profile.specialty)
    profile.search_words = words
    return doctor


async def deactivate_doctor(doctor_id: PydanticObjectId) -> User:
    """Deactivates a doctor and closes all their sessions. Raises `DoctorNotFound`."""
    await get_doctor(doctor_id)
    return await deactivate_user(doctor_id, where=_IS_DOCTOR)
