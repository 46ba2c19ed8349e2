"""Users, their sessions, failed logins, and codes sent by SMS."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.accounts.profiles import DoctorProfile, NurseProfile, PendingPatient
from backend.core.clock import EPOCH, utc_now

Language = Literal["en", "es"]

MOST_SESSIONS = 20
"""A user's sessions at one time. One more closes the oldest."""


class Role(StrEnum):
    """A user's part in the clinic. Every user has one role."""

    PATIENT = "patient"
    DOCTOR = "doctor"
    NURSE = "nurse"
    ADMIN = "admin"


def _unique_text(field: str, **only: Any) -> IndexModel:
    # Every text is greater than the empty one. With `$type` here, no search for a text would use the index.
    return IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={**only, field: {"$gt": ""}})


class User(Document):
    """An account: the login of a patient, a doctor, a nurse or an administrator.

    A person who is treated is a record of its own, see `patients`.
    """

    name: str
    email: str | None = None
    phone: str | None = None
    role: Role
    password_hash: str | None = None
    is_active: bool = True
    verified_phone: str | None = Field(
        default=None, description="`phone`, once a code proved it. No other active account has it."
    )
    language: Language | None = None
    photo_url: str | None = None
    sessions: list[str] = Field(default=[], description="Ids of open sessions. An access token needs one.")
    last_login: datetime | None = None
    name_key: str = Field(default="", description="The name as a phone book sorts it: without case and accents.")
    search_words: list[str] = []
    doctor: DoctorProfile | None = None
    nurse: NurseProfile | None = None
    pending_patient: PendingPatient | None = None
    version: int = Field(default=0, description="Incremented by every edit. `If-Match` compares it.")
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "users"
        keep_nulls = False
        indexes = [
            # Deactivating an account frees both. A phone that nobody proved blocks nobody.
            _unique_text("email", is_active=True),
            _unique_text("verified_phone", is_active=True),
            IndexModel([("phone", ASCENDING)]),
            _unique_text("doctor.license_number"),
            IndexModel([("role", ASCENDING), ("is_active", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("search_words", ASCENDING), ("role", ASCENDING)]),
            IndexModel([("doctor.search_words", ASCENDING)]),
            IndexModel([("doctor.specialty_key", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("doctor.clinic_ids", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("doctor.department_id", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("role", ASCENDING), ("doctor.slots_due_at", ASCENDING)]),
            IndexModel(
                [("pending_patient.since", ASCENDING)],
                partialFilterExpression={"pending_patient.since": {"$gt": EPOCH}},
            ),
        ]

    @property
    def is_verified(self) -> bool:
        """Whether the owner has proved that the phone is theirs."""
        return self.phone is not None and self.verified_phone == self.phone

    @property
    def user_id(self) -> PydanticObjectId:
        """The id of a stored user."""
        assert self.id is not None  # noqa: S101 - every user that is read has one
        return self.id


class Session(Document):
    """One login on one device. Its refresh token is replaced at each use."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    user_id: PydanticObjectId
    token_hash: str
    used_hashes: list[str] = Field(default=[], description="Hashes of used refresh tokens, newest last.")
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
    """A counter of failed logins. Its id is a keyed hash of account and address, which reveals neither."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    failures: int
    expires_at: datetime

    class Settings:
        name = "login_failures"
        indexes = [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)]


class Purpose(StrEnum):
    """What a code sent by SMS may be used for."""

    VERIFY_PHONE = "verify_phone"
    JOIN_RECORD = "join_record"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose, not a password


class OneTimeCode(Document):
    """The last code that a user was sent for a purpose, and when the codes before were issued.

    Its id is `purpose:user id`, so there is one code at a time. The document lives for an hour, longer than its code,
    because it also counts the codes of that hour.
    """

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    code_hash: str = Field(description="Keyed: without SECRET_KEY nobody can try all codes.")
    phone_hash: str = Field(description="Keyed. The code works only for the phone that it was sent to.")
    tries_left: int = Field(description="0 once the code was used.")
    valid_until: datetime
    issued_at: datetime
    issues: list[datetime] = Field(description="When the last codes were issued, newest last.")
    expires_at: datetime = Field(description="When MongoDB deletes the document.")

    class Settings:
        name = "one_time_codes"
        indexes = [IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0)]


class PhoneNumber(Document):
    """A number's own state, such as an opt-out. It stays when another person gets the number. The id is E.164."""

    id: str  # type: ignore[assignment]  # Beanie's way to declare another type of id
    opted_out_at: datetime | None = None
    opted_out_by: str | None = Field(default=None, description="The word that opted out, as the carrier knows it.")
    undeliverable_since: datetime | None = Field(default=None, description="No message can reach the number.")
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "phone_numbers"
        keep_nulls = False
