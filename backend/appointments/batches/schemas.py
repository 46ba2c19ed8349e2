"""Requests and responses about several visits at once."""

from collections.abc import Sequence

from pydantic import ConfigDict, Field, field_validator

from backend.appointments.batches.book_batch import LONGEST_BATCH, BatchRequest, BookedBatch
from backend.appointments.booking.book import BookingRequest
from backend.appointments.documents import ActorRole, Appointment
from backend.appointments.schemas import AppointmentOut
from backend.core.http.fields import Id, Request, Response, Text

_EXAMPLE_IDS = ("671f0c0e9b1d8a0001a1b2c3", "671f0c0e9b1d8a0001a1b2c4")


class VisitIn(Request):
    """One of the visits to book."""

    slot_id: Id
    visit_type_id: Id | None = Field(
        default=None, description="What to book; the visit starts with the slot. Default: a visit of just this slot."
    )
    reason: Text | None = Field(default=None, description="The reason for the visit. Messages never contain it.")


class BatchIn(Request):
    """The visits to book together, and for whom."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"visits": [{"slot_id": each} for each in _EXAMPLE_IDS]}]}
    )

    patient_id: Id | None = Field(default=None, description="Required when staff book; patients may leave it out.")
    as_patient: bool = Field(default=False, description="For staff: true to book by the rules for patients.")
    visits: list[VisitIn] = Field(
        min_length=1, max_length=LONGEST_BATCH, description="Each in another slot; their times must not overlap."
    )

    @field_validator("visits")
    @classmethod
    def _each_in_another_slot(cls, visits: list[VisitIn]) -> list[VisitIn]:
        if len({visit.slot_id for visit in visits}) < len(visits):
            raise ValueError("names the same slot twice")
        return visits

    def as_request(self, idempotency_key: str | None) -> BatchRequest:
        """Returns it for the service."""
        visits = [BookingRequest(**dict(visit)) for visit in self.visits]
        return BatchRequest(visits=visits, patient_id=self.patient_id, idempotency_key=idempotency_key)


class BatchOut(Response):
    """The appointments of visits that were booked together."""

    batch_id: Id
    items: Sequence[AppointmentOut] = Field(description="In the order of the request.")

    @classmethod
    def for_role(cls, role: ActorRole, booked: BookedBatch) -> "BatchOut":
        """Returns the appointments as this role may see them."""
        found = [Appointment.model_validate(document) for document in booked.documents]
        return cls(batch_id=booked.batch_id, items=[AppointmentOut.for_role(role, each) for each in found])
