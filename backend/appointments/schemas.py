"""Requests and responses about appointments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import to_json

from backend.accounts.documents import Language
from backend.appointments.documents import ActorRole, Appointment, Exemption, Status, TransitionName
from backend.appointments.lifecycle import AllowedAction
from backend.core.http.fields import Id, Instant, Request, Response, Text
from backend.core.http.json_rows import Rows
from backend.scheduling.availability import MOST_SLOT_MINUTES
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.schemas import Overbooked

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"


_EXAMPLE_FIT_IN: dict[str, JsonValue] = {
    "start": "2026-12-05T09:10:00-05:00",
    "minutes": 20,
    "overbook": True,
    "why": "High fever since the morning",
}


class _FitInTime(Request):
    """The time of a fit-in: the staff book it over taken time, or after hours."""

    _needed: ClassVar[tuple[str, ...]] = ("start", "minutes", "why")

    slot_id: Id | None = Field(default=None, description="Required unless `overbook` is true.")
    overbook: bool = Field(
        default=False,
        description="For staff: true fits the patient in over taken time or after hours. It then needs `start`, "
        "`minutes` and `why`, and no `slot_id`.",
    )
    start: Instant | None = Field(default=None, description="A whole multiple of five minutes.")
    minutes: Annotated[int, Field(ge=5, le=MOST_SLOT_MINUTES, multiple_of=5)] | None = None
    why: Annotated[Text, StringConstraints(min_length=1)] | None = Field(
        default=None, description="Why the patient is fitted in. Only staff see it."
    )

    @model_validator(mode="after")
    def _slot_or_fit_in(self) -> Self:
        given = [name for name in self._needed if getattr(self, name) is not None]
        if not self.overbook:
            if self.slot_id is None:
                raise ValueError("slot_id is required unless overbook is true")
            if given:
                raise ValueError(f"without overbook there must be no {given[0]}")
            return self
        if self.slot_id is not None:
            raise ValueError("with overbook there must be no slot_id")
        if missing := [name for name in self._needed if name not in given]:
            raise ValueError(f"with overbook, {missing[0]} is required")
        return self


class BookIn(_FitInTime):
    """The slot to book, or the time of a fit-in, and for whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"slot_id": _EXAMPLE_ID, "reason": "Yearly check-up"},
                {"doctor_id": _EXAMPLE_ID, "clinic_id": _EXAMPLE_ID, "patient_id": _EXAMPLE_ID, **_EXAMPLE_FIT_IN},
            ]
        }
    )

    _needed: ClassVar[tuple[str, ...]] = ("doctor_id", "clinic_id", "start", "minutes", "why")

    doctor_id: Id | None = Field(default=None, description="Of a fit-in.")
    clinic_id: Id | None = Field(default=None, description="Of a fit-in.")
    visit_type_id: Id | None = Field(
        default=None, description="What to book; the visit starts with the slot. Default: a visit of just this slot."
    )
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


class RescheduleIn(_FitInTime, TransitionIn):
    """The slot to reschedule to, or the time of a fit-in with the same doctor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slot_id": _EXAMPLE_ID}, _EXAMPLE_FIT_IN]})


class CorrectIn(TransitionIn):
    """The status a no-show is corrected to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "checked_in"}]})

    status: Status = Field(description="`checked_in` or `completed`.", examples=["checked_in"])


class HistoryEntryOut(Response):
    """One transition in the history, or an edit of the reason or the notes."""

    transition: TransitionName
    status: Status
    at: datetime
    by: Id | None
    by_name: str
    by_role: ActorRole
    reason: str | None
    start: datetime | None
    exempt_from: list[Exemption] | None = Field(description="Rules of the visit type that the staff did not keep.")
    overbook_why: str | None = Field(description="Why the staff fitted it in; always null for patients.")


class AllowedActionOut(Response):
    """A transition that the caller can make: now, or from `from` on."""

    action: TransitionName
    status: Status = Field(description="The status that it leads to.")
    since: datetime | None = Field(
        serialization_alias="from", description="When it becomes available, UTC; null: it is."
    )
    until: datetime | None = Field(description="When it stops being available, UTC; null: at no fixed time.")


