"""Errors of patients."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from backend.core.http.errors import Conflict, ErrorBody, Forbidden, NotFound, Unprocessable
from backend.core.http.fields import Id


class PatientNotFound(NotFound):
    """No such patient, or the caller may not see them."""

    code = "PATIENT_NOT_FOUND"
    detail = "No such patient, or you don't have access."


class LinkNotFound(NotFound):
    """No such link of this patient."""

    code = "LINK_NOT_FOUND"
    detail = "No such link of this patient."


class LinkExists(Conflict):
    """The account acts for the patient already."""

    code = "LINK_EXISTS"
    detail = "This account acts for the patient already."


class SelfLinkExists(Conflict):
    """The account is another patient's own, or the patient has an account of their own."""

    code = "SELF_LINK_EXISTS"
    detail = "The account belongs to another patient, or the patient has an account already."


class CircularLink(Conflict):
    """Somebody would act for a patient who, directly or not, acts for them."""

    code = "CIRCULAR_LINK"
    detail = "The patient acts for the owner of this account, directly or through others."


class DuplicateCandidate(BaseModel):
    """A patient who may be the same person."""

    id: Id
    name: str
    date_of_birth: date | None
    phone: str | None


class WithCandidates(ErrorBody):
    """The body of an error that shows patients who may be the same person."""

    candidates: list[DuplicateCandidate] = Field(description="At most ten.")


class PossibleDuplicate(Conflict):
    """There are patients with the same date of birth or phone, and a similar name."""

    code = "POSSIBLE_DUPLICATE"
    detail = (
        "Patients with a similar name have this date of birth or phone. Send `confirm_new: true` for a new person."
    )
    body = WithCandidates

    def __init__(self, candidates: Sequence[DuplicateCandidate] = ()) -> None:
        self.candidates = list(candidates)
        super().__init__()

    def content(self) -> dict[str, Any]:
        return {**super().content(), "candidates": [each.model_dump(mode="json") for each in self.candidates]}

    @classmethod
    def example(cls) -> dict[str, Any]:
        shown = {"name": "Charles Babbage", "date_of_birth": "1951-12-26", "phone": "+15550100300"}
        return {**super().example(), "candidates": [{"id": "671f0c0e9b1d8a0001a1b2c3", **shown}]}


class TooManyDependants(Conflict):
    """The account acts for as many patients as it may add by itself."""

    code = "TOO_MANY_DEPENDANTS"
    detail = "You act for as many patients as you can add yourself. Ask the clinic to add more."


class RecordNotMatched(Unprocessable):
    """No record has this phone and date of birth, or several have."""

    code = "RECORD_NOT_MATCHED"
    detail = "No single record has your phone and this date of birth. Ask the front desk for an invitation."


class InvitationInvalid(Unprocessable):
    """The invitation is unknown, used, expired, or replaced by a newer one. The response doesn't reveal which."""

    code = "INVITATION_INVALID"
    detail = "This code is wrong or no longer valid. Ask the front desk for a new one."


class UnknownAccount(Unprocessable):
    """The account in the request doesn't exist or is not active."""

    code = "UNKNOWN_ACCOUNT"
    detail = "This is not the id of an active account."


class UnknownDoctor(Unprocessable):
    """The doctor in the request doesn't exist or is not active."""

    code = "UNKNOWN_DOCTOR"
    detail = "This is not the id of an active doctor."


class FieldNotAllowedBody(ErrorBody):
    """The fields of the request that the caller may not change."""

    fields: list[str] = Field(default=[], examples=[["notes"]])


class FieldNotAllowed(Forbidden):
    """The caller may not change some of the fields sent. None of them was changed."""

    code = "FIELD_NOT_ALLOWED"
    detail = "Your role may not change these fields."
    body = FieldNotAllowedBody

    def __init__(self, fields: Iterable[str] = ()) -> None:
        self.fields = sorted(fields)
        super().__init__(f"Your role may not change: {', '.join(self.fields)}.")

    def content(self) -> dict[str, Any]:
        return {**super().content(), "fields": self.fields}

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**super().example(), "fields": ["notes"]}
