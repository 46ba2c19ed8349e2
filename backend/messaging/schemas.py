"""Answers about messages."""

from datetime import datetime
from typing import Any

from pydantic import Field

from backend.appointments.documents import Recipient
from backend.core.http.fields import Id, Response
from backend.messaging.content.content import CODES
from backend.messaging.documents import CallReason, SmsDirection, SmsKind, SmsLog, SmsStatus


class CallListEntryOut(Response):
    """Somebody who could not be reached, and should be called."""

    id: Id
    call_reason: CallReason
    since: datetime
    kind: SmsKind = Field(description="What could not be said.")
    patient_id: Id | None
    patient_name: str | None
    phone: str | None = Field(description="The number that it was meant for, if there was one.")
    appointment_id: Id | None
    doctor_id: Id | None
    clinic_id: Id | None
    start: datetime | None = Field(description="When the appointment is. UTC.")
    error_code: int | None = Field(description="The carrier's, of a failure.")
    resolved_at: datetime | None

    @classmethod
    def of(cls, log: SmsLog) -> "CallListEntryOut":
        """From a message with an entry on the list."""
        assert log.call_list is not None  # noqa: S101 - it was found by that
        return cls.model_validate({**log.model_dump(), **log.call_list.model_dump()})


class SmsLogOut(Response):
    """A message, sent or received."""

    id: Id
    direction: SmsDirection
    kind: SmsKind
    recipient: Recipient | None
    status: SmsStatus
    phone: str | None
    body: str | None = Field(description="The text; never that of a one-time code.")
    segments: int | None
    language: str | None
    skipped_because: str | None
    error_code: int | None
    attempts: int
    twilio_sid: str | None
    appointment_id: Id | None
    patient_id: Id | None
    answer: str | None = Field(description="Of a reply: what it was answered with.")
    created_at: datetime
    sent_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, log: SmsLog) -> "SmsLogOut":
        """A message as it may be shown."""
        found: dict[str, Any] = log.model_dump()
        return cls.model_validate({**found, "body": None if log.kind in CODES else log.body})
