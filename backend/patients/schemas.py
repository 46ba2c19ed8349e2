"""Request bodies of the routes of patients."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from backend.accounts.fields import Email, Phone, example
from backend.accounts.login.schemas_codes import Code
from backend.accounts.profiles import Gender
from backend.accounts.responses import LanguageField
from backend.accounts.schemas import BirthDay, WebAddress, left_out
from backend.core.http.fields import Id, Line, Request, Text
from backend.patients.documents import BloodGroup, Relation

PATIENT_EXAMPLE: dict[str, Any] = {
    "name": "Charles Babbage",
    "phone": "+15550100300",
    "date_of_birth": "1951-12-26",
    "gender": "male",
    "address": "1 Dorset Street, Springfield",
    "blood_group": "O+",
    "allergies": ["penicillin"],
    "emergency_contact": {"name": "Georgiana Babbage", "phone": "+15550100301", "relationship": "wife"},
    "notes": "Prefers mornings.",
    "assigned_doctor_id": "671f0c0e9b1d8a0001a1b2c3",
}


class EmergencyContactBody(Request):
    """The person to call in an emergency."""

    name: Line = Field(examples=["Byron Lovelace"])
    phone: Phone
    relationship: Line | None = Field(default=None, examples=["brother"])


def _distinct(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Allergies = Annotated[list[Line], Field(max_length=30, examples=[["penicillin"]]), AfterValidator(_distinct)]


class PatientFields(Request):
    """The fields that patients may change too. Null removes a value; no allergies are an empty list."""

    date_of_birth: BirthDay | None = None
    gender: Gender | None = None
    address: Text | None = Field(default=None, examples=["12 Elm Street, Springfield"])
    blood_group: BloodGroup | None = None
    allergies: Allergies = left_out()
    emergency_contact: EmergencyContactBody | None = None


class NewPatient(PatientFields):
    """A new patient. Phone and e-mail are optional, and several patients may share them."""

    model_config = example(**PATIENT_EXAMPLE)

    name: Line
    email: Email | None = None
    phone: Phone | None = Field(default=None, description="Patients without a phone get no reminders.")
    language: LanguageField = None
    allergies: Allergies = []
    medical_history: Text | None = None
    notes: Text | None = Field(default=None, description="For staff; the patient never sees them.")
    assigned_doctor_id: Id | None = None
    confirm_new: bool = Field(default=False, description="True: not one of the candidates of `POSSIBLE_DUPLICATE`.")


class PatientPatch(PatientFields):
    """Changes to a patient. Fields left out stay; null removes a value that is optional."""

    model_config = example(allergies=["penicillin", "latex"], notes=None)

    name: Line = left_out()
    email: Email | None = None
    phone: Phone | None = Field(default=None, description="Only staff can send null.")
    language: LanguageField = None
    photo_url: WebAddress | None = None
    medical_history: Text | None = Field(default=None, description="Only staff can change it.")
    notes: Text | None = Field(default=None, description="Only staff see and change them.")
    assigned_doctor_id: Id | None = Field(default=None, description="Only staff can change it.")
    is_active: Literal[True] = left_out(
        description="Nurses and administrators only. True reactivates; `DELETE` deactivates."
    )

    def stored_changes(self) -> dict[str, Any]:
        """Returns all fields sent, as they are stored."""
        sent = self.model_dump(mode="json", exclude_unset=True, exclude={"assigned_doctor_id"})
        if sent.get("emergency_contact"):
            sent["emergency_contact"] = {k: v for k, v in sent["emergency_contact"].items() if v is not None}
        if "assigned_doctor_id" in self.model_fields_set:
            sent["assigned_doctor_id"] = self.assigned_doctor_id
        if self.is_active:
            sent["inactive_reason"] = None
        return sent


class NewDependant(Request):
    """A patient for whom the caller acts."""

    model_config = example(name="Byron Lovelace", date_of_birth="2016-05-12", relation="parent")

    name: Line
    date_of_birth: BirthDay
    relation: Literal["parent", "guardian", "carer"] = Field(description="What the caller is to the patient.")


class NewLink(Request):
    """An account that is to act for a patient."""

    model_config = example(user_id="671f0c0e9b1d8a0001a1b2c3", relation="guardian")

    user_id: Id
    relation: Relation = Field(description="What the account's owner is to the patient. `self`: the same person.")


class JoinByPhone(Request):
    """The proof that a record is the caller's, or of somebody in the caller's care."""

    model_config = example(code="042917", date_of_birth="1951-12-26", relation="self")

    code: Code = Field(description="The six digits from the SMS.")
    date_of_birth: BirthDay = Field(description="As the clinic has it.")
    relation: Relation = Field(default=Relation.SELF, description="What the caller is to the patient.")


class NewInvitation(Request):
    """For whom an invitation is."""

    model_config = example(relation="self")

    relation: Relation = Field(default=Relation.SELF, description="What its holder is to the patient.")


class InvitationCode(Request):
    """A code on paper."""

    model_config = example(code="BCDFG-HJKLM")

    code: Line = Field(max_length=40, description="Case, spaces and hyphens don't matter.")
