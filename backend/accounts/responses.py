"""Responses of the routes of accounts. None contains hashes, sessions or search words."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from backend.accounts.documents import Language, Role
from backend.accounts.fields import example
from backend.accounts.profiles import BloodGroup, EmergencyContact, Gender
from backend.core.http.fields import Id, Response

_USER: dict[str, Any] = {
    "id": "671f0c0e9b1d8a0001a1b2c3",
    "name": "Florence Nightingale",
    "email": "florence@example.com",
    "phone": "+15550100003",
    "role": "nurse",
    "language": "en",
    "photo_url": None,
    "is_active": True,
    "is_verified": False,
    "sms_opted_out": False,
    "last_login": "2026-11-20T08:15:00Z",
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-11-20T08:15:00Z",
    "doctor": None,
    "nurse": {"clinic_ids": ["671f0c0e9b1d8a0001a1b2c4"]},
}
_PATIENT: dict[str, Any] = {
    **_USER,
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+15550100001",
    "role": "patient",
    "nurse": None,
    "patient": {
        "date_of_birth": "1985-04-12",
        "gender": "female",
        "address": "12 Elm Street, Springfield",
        "blood_group": "A+",
        "allergies": ["penicillin"],
        "emergency_contact": None,
        "medical_history": None,
        "assigned_doctor_id": None,
    },
}

LanguageField = Annotated[
    Language | None, Field(description="The language of messages. Null: the clinic's.", examples=["en"])
]


class EmergencyContactOut(Response, EmergencyContact):
    """The person to call in an emergency."""


class OwnPatientOut(Response):
    """A patient's profile for the patient: without the staff's notes."""

    date_of_birth: date | None
    gender: Gender | None
    address: str | None
    blood_group: BloodGroup | None
    allergies: list[str]
    emergency_contact: EmergencyContactOut | None
    medical_history: str | None = Field(description="Only staff can change it.")
    assigned_doctor_id: Id | None


class DoctorBrief(Response):
    """A part of a doctor's profile. The rest is at `/doctors/{id}`."""

    specialty: str
    license_number: str
    department_id: Id | None = None
    clinic_ids: list[Id] = []


class NurseBrief(Response):
    """The clinics whose appointments the nurse manages."""

    clinic_ids: list[Id] = []


class UserOut(Response):
    """An account."""

    model_config = example(**_USER)

    id: Id
    name: str
    email: str | None = None
    phone: str | None = Field(default=None, description="E.164.")
    role: Role
    language: LanguageField = None
    photo_url: str | None = None
    is_active: bool
    is_verified: bool = Field(description="Whether the user has verified the phone.")
    sms_opted_out: bool = Field(description="Whether the user opted out of messages.")
    last_login: datetime | None = None
    created_at: datetime
    updated_at: datetime
    doctor: DoctorBrief | None = None
    nurse: NurseBrief | None = None


class OwnAccountOut(UserOut):
    """The caller's account."""

    model_config = example(**_PATIENT)

    patient: OwnPatientOut | None = None


class TokensOut(Response):
    """A pair of tokens. Send the access token as `Authorization: Bearer …`."""

    model_config = example(
        access_token="eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
        refresh_token="9f2c4e6a8b0d1f3a5c7e9b1d.Zm9yIGV4YW1wbGUgb25seQ",
        token_type="bearer",
        expires_in=1800,
    )

    access_token: str
    refresh_token: str = Field(description="For `POST /auth/refresh`, which returns the next one. It works once.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int = Field(description="Seconds until the access token expires.")


class LoggedInOut(TokensOut):
    """The tokens of a new session, and the account."""

    model_config = ConfigDict(json_schema_extra=None)

    user: OwnAccountOut


class CodeRequestedOut(Response):
    """The terms of a code by SMS. They are the same whether or not one was sent."""

    model_config = example(expires_in=600, resend_after=60)

    expires_in: int = Field(description="Seconds until a code expires.")
    resend_after: int = Field(description="Seconds until another code can be requested.")
