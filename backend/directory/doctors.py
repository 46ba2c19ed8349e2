"""Doctors: making, changing and finding them. Hours, leave and slots are scheduling's."""

from collections.abc import Mapping, Sequence
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Language, Role, User
from backend.accounts.profiles import DoctorProfile
from backend.accounts.users import create_user, deactivate_user, update_user, user_renamed
from backend.core.events import Signal
from backend.core.http.pagination import PageRequest, page_by_name
from backend.core.mongo.text_search import fold, starting_with, words_of
from backend.directory.clinics import require_active_clinics
from backend.directory.departments import require_active_department
from backend.directory.documents import Clinic
from backend.directory.errors import DoctorNotFound, UnknownDoctor

doctor_created: Signal[User] = Signal()
"""Sent after a doctor was stored. Slots are opened by who listens."""

_IS_DOCTOR = {"role": Role.DOCTOR}
_NOT_IN_LISTS = dict.fromkeys(
    ("password_hash", "sessions", "search_words", "doctor.weekly_hours", "doctor.search_words"), 0
)
_OF_PROFILE = frozenset(
    (
        *("specialty", "license_number", "clinic_ids", "department_id"),
        *("qualifications", "experience_years", "max_patients_per_day", "slot_minutes"),
    )
)


def profile_of(doctor: User) -> DoctorProfile:
    """The doctor's part of a user who is one."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    return doctor.doctor


async def create_doctor(
    *,
    name: str,
    email: str,
    specialty: str,
    license_number: str,
    clinic_ids: Sequence[PydanticObjectId],
    phone: str | None = None,
    password: str | None = None,
    password_hash: str | None = None,
    department_id: PydanticObjectId | None = None,
    qualifications: Sequence[str] = (),
    experience_years: int | None = None,
    max_patients_per_day: int | None = None,
    slot_minutes: int | None = None,
    language: Language | None = None,
    photo_url: str | None = None,
) -> User:
    """Stores a new active doctor with the default hours, and tells `doctor_created`.

    The fields are those of `NewDoctor`, which checks them. Raises `UnknownClinic`, `UnknownDepartment`,
    `EmailTaken`, `PhoneTaken`, `LicenseTaken`.
    """
    await require_active_clinics(list(clinic_ids))
    if department_id is not None:
        await require_active_department(department_id)
    profile = DoctorProfile(
        clinic_ids=list(clinic_ids),
        department_id=department_id,
        specialty=specialty,
        specialty_key=fold(specialty),
        license_number=license_number.upper(),
        qualifications=list(qualifications),
        experience_years=experience_years,
        max_patients_per_day=max_patients_per_day,
        slot_minutes=slot_minutes,
        search_words=words_of(name, specialty),
    )
    doctor = await create_user(
        name=name,
        role=Role.DOCTOR,
        email=email,
        phone=phone,
        password=password,
        password_hash=password_hash,
        language=language,
        photo_url=photo_url,
        doctor=profile,
    )
    await doctor_created.send(doctor)
    return doctor


async def get_doctor(doctor_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """The doctor, if `where` (a MongoDB filter, as `{"is_active": True}`) is met too; raises `DoctorNotFound`."""
    doctor = await User.find_one({**(where or {}), **_IS_DOCTOR, "_id": doctor_id})
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
    """A page of doctors by name, and the cursor of the next. They come without login and weekly hours.

    `city` is that of an active clinic; `q` looks in names and specialties, never in e-mails and phones.
    """
    conditions: list[Mapping[str, Any]] = [where or {}, _IS_DOCTOR, {"is_active": is_active}]
    if specialty is not None:
        conditions.append({"doctor.specialty_key": fold(specialty)})
    if clinic_id is not None:
        conditions.append({"doctor.clinic_ids": clinic_id})
    if department_id is not None:
        conditions.append({"doctor.department_id": department_id})
    if city is not None:
        conditions.append({"doctor.clinic_ids": {"$in": await _clinics_in(city)}})
    if q is not None:
        conditions.append(starting_with("doctor.search_words", q))
    rows, next_cursor = await page_by_name(
        User.get_pymongo_collection(), conditions, page, projection=_NOT_IN_LISTS
    )
    return [User.model_validate(row) for row in rows], next_cursor


async def _clinics_in(city: str) -> list[PydanticObjectId]:
    found = Clinic.get_pymongo_collection().find({"city_key": fold(city), "is_active": True}, {"_id": 1})
    return [row["_id"] async for row in found]


async def update_doctor(doctor_id: PydanticObjectId, changes: Mapping[str, Any]) -> User:
    """Changes fields; None removes one. Clinics and department must be active if the doctor is new to them.

    The fields are those of `DoctorPatch`, which checks them. Raises `DoctorNotFound`, `UnknownClinic`,
    `UnknownDepartment`, `EmailTaken`, `PhoneTaken`, `LicenseTaken`, `EditConflict`.
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
    if "license_number" in changes:
        new["doctor.license_number"] = changes["license_number"].upper()
    doctor = await update_user(doctor_id, new, where=_IS_DOCTOR)
    return await _keep_findable(doctor)


@user_renamed.connect
async def _on_rename(user: User) -> None:
    if user.doctor is not None:
        await _keep_findable(user)


async def _keep_findable(doctor: User) -> User:
    """Brings the search words in line. If name or specialty have changed again, that change does it."""
    profile = profile_of(doctor)
    words = words_of(doctor.name, profile.specialty)
    if words == profile.search_words:
        return doctor
    await User.get_pymongo_collection().update_one(
        {"_id": doctor.user_id, "name": doctor.name, "doctor.specialty": profile.specialty},
        {"$set": {"doctor.search_words": words}},
    )
    profile.search_words = words
    return doctor


async def set_doctor_active(doctor_id: PydanticObjectId, is_active: bool) -> User:
    """Ends the doctor's account and all logins at once, or brings it back. Raises `DoctorNotFound`."""
    await get_doctor(doctor_id)
    if is_active:
        return await update_user(doctor_id, {"is_active": True}, where=_IS_DOCTOR)
    return await deactivate_user(doctor_id, where=_IS_DOCTOR)


async def require_active_doctor(doctor_id: PydanticObjectId) -> None:
    """Raises `UnknownDoctor` unless there is an active one by this id."""
    wanted = {"_id": doctor_id, **_IS_DOCTOR, "is_active": True}
    if await User.get_pymongo_collection().find_one(wanted, projection={"_id": 1}) is None:
        raise UnknownDoctor
