"""What is embedded in a user: the profile of a doctor or a nurse, and the patient record still to be written."""

from datetime import UTC, datetime
from enum import StrEnum

from beanie import PydanticObjectId
from pydantic import BaseModel, Field

from backend.core.clock import utc_now


class Gender(StrEnum):
    """As the patient states it."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNDISCLOSED = "undisclosed"


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


class PendingPatient(BaseModel):
    """The own patient record of a new account, until `patients` has written it.

    The ids are chosen here, so that writing may be repeated. Name and contacts are the account's.
    """

    patient_id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    link_id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    since: datetime = Field(default_factory=utc_now)
    date_of_birth: str | None = None
    gender: Gender | None = None
    address: str | None = None


class HoursBlock(BaseModel):
    """Hours of a weekday in which a doctor sees patients. Wall-clock times of the clinic, `HH:MM`.

    An end that is not after the start is on the next day.
    """

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
