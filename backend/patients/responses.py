"""Responses of the routes of patients. Staff see more fields than others."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Self, TypeVar

from pydantic import Field

from backend.accounts.access import is_staff
from backend.accounts.documents import User
from backend.accounts.fields import example
from backend.accounts.number_repository import find_opted_out
from backend.accounts.profiles import Gender
from backend.accounts.responses import LanguageField
from backend.core.http.fields import Id, Response
from backend.patients.documents import (
    BloodGroup,
    EmergencyContact,
    InactiveReason,
    MergedRecord,
    Patient,
    Relation,
    Verification,
)
from backend.patients.links import repository as links_repository
from backend.patients.schemas import PATIENT_EXAMPLE

_STORED_EXAMPLE: dict[str, Any] = {
    "id": "671f0c0e9b1d8a0001a1b2c3",
    "is_active": True,
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-11-20T08:15:00Z",
}


class EmergencyContactOut(Response, EmergencyContact):
    """The person to call in an emergency."""


class MergedRecordOut(Response, MergedRecord):
    """Another record of the same person that was merged into this one: which, when and by whom."""

    id: Id
    by: Id


class PatientRow(Response):
    """A patient in a list: name, contact and date of birth."""

    model_config = example(
        **PATIENT_EXAMPLE,
        **_STORED_EXAMPLE,
        **dict.fromkeys(("email", "photo_url", "medical_history")),
        language="en",
        sms_opted_out=False,
        has_login=False,
        phone_verified=False,
        merged=[],
        inactive_reason=None,
    )

    id: Id
    name: str
    email: str | None
    phone: str | None
    date_of_birth: date | None
    assigned_doctor_id: Id | None
    is_active: bool


class PatientOut(PatientRow):
    """A patient's record for the patient: without the staff's notes."""

    gender: Gender | None
    address: str | None
    blood_group: BloodGroup | None
    allergies: list[str]
    emergency_contact: EmergencyContactOut | None
    medical_history: str | None = Field(description="Only staff can change it.")
    language: LanguageField
    photo_url: str | None
    sms_opted_out: bool = Field(default=False, description="Whether the phone has opted out of messages.")
    created_at: datetime
    updated_at: datetime


class PatientDetail(PatientOut):
    """A patient's record with all fields. For staff."""

    notes: str | None = Field(description="For staff; the patient never sees them.")
    has_login: bool = Field(description="Whether the patient has an account of their own.")
    inactive_reason: InactiveReason | None = Field(description="Why the patient is no longer one.")
    phone_verified: bool = Field(description="Whether an account that acts for the patient has proved the phone.")
    merged: list[MergedRecordOut] = Field(description="Other records of the patient that were merged into this one.")

    @classmethod
    def of(cls, patient: Patient, links: Sequence[Mapping[str, Any]]) -> Self:
        """Returns the response for a patient and their links, each with its `user`."""
        proved = {link["user"].get("verified_phone") for link in links if link["user"]["is_active"]}
        has_login = any(link["relation"] == Relation.SELF and link["user"]["is_active"] for link in links)
        phone_verified = patient.phone is not None and patient.phone in proved
        return cls.model_validate({**patient.model_dump(), "has_login": has_login, "phone_verified": phone_verified})


_Patient = TypeVar("_Patient", bound=PatientOut)


class LinkOut(Response):
    """An account that acts for a patient."""

    model_config = example(
        id="671f0c0e9b1d8a0001a1b2c5",
        user_id="671f0c0e9b1d8a0001a1b2c3",
        user_name="Ada Lovelace",
        relation="parent",
        verified_by="staff",
        since="2026-01-05T09:00:00Z",
        reviewed_at=None,
        granted_by="671f0c0e9b1d8a0001a1b2c4",
    )

    id: Id
    user_id: Id
    user_name: str
    relation: Relation = Field(description="What the account's owner is to the patient.")
    verified_by: Verification = Field(description="How it was verified that the account may act for the patient.")
    granted_by: Id | None = Field(description="Who of the staff granted it.")
    since: datetime
    reviewed_at: datetime | None = Field(description="When staff let it stay though the patient is of age.")

    @classmethod
    def of(cls, link: Mapping[str, Any]) -> Self:
        """Returns the response for a stored link with its `user`."""
        shown = {name: link.get(name) for name in cls.model_fields}
        return cls.model_validate({**shown, "id": link["_id"], "user_name": link["user"]["name"]})


class OwnPatientOut(Response):
    """A patient for whom the caller acts."""

    model_config = example(
        patient_id="671f0c0e9b1d8a0001a1b2c3",
        name="Ada Lovelace",
        date_of_birth="1985-04-12",
        relation="self",
        since="2026-01-05T09:00:00Z",
    )

    patient_id: Id
    name: str
    date_of_birth: date | None
    relation: Relation = Field(description="What the caller is to the patient.")
    since: datetime


class InvitationOut(Response):
    """An invitation to hand over on paper. The code is shown this once."""

    model_config = example(code="BCDFGHJKLM", relation="self", expires_at="2026-12-04T09:00:00Z")

    code: str
    relation: Relation
    expires_at: datetime


async def patient_response(patient: Patient, viewer: User) -> PatientDetail | PatientOut:
    """Returns the response for a patient, with the fields that the viewer may see."""
    shown = PatientOut.model_validate(patient)
    if is_staff(viewer):
        shown = PatientDetail.of(patient, await links_repository.find_of_patient(patient.patient_id))
    return await with_opt_out(shown)


async def with_opt_out(shown: _Patient) -> _Patient:
    """Returns the response for a patient, with whether their phone has opted out of messages."""
    opted_out = await find_opted_out([shown.phone])
    return shown.model_copy(update={"sms_opted_out": shown.phone in opted_out})
