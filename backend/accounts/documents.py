"""Users, their sessions, failed logins, and codes sent by SMS."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.accounts.profiles import DoctorProfile, NurseProfile, PatientProfile
from backend.core.clock import utc_now
from backend.core.mongo.text_search import words_of

Language = Literal["en", "es"]

MOST_SESSIONS = 20
"""A user's devices at one time; the oldest is logged out by the next login."""


class Role(StrEnum):
    """What somebody is to the clinic. Everyone has one."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    NURSE = "nurse"
    ADMIN = "admin"


def _unique_text(field: str) -> IndexModel:
    # Any text is greater than an empty one. With `$type` here no search for a text would use the index.
    return IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={field: {"$gt": ""}})


class User(Document):
    """Anybody: a patient (with or without a login), a doctor, a nurse, an administrator."""

    name: str
    email: str | None = None
    phone: str | None = None
    role: Role
    password_hash: str | None = None
    is_active: bool = True
    is_verified: bool = False
    language: Language | None = None
    sms_opted_out: bool = False
    photo_url: str | None = None
    sessions: list[str] = Field(default=[], description="Ids of live sessions: an access token needs one.")
    last_login: datetime | None = None
    search_words: list[str] = []
    patient: PatientProfile | None = None
    doctor: DoctorProfile | None = None
    nurse: NurseProfile | None = None
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "users"
        keep_nulls = False
        indexes = [
            _unique_text("email"),
            _unique_text("phone"),
            _unique_text("doctor.license_number"),
            IndexModel(
                [("role", ASCENDING), ("is_active", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]
            ),
            IndexModel([("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("search_words", ASCENDING), ("role", ASCENDING)]),
            IndexModel([("doctor.search_words", ASCENDING)]),
            IndexModel([("doctor.specialty_key", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("doctor.clinic_ids", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("doctor.department_id", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("role", ASCENDING), ("doctor.slots_due_at", ASCENDING)]),
            IndexModel([("patient.assigned_doctor_id", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
        ]

    @property
    def user_id(self) -> PydanticObjectId:
        """The id of a stored user."""
        assert self.id is not None  # noqa: S101 - every user that is read has one
        return self.id

    def find_words(self) -> list[str]:
        """What a search by name, e-mail or phone may begin with."""
        return words_of(self.name, self.email, self.phone)


class Session(Document):
    """A family of refresh tokens: one login on one device, whose token changes at each use."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    user_id: PydanticObjectId
    token_hash: str
    used_hashes: list[str] = Field(default=[], description="Hashes of the family's used tokens, newest last.")
    user_agent: str | None = None
    created_at: datetime = Field(default_factory=utc_now)
    expires_at: datetime

    class Settings:
        name = "sessions"
        indexes = [
            IndexModel([("token_hash", ASCENDING)], unique=True),
            IndexModel([("user_id", ASCENDING)]),
            IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
        ]


class LoginFailures(Document):
    """Failed logins of late. Its id is a hash of account and address, so that it names nobody."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    failures: int
    expires_at: datetime

    class Settings:
        name = "login_failures"
        indexes = [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)]


class Purpose(StrEnum):
    """What a code by SMS may be used for."""

    VERIFY_PHONE = "verify_phone"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose, not a password


class OneTimeCode(Document):
    """The newest code that a user was sent for a purpose, and when the ones before were issued.

    Its id is `purpose:user id`, so that there is one code at a time. It outlives its code, to count those of
    the hour.
    """

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    code_hash: str = Field(description="Keyed: without SECRET_KEY it doesn't say which of a million it is.")
    phone_hash: str = Field(description="Keyed. The code is good for the phone to which it was sent.")
    tries_left: int = Field(description="None are left of a code that was used.")
    valid_until: datetime
    issued_at: datetime
    issues: list[datetime] = Field(description="When the last codes were issued, newest last.")
    expires_at: datetime = Field(description="When the document has nothing left to count.")

    class Settings:
        name = "one_time_codes"
        indexes = [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)]
