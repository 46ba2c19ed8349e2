"""Why an appointment needs a decision, and the withdrawals whose appointments aren't all marked yet."""

from datetime import datetime
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel

from backend.core.clock import utc_now


class CauseKind(StrEnum):
    """What withdrew the time of an appointment, or why else the staff must decide about it."""

    LEAVE = "leave"
    CLOSURE = "closure"
    HOURS = "hours"  # working hours, opening hours, a clinic's zone, or where a doctor works
    SLOT = "slot"
    DOCTOR = "doctor"
    CLINIC = "clinic"
    MERGE = "merge"  # of two records of its patient, who has another appointment at the same time


class DecisionCause(BaseModel):
    """Why an appointment needs a decision: what withdrew its time, that one's id (hours have none), and when, UTC."""

    kind: CauseKind
    id: PydanticObjectId | None = None
    since: datetime


class Withdrawal(Document):
    """A change that may withdraw time or give it back, while its appointments aren't all marked.

    It is stored before the change, and deleted when all appointments have their marks. If the process dies in
    between, a job finishes it: see `withdrawals`. `subject` is the id of the leave, closure, slot, doctor or clinic.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    kind: CauseKind
    subject: PydanticObjectId | None = None
    doctor_id: PydanticObjectId | None = None  # whose slots it changes; of a whole clinic's if None
    clinic_id: PydanticObjectId | None = None
    begun_at: datetime = Field(default_factory=utc_now)
    due_at: datetime  # when the job takes it

    class Settings:
        name = "withdrawals"
        keep_nulls = False
        indexes = [IndexModel([("due_at", ASCENDING)])]

    @property
    def cause(self) -> DecisionCause:
        """What the appointments are marked with."""
        return DecisionCause(kind=self.kind, id=self.subject, since=self.begun_at)

    @property
    def whose(self) -> dict[str, PydanticObjectId]:
        """The filter for the slots and appointments of its doctor, or of its clinic."""
        if self.doctor_id is not None:
            return {"doctor_id": self.doctor_id}
        assert self.clinic_id is not None  # noqa: S101 - a withdrawal has one of the two
        return {"clinic_id": self.clinic_id}
