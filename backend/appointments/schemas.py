"""Requests and answers about appointments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from pydantic_core import to_json

from backend.appointments.documents import ActorRole, Appointment, Status, TransitionName
from backend.core.http.fields import Id, Request, Response, Text
from backend.core.http.json_rows import Rows

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"
_VERSION = (
    "The `version` that you have read. If the appointment has changed since, the step is refused with "
    "`APPOINTMENT_CHANGED` and nothing happens. Leave it out to act on whatever the appointment now is."
)


class BookIn(Request):
    """Which slot, and for whom."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"slot_id": _EXAMPLE_ID, "reason": "Yearly check-up"}]}
    )

    slot_id: Id
    patient_id: Id | None = Field(default=None, description="The staff say for whom; patients leave it out.")
    reason: Text | None = Field(default=None, description="Why the patient comes. Never part of a message.")


class AppointmentPatch(Request):
    """What may change without a step. `notes` are the staff's own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Follow-up"}]})

    reason: Text | None = None
    notes: Text | None = None
    version: int | None = Field(default=None, ge=1, le=2**31, description=_VERSION)


class TransitionIn(Request):
    """A step without more to say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: int | None = Field(default=None, ge=1, le=2**31, description=_VERSION)


class CancelIn(TransitionIn):
    """A cancellation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "I am travelling", "version": 1}]})

    reason: Text | None = Field(default=None, description="Kept in the history; never part of a message.")


class RescheduleIn(TransitionIn):
    """Where to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slot_id": _EXAMPLE_ID}]})

    slot_id: Id


class CorrectIn(TransitionIn):
    """What the no-show really was."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "checked_in"}]})

    status: Status = Field(description="`checked_in` or `completed`.", examples=["checked_in"])


class HistoryEntryOut(Response):
    """One line of the history."""

    transition: TransitionName
    status: Status
    at: datetime
    by: Id | None
    by_name: str
    by_role: ActorRole
    reason: str | None
    start: datetime | None


class AppointmentRow(Response):
    """An appointment in a list. Times are UTC; show them in `time_zone`."""

    id: Id
    patient_id: Id
    patient_name: str
    doctor_id: Id
    doctor_name: str
    specialty: str
    clinic_id: Id
    clinic_name: str
    time_zone: str = Field(examples=["America/New_York"])
    slot_id: Id
    start: datetime
    end: datetime
    status: Status
    reason: str | None
    version: int


APPOINTMENT_ROWS = Rows(AppointmentRow)


class AppointmentOut(AppointmentRow):
    """An appointment with its history."""

    notes: str | None = Field(description="The staff's notes; always null for patients.")
    history: list[HistoryEntryOut]
    cancelled_at: datetime | None
    cancelled_by: Id | None
    cancel_reason: str | None
    created_by: Id
    created_at: datetime
    updated_at: datetime

    @classmethod
    def seen_by(cls, role: ActorRole, appointment: Appointment) -> "AppointmentOut":
        """As somebody of this role may see it."""
        out = cls.model_validate(appointment)
        if role is ActorRole.PATIENT:
            out.notes = None
        return out

    @classmethod
    def json_seen_by(cls, role: ActorRole, document: Mapping[str, Any]) -> bytes:
        """The same as JSON, from the stored document: making the model would take 40 µs more."""
        shown = _APPOINTMENT.row(document)
        shown["history"] = [_STEP.row(line) for line in document["history"]]
        if role is ActorRole.PATIENT:
            shown["notes"] = None
        return to_json(shown)


_APPOINTMENT, _STEP = Rows(AppointmentOut), Rows(HistoryEntryOut)
