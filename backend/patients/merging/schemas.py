"""Requests and responses about merging records."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from bson import ObjectId
from pydantic import AfterValidator, Field

from backend.accounts.fields import example
from backend.core.http.fields import Id, Request, Response
from backend.patients.merging.fields import FieldDifference
from backend.patients.merging.merge import MergeOutcome
from backend.patients.merging.undo import UndoOutcome
from backend.patients.responses import EmergencyContactOut

_ID, _OTHER = "671f0c0e9b1d8a0001a1b2c3", "671f0c0e9b1d8a0001a1b2c4"
_MOST_IDS = 1000

TakenField = Literal[
    "name",
    "email",
    "phone",
    "language",
    "photo_url",
    "date_of_birth",
    "gender",
    "address",
    "blood_group",
    "emergency_contact",
    "assigned_doctor_id",
]
"""A field of which one value survives."""


def _distinct(fields: list[TakenField]) -> list[TakenField]:
    return list(dict.fromkeys(fields))


class MergeIn(Request):
    """The record that is merged into the one of the path, and which of its values are kept."""

    model_config = example(other_id=_OTHER, take=["phone"])

    other_id: Id = Field(description="The record that goes.")
    take: Annotated[list[TakenField], Field(max_length=20), AfterValidator(_distinct)] = Field(
        default=[],
        description="Fields in which the other record's value is kept. In all others it is kept only where the "
        "surviving record has none. Allergies, medical history and notes of both are joined. Ignored if the merge "
        "is repeated.",
    )


class UndoIn(Request):
    """The record that was merged into the one of the path."""

    model_config = example(other_id=_OTHER)

    other_id: Id


FieldValue = str | list[str] | EmergencyContactOut | None


class FieldDifferenceOut(Response):
    """A field in which the other record has a value that the surviving one lacks or has otherwise."""

    field: str
    survivor: FieldValue
    other: FieldValue
    result: FieldValue = Field(description="What the surviving record gets.")


class MovingAppointmentOut(Response):
    """An appointment of one of the two records. Times are UTC; show them in `time_zone`."""

    id: Id
    start: datetime
    end: datetime
    time_zone: str
    doctor_name: str
    clinic_name: str
    status: str = Field(examples=["scheduled"])
    overlaps: list[Id] = Field(description="The patient's other appointments at this time.")


class _Moved(Response):
    appointments: int = Field(description="How many of the patient's appointments move, past ones too.")
    appointment_ids: list[Id] = Field(description=f"Their ids, at most {_MOST_IDS}.")
    conflicts: list[MovingAppointmentOut] = Field(
        description="Appointments that stay where they are, because the patient would be in two places at once. "
        "Reschedule or cancel one of the two: then this one moves, in a few minutes or when the request is repeated."
    )
    messages: int = Field(description="How many messages of the log move.")


class MergeReport(_Moved):
    """What a merge has moved; with `dry_run`, what it would move."""

    model_config = example(
        patient_id=_ID,
        other_id=_OTHER,
        dry_run=False,
        fields=[{"field": "phone", "survivor": "+15550100300", "other": "+15550100301", "result": "+15550100300"}],
        appointments=1,
        appointment_ids=["671f0c0e9b1d8a0001a1b2c5"],
        conflicts=[],
        messages=3,
        links_moved=1,
        links_removed=0,
        undo_until="2026-12-20T09:00:00Z",
    )

    patient_id: Id = Field(description="The record that survives.")
    other_id: Id = Field(description="The record that goes. Its id leads to the other one from now on.")
    dry_run: bool
    fields: list[FieldDifferenceOut]
    links_moved: int = Field(description="How many accounts act for the surviving record as they did for the other.")
    links_removed: int = Field(description="How many links go, because their account acts for both, or is inactive.")
    undo_until: datetime | None = Field(description="Until when the merge can be undone; null in a dry run.")

    @classmethod
    def of(cls, outcome: MergeOutcome) -> Self:
        """Builds it from what a merge has moved."""
        moved = outcome.movement
        return cls(
            patient_id=outcome.survivor.patient_id,
            other_id=outcome.other.patient_id,
            dry_run=outcome.merge is None,
            fields=[_field(each) for each in outcome.fields],
            appointments=len(moved.appointments),
            appointment_ids=moved.appointments[:_MOST_IDS],
            conflicts=[MovingAppointmentOut.model_validate(each) for each in moved.conflicts],
            messages=moved.messages,
            links_moved=len(outcome.links.moving),
            links_removed=len(outcome.links.redundant),
            undo_until=outcome.merge and outcome.merge.undo_until,
        )


class UndoReport(_Moved):
    """What went back when a merge was undone."""

    model_config = example(
        patient_id=_ID,
        other_id=_OTHER,
        fields=["address"],
        appointments=1,
        appointment_ids=["671f0c0e9b1d8a0001a1b2c5"],
        conflicts=[],
        messages=3,
        links=1,
        booked_since=[],
    )

    patient_id: Id = Field(description="The record that had survived.")
    other_id: Id = Field(description="The record that is a patient's again.")
    fields: list[str] = Field(
        description="Fields that are as before the merge, because nobody has changed them since."
    )
    links: int = Field(description="How many accounts act for the other record again.")
    booked_since: list[MovingAppointmentOut] = Field(
        description="Active appointments that were booked since, and stay with the record that had survived."
    )

    @classmethod
    def of(cls, outcome: UndoOutcome) -> Self:
        """Builds it from what went back."""
        moved = outcome.movement
        return cls(
            patient_id=outcome.survivor_id,
            other_id=outcome.other_id,
            fields=outcome.fields,
            appointments=len(moved.appointments),
            appointment_ids=moved.appointments[:_MOST_IDS],
            conflicts=[MovingAppointmentOut.model_validate(each) for each in moved.conflicts],
            messages=moved.messages,
            links=outcome.links,
            booked_since=[MovingAppointmentOut.model_validate(each) for each in moved.booked_since],
        )


def _field(found: FieldDifference) -> FieldDifferenceOut:
    shown = {name: _shown(getattr(found, name)) for name in ("survivor", "other", "result")}
    return FieldDifferenceOut.model_validate({"field": found.field, **shown})


def _shown(value: Any) -> Any:
    """Returns a stored value as JSON shows it."""
    return str(value) if isinstance(value, ObjectId) else value