class DecisionCauseOut(Response):
    """A withdrawal that hit an appointment; or a merge of its patient's records, who has another one at this time."""

    kind: CauseKind
    id: Id | None = Field(
        description="The id of the leave, closure, slot, doctor or clinic; for a merge that of the surviving "
        "record; null for hours."
    )
    since: datetime


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
    visit_type_id: Id | None
    visit_type_name: str | None = Field(description="Its name when it was booked. Null: a visit of just one slot.")
    slot_id: Id | None = Field(description="The slot in which it starts. Null for a fit-in.")
    slot_ids: list[Id] = Field(
        description="All slots that it takes, by start; of a fit-in those that had a free seat for it."
    )
    overbooked: Overbooked = Field(description="The staff fitted it in, over taken time or after hours.")
    overbook_why: str | None = Field(description="Why they did; always null for patients.")
    start: datetime
    end: datetime = Field(description="When the patient's visit ends. The last slot may end later.")
    status: Status
    reason: str | None
    needs_decision: list[DecisionCauseOut] | None = Field(
        description="What withdrew its time, while nobody has decided. Null or empty: nothing. Null for patients."
    )
    version: int


class _AppointmentRows(Rows):
    """Writes stored appointments. Of their seats a response shows only the slots."""

    def __init__(self, model: type[AppointmentRow]) -> None:
        super().__init__(model)
        self.projection = {**self.projection, "seats.slot": 1}
        for computed in ("slot_id", "slot_ids"):
            del self.projection[computed]

    def row(self, document: Mapping[str, Any]) -> dict[str, Any]:
        row = super().row(document)
        row["slot_ids"] = slot_ids = [str(held["slot"]) for held in document["seats"]]
        row["overbooked"] = is_fit_in = bool(document.get("overbooked"))
        row["slot_id"] = None if is_fit_in else slot_ids[0]
        if row.get("needs_decision"):
            row["needs_decision"] = [_cause(cause) for cause in row["needs_decision"]]
        return row


def _cause(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a cause, whose `id` is not that of a document. Hours have none."""
    subject = stored.get("id")
    return {"kind": stored["kind"], "id": None if subject is None else str(subject), "since": stored["since"]}


APPOINTMENT_ROWS = _AppointmentRows(AppointmentRow)


class PatientReport(Response):
    """The coming appointments of a patient who was deactivated."""

    appointments: list[AppointmentRow] = Field(description="By start, as they are then.")


class AppointmentOut(AppointmentRow):
    """An appointment with its history."""

    instructions: dict[Language, str] | None = Field(
        description="What the patient should know or bring, by language. Null: nothing."
    )
    telehealth_url: str | None = Field(
        default=None,
        description="Where the visit takes place online. Only for the patient, in the response to reading the "
        "appointment, from when it can be confirmed until its end.",
    )
    notes: str | None = Field(description="Notes by the staff; always null for patients.")
    history: list[HistoryEntryOut]
    cancelled_at: datetime | None
    cancelled_by: Id | None
    cancel_reason: str | None
    created_by: Id
    created_at: datetime
    updated_at: datetime
    allowed_actions: list[AllowedActionOut] | None = Field(
        default=None,
        description="What the caller can do, now or later. Null in the response to a booking; `GET` it then.",
    )

    @classmethod
    def for_role(
        cls, role: ActorRole, appointment: Appointment, actions: Sequence[AllowedAction] | None = None
    ) -> "AppointmentOut":
        """Returns the appointment as this role may see it, with what the caller can do."""
        out = cls.model_validate(appointment)
        if actions is not None:
            out.allowed_actions = [AllowedActionOut.model_validate(action) for action in actions]
        if role is ActorRole.PATIENT:
            out.notes = out.needs_decision = out.overbook_why = None
            for entry in out.history:
                entry.overbook_why = None
        return out

    @classmethod
    def json_for_role(cls, role: ActorRole, document: Mapping[str, Any]) -> bytes:
        """Returns the same as JSON, from the stored document: building the model would take 40 µs more."""
        row = _APPOINTMENT.row(document)
        row["history"] = [_HISTORY_ENTRY.row(entry) for entry in document["history"]]
        if role is ActorRole.PATIENT:
            row["notes"] = row["needs_decision"] = row["overbook_why"] = None
            for entry in row["history"]:
                entry["overbook_why"] = None
        return to_json(row)


_APPOINTMENT, _HISTORY_ENTRY = _AppointmentRows(AppointmentOut), Rows(HistoryEntryOut)
