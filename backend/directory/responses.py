"""Responses of the routes of clinics, departments and doctors. Staff see more fields than others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from beanie import PydanticObjectId
from pydantic import Field

from backend.accounts.access import is_staff
from backend.accounts.documents import Language, User
from backend.accounts.fields import example
from backend.accounts.profiles import Weekday
from backend.accounts.responses import LanguageField
from backend.core.http.fields import Id, Response
from backend.core.http.pagination import Page
from backend.directory import doctors
from backend.directory.clinics import read_clinics
from backend.directory.departments import read_departments
from backend.directory.documents import Clinic, Department, Policy, Rules
from backend.directory.schemas import CLINIC_EXAMPLE

_STORED_EXAMPLE = {
    "id": "671f0c0e9b1d8a0001a1b2c3",
    "is_active": True,
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-11-20T08:15:00Z",
}
_OTHER_ID = "671f0c0e9b1d8a0001a1b2c4"


class PositionOut(Response):
    """A position on earth, in degrees (WGS 84)."""

    longitude: float
    latitude: float


class OpeningHoursOut(Response):
    """Hours of a weekday when the clinic is open, in wall-clock time of its zone."""

    weekday: Weekday
    opens: str = Field(examples=["09:00"])
    closes: str = Field(examples=["17:00"], description="Up to `24:00`.")


class PolicyOut(Response, Policy):
    """A clinic's own rules. Null: the setting of the system applies."""


class RulesOut(Response, Rules):
    """The rules of a clinic in force. Minutes, except for the horizons."""


class ClinicOut(Response):
    """A clinic."""

    model_config = example(
        **CLINIC_EXAMPLE,
        **_STORED_EXAMPLE,
        policy={**dict.fromkeys(Policy.model_fields), "slot_minutes": 20},
        distance_m=412,
        rules={
            **{"slot_minutes": 20, "horizon_days": 60, "staff_horizon_days": 200, "reminder_minutes": [180]},
            **{"confirm_window_minutes": 180, "check_in_window_minutes": 60, "no_show_grace_minutes": 15},
            "auto_cancel_minutes": 15,
        },
    )

    id: Id
    name: str
    address: str | None
    city: str
    state: str | None
    zip_code: str | None
    phone: str | None
    email: str | None
    time_zone: str = Field(description="The IANA time zone of the clinic's wall-clock times.")
    country: str = Field(description="ISO 3166-1 alpha-2. Phone numbers without a country code belong to it.")
    language: Language
    location: PositionOut | None
    distance_m: int | None = Field(default=None, description="Metres in a straight line from the point `near`.")
    opening_hours: list[OpeningHoursOut]
    policy: PolicyOut
    rules: RulesOut
    is_active: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, clinic: Clinic, distance_m: float | None = None) -> Self:
        """Returns the response for a clinic, with its distance in metres if it was found by that."""
        shown: dict[str, Any] = {name: getattr(clinic, name, None) for name in cls.model_fields}
        if clinic.location is not None:
            longitude, latitude = clinic.location.coordinates
            shown["location"] = PositionOut(longitude=longitude, latitude=latitude)
        shown["distance_m"] = None if distance_m is None else round(distance_m)
        return cls.model_validate(shown)


class DepartmentOut(Response):
    """A department."""

    model_config = example(**_STORED_EXAMPLE, name="Cardiology", description="Heart and vessels.")

    id: Id
    name: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class DoctorsClinic(Response):
    """A clinic where a doctor works."""

    id: Id
    name: str
    city: str
    time_zone: str


class DoctorsDepartment(Response):
    """The department that a doctor belongs to."""

    id: Id
    name: str


class DoctorOut(Response):
    """A doctor, with the fields that are public."""

    model_config = example(
        **_STORED_EXAMPLE,
        name="Dr. Elizabeth Blackwell",
        specialty="Cardiology",
        department={"id": _OTHER_ID, "name": "Cardiology"},
        clinics=[{"id": _OTHER_ID, "name": "Midtown Clinic", "city": "New York", "time_zone": "America/New_York"}],
        qualifications=["MD", "FACC"],
        experience_years=12,
        language="en",
        photo_url=None,
        email="elizabeth@example.com",
        phone="+15550100200",
        license_number="NY-123456",
        max_patients_per_day=20,
        slot_minutes=20,
    )

    id: Id
    name: str
    specialty: str
    department: DoctorsDepartment | None
    clinics: list[DoctorsClinic] = Field(description="The main clinic first.")
    qualifications: list[str]
    experience_years: int | None
    language: LanguageField
    photo_url: str | None

    @classmethod
    def of(
        cls,
        doctor: User,
        clinics: Mapping[PydanticObjectId, Clinic],
        departments: Mapping[PydanticObjectId, Department],
    ) -> Self:
        """Returns the response for a stored doctor. It leaves out clinics and departments that aren't given."""
        profile = doctors.profile_of(doctor)
        department = departments.get(profile.department_id) if profile.department_id else None
        return cls.model_validate(
            {
                **doctor.model_dump(exclude={"doctor"}),
                **profile.model_dump(),
                "clinics": [clinics[each] for each in profile.clinic_ids if each in clinics],
                "department": department,
            }
        )


class DoctorDetail(DoctorOut):
    """A doctor, with all fields. For staff."""

    email: str | None
    phone: str | None
    license_number: str
    max_patients_per_day: int | None = Field(description="Null: no limit.")
    slot_minutes: int | None = Field(description="Null: the clinic's.")
    is_active: bool
    created_at: datetime
    updated_at: datetime


class DoctorPage(Page[DoctorDetail | DoctorOut]):
    """One page of doctors."""


async def doctor_responses(found: Sequence[User], viewer: User | None) -> list[DoctorDetail | DoctorOut]:
    """Returns the responses for doctors: with all fields for staff, otherwise with public ones and active clinics."""
    clinics = await read_clinics(each for doctor in found for each in doctors.profile_of(doctor).clinic_ids)
    departments = await read_departments(
        department_id for doctor in found if (department_id := doctors.profile_of(doctor).department_id)
    )
    if is_staff(viewer):
        return [DoctorDetail.of(doctor, clinics, departments) for doctor in found]
    clinics = {key: clinic for key, clinic in clinics.items() if clinic.is_active}
    departments = {key: department for key, department in departments.items() if department.is_active}
    return [DoctorOut.of(doctor, clinics, departments) for doctor in found]


async def doctor_detail(doctor: User) -> DoctorDetail:
    """Returns the response for a doctor, with all fields."""
    profile = doctors.profile_of(doctor)
    clinics = await read_clinics(profile.clinic_ids)
    departments = await read_departments([profile.department_id] if profile.department_id else [])
    return DoctorDetail.of(doctor, clinics, departments)
