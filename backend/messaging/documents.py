"""The SMS log: one document per message, sent or received. It is also the outbox: messages wait in it."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from backend.appointments.documents import Recipient
from backend.core.clock import EPOCH, utc_now


class SmsDirection(StrEnum):
    """Whether we sent a message or received it."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class SmsKind(StrEnum):
    """What a message is: about an appointment, a one-time code, a patient's reply, or a late answer to one."""

    BOOKED = "booked"
    REMINDER = "reminder"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"
    AUTO_CANCELLED = "auto_cancelled"
    NO_SHOW = "no_show"
    CONFIRMED = "confirmed"
    CANCELLED_BY_PATIENT = "cancelled_by_patient"
    VERIFICATION_CODE = "verification_code"
    JOINING_CODE = "joining_code"
    PASSWORD_CODE = "password_code"  # noqa: S105 - the name of a kind
    REPLY = "reply"
    ANSWER = "answer"


APPOINTMENT_COPY = (
    *("patient_id", "patient_name", "doctor_id", "doctor_name"),
    *("clinic_id", "clinic_name", "time_zone", "start"),
)
"""The fields of an appointment that the log copies."""

ONE_TIME_CODES = frozenset({SmsKind.VERIFICATION_CODE, SmsKind.PASSWORD_CODE, SmsKind.JOINING_CODE})
"""The user waits for these: they ignore quiet hours. Their text is deleted once the carrier has it."""

CODE_HEAD_START = timedelta(days=1)
"""The queue is sorted by `not_before`. Codes get an earlier one, so that none waits behind ten thousand reminders."""


class SmsStatus(StrEnum):
    """Where a message stands.

    We set: queued → sending → sent; unknown (the carrier may have it), skipped (not sent, `skip_reason` says why),
    failed (the carrier refused it). The carrier reports: sent → delivered or undelivered. Inbound: received.
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
    """Why the staff should call the patient."""

    UNDELIVERED = "undelivered"
    REFUSED = "refused"
    OPTED_OUT = "opted_out"
    NO_PHONE = "no_phone"
    UNKNOWN_OUTCOME = "unknown_outcome"
    TOO_LATE = "too_late"
    CANCELLED_AND_OPTED_OUT = "cancelled_and_opted_out"
    DEADLINE_MISSED = "deadline_missed"
    EXTENSION = "extension"
    NOT_UNDERSTOOD = "not_understood"
    LATE_CANCELLATION = "late_cancellation"  # the patient asked to cancel after the visit type's notice


class CallListEntry(BaseModel):
    """An entry of the staff's call list. It is open until somebody marks the call as made."""

    reason: CallReason
    since: datetime
    is_open: bool = True
    resolved_at: datetime | None = None
    resolved_by: PydanticObjectId | None = None


def call_list_entry(reason: CallReason | None, now: datetime) -> dict[str, Any]:
    """Returns the fields that put a message on the call list; none without a reason."""
    return {"call_list": {"reason": reason, "since": now, "is_open": True}} if reason else {}


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
    skip_reason: str | None = None

    appointment_id: PydanticObjectId | None = None
    patient_id: PydanticObjectId | None = None
    merged_from: list[PydanticObjectId] | None = Field(
        default=None, description="The records from which merges brought it here, the last one at the end."
    )
    patient_name: str | None = None
    doctor_id: PydanticObjectId | None = None
    doctor_name: str | None = None
    clinic_id: PydanticObjectId | None = None
    clinic_name: str | None = None
    time_zone: str | None = Field(default=None, description="The clinic's, an IANA name.")
    user_id: PydanticObjectId | None = Field(
        default=None, description="The account that gets it, if no patient does: a doctor, or who requested a code."
    )
    start: datetime | None = Field(default=None, description="The appointment's, when this was written.")
    reschedule_count: int | None = None
    requests_confirmation: bool = False
    auto_cancel_minutes: int | None = Field(default=None, description="The clinic's, when it was sent.")

    not_before: datetime | None = Field(default=None, description="While queued: when it may be sent.")
    expires_at: datetime | None = None
    claimed_until: datetime | None = None
    attempt_id: str | None = None
    attempts: int = 0
    reconcile_at: datetime | None = Field(default=None, description="While unknown: when to ask the carrier.")
    twilio_sid: str | None = None
    error_code: int | None = None
    answer: str | None = Field(default=None, description="Of a reply: what we answered.")
    not_understood: bool | None = Field(default=None, description="Of a reply: whether we could not read it.")
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
            # A pending message is logged at most once.
            IndexModel(
                [(field, ASCENDING) for field in ("appointment_id", "kind", "recipient", "occurrence")],
                unique=True,
                partialFilterExpression={"occurrence": {"$gte": 0}},
            ),
            *(
                IndexModel([(field, ASCENDING)], unique=True, partialFilterExpression={field: {"$gt": ""}})
                for field in ("twilio_sid", "attempt_id")
            ),
            # What is due. Each of these holds only messages that are still to be processed.
            *(
                IndexModel([(field, ASCENDING)], partialFilterExpression={field: {"$gt": EPOCH}})
                for field in ("not_before", "claimed_until", "reconcile_at")
            ),
            IndexModel([("created_at", DESCENDING), ("_id", DESCENDING)]),
            IndexModel(
                [("call_list.since", DESCENDING), ("_id", DESCENDING)],
                partialFilterExpression={"call_list.is_open": True},
            ),
            *(
                IndexModel([(field, ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)])
                for field in ("patient_id", "appointment_id", "kind", "status", "phone")
            ),
        ]


def queued_message(now: datetime, **fields: Any) -> dict[str, Any]:
    """Returns a message that waits to be sent, as the log stores it. `fields` are those of `SmsLog`."""
    return {
        "direction": SmsDirection.OUTBOUND,
        "status": SmsStatus.QUEUED,
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
        **fields,
    }


class SenderPace(Document):
    """How many messages a sender has used of a second."""

    id: str  # type: ignore[assignment]  # Beanie's way to declare another type of id
    second: int
    used: int

    class Settings:
        name = "sender_paces"
