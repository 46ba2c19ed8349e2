"""The appointment: one document that holds its status, how it got there, and the messages that it owes."""

from datetime import datetime
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel

from backend.accounts.documents import Role
from backend.core.clock import EPOCH, utc_now


class Status(StrEnum):
    """Where an appointment stands. `scheduled`, `confirmed` and `checked_in` hold their time."""

    SCHEDULED = "scheduled"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


ACTIVE = frozenset({Status.SCHEDULED, Status.CONFIRMED, Status.CHECKED_IN})


class TransitionName(StrEnum):
    """What can happen to an appointment."""

    BOOK = "book"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    CHECK_IN = "check_in"
    COMPLETE = "complete"
    NO_SHOW = "no_show"
    CORRECT = "correct"


class ActorRole(StrEnum):
    """Who does a step: a role, or the system by itself."""

    PATIENT = Role.PATIENT.value
    DOCTOR = Role.DOCTOR.value
    NURSE = Role.NURSE.value
    ADMIN = Role.ADMIN.value
    SYSTEM = "system"


class HistoryEntry(BaseModel):
    """One line of the history: what happened, when (UTC), by whom, and the status it led to."""

    transition: TransitionName
    status: Status
    at: datetime
    by: PydanticObjectId | None = None
    by_name: str
    by_role: ActorRole
    reason: str | None = None
    start: datetime | None = Field(
        default=None, description="Of book and move: when the appointment then was."
    )


class MessageKind(StrEnum):
    """What a message says."""

    BOOKED = "booked"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    AUTO_CANCELLED = "auto_cancelled"
    NO_SHOW = "no_show"
    CONFIRMED = "confirmed"
    CANCELLED_BY_PATIENT = "cancelled_by_patient"


class Recipient(StrEnum):
    """Whom a message is for."""

    PATIENT = "patient"
    DOCTOR = "doctor"


class PendingMessage(BaseModel):
    """A message that a step owes, written in the same update; struck once messaging has taken it over.

    `(appointment, kind, to, occurrence)` is what makes it one message. It is about the appointment as it was after so
    many `reschedule_count`. A reminder that `requests_confirmation` wants an answer: the last one before the start.
    """

    kind: MessageKind
    to: Recipient
    occurrence: int
    reschedule_count: int
    pending_since: datetime
    requests_confirmation: bool = False


class Appointment(Document):
    """A patient's seat in a doctor's slot. Times are UTC; `clinic_day` is the clinic's calendar day."""

    patient_id: PydanticObjectId
    patient_name: str
    doctor_id: PydanticObjectId
    doctor_name: str
    specialty: str
    clinic_id: PydanticObjectId
    clinic_name: str
    time_zone: str
    slot_id: PydanticObjectId
    seat: int
    reserved_seat: int | None = Field(
        default=None, description="The seat once more: a withdrawal moves `seat` on first, then this."
    )
    daily_number: int | None = None
    clears_full_hint: bool | None = Field(
        default=None, description="Searches pass its slot over as full: whoever frees it tells them."
    )
    start: datetime
    end: datetime
    clinic_day: str
    ticks: list[int]
    status: Status = Status.SCHEDULED
    active: bool = True
    reason: str | None = None
    notes: str | None = None
    history: list[HistoryEntry] = []
    pending_messages: list[PendingMessage] = []
    remind_at: datetime | None = Field(
        default=None, description="When reminders are next looked at; none once all were owed. UTC."
    )
    reminded_until: datetime | None = Field(
        default=None, description="Reminders up to this moment were owed, or came before the booking. UTC."
    )
    reminders: int = Field(default=0, description="How many were owed so far, for earlier times too.")
    confirmation_requested_at: datetime | None = Field(
        default=None, description="When the reminder that asks was handed to the carrier. UTC."
    )
    auto_cancel_at: datetime | None = Field(
        default=None, description="When silence cancels; set only once the patient was asked. UTC."
    )
    confirmation_undelivered: bool | None = Field(
        default=None, description="The patient could not be asked: silence means nothing."
    )
    reschedule_count: int = 0
    version: int = Field(
        default=1, description="Counts the writes; a step applies to the version it has read."
    )
    created_by: PydanticObjectId
    idempotency_key: str | None = None
    request_hash: str | None = Field(default=None, description="Of the request that the key belongs to.")
    cancelled_at: datetime | None = None
    cancelled_by: PydanticObjectId | None = None
    cancel_reason: str | None = None
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "appointments"
        keep_nulls = False
        # The indexes that make a seat one seat are declared where seats are: scheduling.documents.SeatClaim.
        indexes = [
            IndexModel(
                [("patient_id", ASCENDING), ("ticks", ASCENDING)],
                unique=True,
                partialFilterExpression={"active": True, "patient_id": {"$exists": True}},
            ),
            # Any key is greater than an empty one. With `$type` here no search for a key would use the index.
            IndexModel(
                [("created_by", ASCENDING), ("idempotency_key", ASCENDING)],
                unique=True,
                partialFilterExpression={"idempotency_key": {"$gt": ""}},
            ),
            IndexModel([("patient_id", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("doctor_id", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("clinic_id", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("status", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("start", ASCENDING), ("_id", ASCENDING)]),
            # Timed work scans these; all three hold only what is still to be done.
            *(
                IndexModel([(field, ASCENDING)], partialFilterExpression={field: {"$gt": EPOCH}})
                for field in ("remind_at", "auto_cancel_at", "pending_messages.pending_since")
            ),
            # The doctors' statistics and the dashboard count from these alone.
            IndexModel([("doctor_id", ASCENDING), ("clinic_day", ASCENDING), ("status", ASCENDING)]),
            IndexModel([("clinic_day", ASCENDING), ("time_zone", ASCENDING), ("status", ASCENDING)]),
        ]

    @property
    def appointment_id(self) -> PydanticObjectId:
        """The id of a stored appointment."""
        assert self.id is not None  # noqa: S101 - every appointment that is read has one
        return self.id
