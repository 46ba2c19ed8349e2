"""Responses about messages."""

from datetime import datetime

from pydantic import Field

from backend.appointments.documents import Recipient
from backend.core.http.fields import Id, Response
from backend.messaging.documents import ONE_TIME_CODES, CallReason, SmsDirection, SmsKind, SmsLog, SmsStatus


class CallListEntryOut(Response):
    """A patient the staff should call: a message didn't reach them, or their reply needs a person."""

    id: Id
    reason: CallReason = Field(description="Why somebody should call.")
    since: datetime = Field(description="When the entry was made. UTC.")
    kind: SmsKind = Field(description="What the message was about.")
    patient_id: Id | None
    patient_name: str | None
    phone: str | None = Field(
        description="The number the message was meant for, or the reply came from, if there was one. E.164."
    )
    reply: str | None = Field(description="What the patient wrote, if the entry is about a reply.")
    appointment_id: Id | None
    doctor_id: Id | None
    doctor_name: str | None
    clinic_id: Id | None
    clinic_name: str | None
    time_zone: str | None = Field(description="The clinic's IANA time zone.")
    start: datetime | None = Field(description="The start of the appointment. UTC.")
    error_code: int | None = Field(description="Twilio's error code, if the message failed.")
    resolved_at: datetime | None = Field(description="When the call was marked as made. UTC.")

    @classmethod
    def of(cls, log: SmsLog) -> "CallListEntryOut":
        """Returns the entry of a message that is on the call list."""
        assert log.call_list is not None  # noqa: S101 - only messages with an entry are listed
        reply = log.body if log.direction is SmsDirection.INBOUND else None
        return cls.model_validate({**log.model_dump(), **log.call_list.model_dump(), "reply": reply})


class SmsLogOut(Response):
    """A message, sent or received."""

    id: Id
    direction: SmsDirection
    kind: SmsKind
    recipient: Recipient | None
    status: SmsStatus
    phone: str | None = Field(description="The other side's number. E.164.")
    body: str | None = Field(description="The text. Always null for one-time codes.")
    segments: int | None = Field(description="How many SMS segments the text takes.")
    language: str | None
    skip_reason: str | None = Field(description="Why the message wasn't sent, if `status` is `skipped`.")
    error_code: int | None = Field(description="Twilio's error code, if the message failed.")
    attempts: int = Field(description="How often we tried to send it.")
    twilio_sid: str | None
    appointment_id: Id | None
    patient_id: Id | None
    time_zone: str | None = Field(description="The IANA time zone of the appointment's clinic.")
    answer: str | None = Field(description="For a reply: what we answered.")
    created_at: datetime
    sent_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, log: SmsLog) -> "SmsLogOut":
        """Returns a message without the text of a one-time code."""
        body = None if log.kind in ONE_TIME_CODES else log.body
        return cls.model_validate({**log.model_dump(), "body": body})
