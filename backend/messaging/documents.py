"""The SMS log. It is the outbox too: what is queued there is sent, and what became of it stays."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from backend.appointments.documents import Recipient
from backend.core.clock import EPOCH, utc_now


class SmsDirection(StrEnum):
    """Which way a message went."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class SmsKind(StrEnum):
    """What a message is: those that appointments owe, codes, and what came in and was answered later."""

    BOOKED = "booked"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    AUTO_CANCELLED = "auto_cancelled"
    NO_SHOW = "no_show"
    CONFIRMED = "confirmed"
    CANCELLED_BY_PATIENT = "cancelled_by_patient"
    VERIFICATION_CODE = "verification_code"
    PASSWORD_CODE = "password_code"  # noqa: S105 - the name of a kind
    REPLY = "reply"
    ANSWER = "answer"


class SmsStatus(StrEnum):
    """Where a message stands.

    Ours: queued → sending → sent, or unknown (posted, perhaps), skipped (never posted, for a reason), failed (refused
    by the carrier). The carrier's: sent → delivered or undelivered. Inbound: received.
    """

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    SKIPPED = "skipped"
    RECEIVED = "received"


class CallReason(StrEnum):
    """Why a person should call the patient."""

    UNDELIVERED = "undelivered"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    NO_PHONE = "no_phone"
    UNKNOWN_OUTCOME = "unknown_outcome"
    TOO_LATE = "too_late"
    CANCELLED_AND_OPTED_OUT = "cancelled_and_opted_out"
    DEADLINE_MISSED = "deadline_missed"


class CallListEntry(BaseModel):
    """An entry of the staff's list, until a person resolves it."""

    call_reason: CallReason
    since: datetime
    is_open: bool = True
    resolved_at: datetime | None = None
    resolved_by: PydanticObjectId | None = None


def call_list_entry(call_reason: CallReason | None, now: datetime) -> dict[str, Any]:
    """The fields that put a message on the staff's list, if there is trouble."""
    return {"call_list": {"reason": call_reason, "since": now, "is_open": True}} if call_reason else {}


class SmsLog(Document):
    """One message. Times are UTC; `phone` is the other side's number, E.164."""

    direction: SmsDirection
    kind: SmsKind
    recipient: Recipient | None = None
    occurrence: int | None = None
    status: SmsStatus
    phone: str | None = None
    body: str | None = None
    segments: int | None = None
    language: str | None = None
    skipped_because: str | None = None

    appointment_id: PydanticObjectId | None = None
    patient_id: PydanticObjectId | None = None
    patient_name: str | None = None
    doctor_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None
    user_id: PydanticObjectId | None = Field(default=None, description="Whose phone it is.")
    start: datetime | None = Field(default=None, description="When the appointment is that it speaks of.")
    reschedule_count: int | None = None
    requests_confirmation: bool = False
    auto_cancel_minutes: int | None = Field(default=None, description="The clinic's, when it was sent.")

    not_before: datetime | None = Field(default=None, description="While queued: when it may go out.")
    expires_at: datetime | None = None
    claimed_until: datetime | None = None
    attempt_id: str | None = None
    attempts: int = 0
    reconcile_at: datetime | None = Field(
        default=None, description="While unknown: when the carrier is asked."
    )
    twilio_sid: str | None = None
    error_code: int | None = None
    answer: str | None = Field(default=None, description="Of an inbound message: what was answered.")
    call_list: CallListEntry | None = None

    created_at: datetime = Field(default_factory=utc_now)
    sending_at: datetime | None = None
    sent_at: datetime | None = None
    handled_at: datetime | None = None
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "sms_logs"
        keep_nulls = False
        indexes = [
            # A message is owed at most once.
            IndexModel(
                [(field, ASCENDING) for field in ("appointment_id", "kind", "recipient", "occurrence")],
                unique=True,
                partialFilterExpression={"occurrence": {"$gte": 0}},
            ),
            *(
                IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={field: {"$gt": ""}})
                for field in ("twilio_sid", "attempt_id")
            ),
            # The dispatcher's work: each holds only what is still to be done.
            *(
                IndexModel([(field, ASCENDING)], partialFilterExpression={field: {"$gt": EPOCH}})
                for field in ("not_before", "claimed_until", "reconcile_at")
            ),
            IndexModel(
                [("call_list.since", DESCENDING), ("_id", DESCENDING)],
                partialFilterExpression={"call_list.is_open": True},
            ),
            *(
                IndexModel([*fields, ("created_at", DESCENDING), ("_id", DESCENDING)])
                for fields in (
                    [],
                    [("patient_id", ASCENDING)],
                    [("appointment_id", ASCENDING)],
                    [("kind", ASCENDING)],
                    [("status", ASCENDING)],
                    [("phone", ASCENDING)],
                )
            ),
        ]

    @property
    def log_id(self) -> PydanticObjectId:
        """The id of a stored message."""
        assert self.id is not None  # noqa: S101 - every message that is read has one
        return self.id
