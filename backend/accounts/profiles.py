"""The profile of a patient, a doctor or a nurse, embedded in the user."""

from datetime import UTC, datetime
from enum import StrEnum

from beanie import PydanticObjectId
from pydantic import BaseModel, Field


class Gender(StrEnum):
    """As the patient states it."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNDISCLOSED = "undisclosed"


class BloodGroup(StrEnum):
    """ABO and Rhesus."""

    A_POSITIVE = "A+"
    A_NEGATIVE = "A-"
    B_POSITIVE = "B+"
    B_NEGATIVE = "B-"
    AB_POSITIVE = "AB+"
    AB_NEGATIVE = "AB-"
    O_POSITIVE = "O+"
    O_NEGATIVE = "O-"


class Weekday(StrEnum):
    """A day of the week, in the clinic's zone."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEK = list(Weekday)
"""In the order of `date.weekday()`."""


class EmergencyContact(BaseModel):
    """The person to call in an emergency."""

    name: str
    phone: str
    relationship: str | None = None


class PatientProfile(BaseModel):
    """The patient's part of a user. Dates of birth are stored as text, `YYYY-MM-DD`."""

    date_of_birth: str | None = None
    gender: Gender | None = None
    address: str | None = None
    blood_group: BloodGroup | None = None
    allergies: list[str] = []
    emergency_contact: EmergencyContact | None = None
    medical_history: str | None = None
    notes: str | None = None
    assigned_doctor_id: PydanticObjectId | None = None


class HoursBlock(BaseModel):
    """Hours of a weekday in which a doctor sees patients. Wall-clock times of the clinic, `HH:MM`."""

    clinic_id: PydanticObjectId
    weekday: Weekday
    start: str
    end: str
    slot_minutes: int
    capacity: int = 1


class DoctorProfile(BaseModel):
    """The doctor's part of a user."""

    clinic_ids: list[PydanticObjectId] = []
    department_id: PydanticObjectId | None = None
    specialty: str
    specialty_key: str
    license_number: str
    qualifications: list[str] = []
    experience_years: int | None = None
    max_patients_per_day: int | None = None
    slot_minutes: int | None = None
    search_words: list[str] = Field(
        default=[],
        description="The words of name and specialty. The public searches these, never e-mail or phone.",
    )
    weekly_hours: list[HoursBlock] | None = Field(
        default=None, description="None: the opening hours of the first clinic."
    )
    weekly_hours_version: int = Field(
        default=0, description="Incremented by every change of the hours. `If-Match` compares it."
    )
    slots_due_at: datetime = Field(
        default=datetime(1970, 1, 1, tzinfo=UTC),
        description="UTC. When the slots are next due for an update: the next midnight at one of the clinics.",
    )
    slots_claimed_until: datetime | None = Field(
        default=None, description="UTC. Until then, another process is updating this doctor's slots."
    )


class NurseProfile(BaseModel):
    """The nurse's part of a user: the clinics whose appointments they manage."""

    clinic_ids: list[PydanticObjectId] = []
