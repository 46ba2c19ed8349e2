"""Requests and responses about appointments."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field
from pydantic_core import to_json

from backend.appointments.documents import ActorRole, Appointment, Status, TransitionName
from backend.core.http.fields import Id, Request, Response, Text
from backend.core.http.json_rows import Rows

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"


class BookIn(Request):
    """The slot to book, and for whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slot_id": _EXAMPLE_ID, "reason": "Yearly check-up"}]})

    slot_id: Id
    patient_id: Id | None = Field(default=None, description="Required when staff book; patients may leave it out.")
    reason: Text | None = Field(default=None, description="The reason for the visit. Messages never contain it.")


class TransitionIn(Request):
    """A transition."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 1}]})

    version: int | None = Field(
        default=None,
        ge=1,
        le=2**31,
        description="The `version` you have read. If the appointment has changed since, the request fails with "
        "`APPOINTMENT_CHANGED`. Leave it out to apply the request to the present version.",
    )


class AppointmentPatch(TransitionIn):
    """The fields that can change without a transition. Only staff see and change `notes`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Follow-up"}]})

    reason: Text | None = None
    notes: Text | None = None


class CancelIn(TransitionIn):
    """A cancellation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "I am travelling", "version": 1}]})

    reason: Text | None = Field(default=None, description="Kept in the history. Messages never contain it.")


class RescheduleIn(TransitionIn):
    """The slot to reschedule to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slot_id": _EXAMPLE_ID}]})

    slot_id: Id


class CorrectIn(TransitionIn):
    """The status a no-show is corrected to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "checked_in"}]})

    status: Status = Field(description="`checked_in` or `completed`.", examples=["checked_in"])


class HistoryEntryOut(Response):
    """One transition in the history."""

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

    notes: str | None = Field(description="Notes by the staff; always null for patients.")
    history: list[HistoryEntryOut]
    cancelled_at: datetime | None
    cancelled_by: Id | None
    cancel_reason: str | None
    created_by: Id
    created_at: datetime
    updated_at: datetime

    @classmethod
    def for_role(cls, role: ActorRole, appointment: Appointment) -> "AppointmentOut":
        """Returns the appointment as this role may see it."""
        out = cls.model_validate(appointment)
        if role is ActorRole.PATIENT:
            out.notes = None
        return out

    @classmethod
    def json_for_role(cls, role: ActorRole, document: Mapping[str, Any]) -> bytes:
        """Returns the same as JSON, from the stored document: building the model would take 40 µs more."""
        row = _APPOINTMENT.row(document)
        row["history"] = [_HISTORY_ENTRY.row(entry) for entry in document["history"]]
        if role is ActorRole.PATIENT:
            row["notes"] = None
        return to_json(row)


_APPOINTMENT, _HISTORY_ENTRY = Rows(AppointmentOut), Rows(HistoryEntryOut)
