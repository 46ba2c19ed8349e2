"""Patients, and the links that say which account acts for which patient."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field, model_validator
from pymongo import ASCENDING, IndexModel

from backend.accounts.documents import Language
from backend.accounts.profiles import Gender
from backend.core.clock import EPOCH, utc_now
from backend.patients.search import BIRTH_INDEX, PHONE_INDEX, SEARCH_INDEX, patient_keys


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


class EmergencyContact(BaseModel):
    """The person to call in an emergency."""

    name: str
    phone: str
    relationship: str | None = None


class InactiveReason(StrEnum):
    """Why a patient is no longer one."""

    LEFT = "left"
    DECEASED = "deceased"


class MergedRecord(BaseModel):
    """Another record of the same person that was merged into this one: which, when (UTC) and by whom."""

    id: PydanticObjectId
    name: str
    at: datetime
    by: PydanticObjectId
    by_name: str


class Patient(Document):
    """A person who is treated. Phone and e-mail are contacts: several patients may share one.

    Dates of birth are stored as text, `YYYY-MM-DD`.
    """

    name: str
    email: str | None = None
    phone: str | None = None
    language: Language | None = None
    photo_url: str | None = None
    date_of_birth: str | None = None
    gender: Gender | None = None
    address: str | None = None
    blood_group: BloodGroup | None = None
    allergies: list[str] = []
    emergency_contact: EmergencyContact | None = None
    medical_history: str | None = None
    notes: str | None = None
    assigned_doctor_id: PydanticObjectId | None = None
    is_active: bool = True
    inactive_reason: InactiveReason | None = None
    merged_into: PydanticObjectId | None = Field(default=None, description="The record that took its place.")
    active_before_merge: bool | None = Field(default=None, description="What `is_active` was then.")
    absorbing: list[PydanticObjectId] = Field(default=[], description="Records whose merge isn't complete.")
    merged: list[MergedRecord] = Field(default=[], description="Records that were merged into this one.")
    name_key: str = Field(default="", description="The name as a phone book sorts it: without case and accents.")
    search_words: list[str] = []
    phone_reversed: str | None = Field(default=None, description="The digits backwards: callers give the last ones.")
    version: int = Field(default=0, description="Incremented by every edit. `If-Match` compares it.")
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "patients"
        keep_nulls = False
        indexes = [
            IndexModel([("is_active", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel(SEARCH_INDEX),
            IndexModel([("assigned_doctor_id", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("phone", ASCENDING)]),
            IndexModel(PHONE_INDEX),
            IndexModel(BIRTH_INDEX),
        ]

    @model_validator(mode="after")
    def _with_keys(self) -> Self:
        """Derives the keys of a new patient. An update of their fields must write new keys."""
        if not self.name_key:
            for key, value in patient_keys(name=self.name, email=self.email, phone=self.phone).items():
                setattr(self, key, value)
        return self

    @property
    def patient_id(self) -> PydanticObjectId:
        """The id of a stored patient."""
        assert self.id is not None  # noqa: S101 - every patient that is read has one
        return self.id


class Relation(StrEnum):
    """What an account's owner is to a patient."""

    SELF = "self"
    PARENT = "parent"
    GUARDIAN = "guardian"
    CARER = "carer"


OF_MINORS = frozenset((Relation.PARENT, Relation.GUARDIAN))
"""Relations that are reviewed once the patient is of age."""


class Verification(StrEnum):
    """How it was verified that an account may act for a patient."""

    REGISTRATION = "registration"
    OWN_WORD = "own_word"
    STAFF = "staff"
    PHONE = "phone"
    INVITATION = "invitation"


class NewRecord(BaseModel):
    """The record of a new dependant, until it is written: see `PatientLink.pending`."""

    since: datetime = Field(default_factory=utc_now)
    name: str
    date_of_birth: str
    phone: str | None = None
    email: str | None = None
    language: Language | None = None


class PatientLink(Document):
    """Says that an account acts for a patient. Account and patient are each one another's `self` at most once.

    The link of a new dependant is written before their record, and holds what is still to be written.
    """

    user_id: PydanticObjectId
    patient_id: PydanticObjectId
    relation: Relation
    verified_by: Verification
    granted_by: PydanticObjectId | None = None
    since: datetime = Field(default_factory=utc_now)
    child_born: str | None = Field(
        default=None, description="The patient's date of birth; for parents and guardians."
    )
    reviewed_at: datetime | None = Field(
        default=None, description="UTC. When staff let it stay for a patient of age."
    )
    pending: NewRecord | None = None
    merged_from: list[PydanticObjectId] | None = Field(
        default=None, description="The records from which merges brought it here, the last one at the end."
    )

    @classmethod
    def of(
        cls, user_id: PydanticObjectId, patient: Patient, relation: Relation, *, verified_by: Verification
    ) -> "PatientLink":
        """Returns a new link between an account and a patient."""
        born = patient.date_of_birth if relation in OF_MINORS else None
        return cls(
            user_id=user_id,
            patient_id=patient.patient_id,
            relation=relation,
            verified_by=verified_by,
            child_born=born,
        )

    @property
    def link_id(self) -> PydanticObjectId:
        """The id of a stored link."""
        assert self.id is not None  # noqa: S101 - every link that is read has one
        return self.id

    class Settings:
        name = "patient_links"
        keep_nulls = False
        indexes = [
            IndexModel([("user_id", ASCENDING), ("patient_id", ASCENDING)], unique=True),
            # Beanie merges indexes on the same fields, so this one has a second field.
            IndexModel(
                [("user_id", ASCENDING), ("relation", ASCENDING)],
                unique=True,
                partialFilterExpression={"relation": Relation.SELF.value},
            ),
            IndexModel(
                [("patient_id", ASCENDING), ("relation", ASCENDING)],
                unique=True,
                partialFilterExpression={"relation": Relation.SELF.value},
            ),
            IndexModel([("patient_id", ASCENDING), ("_id", ASCENDING)]),
            # What is to be done.
            IndexModel([("pending.since", ASCENDING)], partialFilterExpression={"pending.since": {"$gt": EPOCH}}),
            IndexModel([("child_born", ASCENDING)], partialFilterExpression={"child_born": {"$gt": ""}}),
        ]


class Invitation(Document):
    """A code on paper with which an account may begin to act for a patient. Its id is the patient's."""

    code_hash: str = Field(description="Keyed: without SECRET_KEY nobody can try all codes.")
    relation: Relation
    created_by: PydanticObjectId
    expires_at: datetime = Field(description="When it ends, and MongoDB deletes the document.")
    used_by: PydanticObjectId | None = Field(default=None, description="The account that redeemed it.")

    class Settings:
        name = "patient_invitations"
        keep_nulls = False
        indexes = [
            IndexModel([("code_hash", ASCENDING)], unique=True),
            IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0),
        ]
