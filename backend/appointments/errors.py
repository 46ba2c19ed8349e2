"""What can go wrong with booking and moving. What a status or the time forbids stands in `lifecycle`."""

from typing import Any

from pydantic import Field

from backend.core.http.errors import Conflict, ErrorBody, Forbidden, NotFound, Unprocessable
from backend.scheduling.schemas import SlotOut


class AppointmentNotFound(NotFound):
    """No such appointment, or not for the caller."""

    code = "APPOINTMENT_NOT_FOUND"
    detail = "There is no such appointment, or not for you."


class PatientRequired(Unprocessable):
    """The staff book for somebody, and must say for whom."""

    code = "PATIENT_REQUIRED"
    detail = "Say for which patient: patient_id is needed when the staff book."


class OutsideYourScope(Forbidden):
    """A doctor books into his own slots, a nurse into those of her clinics."""

    code = "OUTSIDE_YOUR_SCOPE"
    detail = "You may book only into your own slots, or those of your clinics."


class WithAlternatives(ErrorBody):
    """An error that names what is still free."""

    alternatives: list[SlotOut] = Field(
        description="The doctor's next free slots, at most three, earliest first."
    )


class SlotUnavailable(Conflict):
    """The root of what may be answered with other slots."""

    body = WithAlternatives

    def __init__(self, alternatives: list[SlotOut] | None = None) -> None:
        super().__init__()
        self.alternatives = alternatives or []

    def content(self) -> dict[str, Any]:
        """The usual body and the alternatives."""
        return {
            **super().content(),
            "alternatives": [slot.model_dump(mode="json") for slot in self.alternatives],
        }

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Nothing else is free."""
        return {**super().example(), "alternatives": []}


class SlotTaken(SlotUnavailable):
    """Every seat of the slot is held."""

    code = "SLOT_TAKEN"
    detail = "The slot has just been taken."


class SlotNotOpen(SlotUnavailable):
    """The slot was withdrawn, or has begun."""

    code = "SLOT_NOT_OPEN"
    detail = "This slot can't be booked any more."


class DayFull(SlotUnavailable):
    """The doctor sees no more patients on that day."""

    code = "DAY_FULL"
    detail = "The doctor sees no more patients on this day."


class PatientDoubleBooked(Conflict):
    """The patient has another appointment in this time."""

    code = "PATIENT_DOUBLE_BOOKED"
    detail = "The patient already has an appointment in this time."


class AppointmentChanged(Conflict):
    """Somebody else changed the appointment between reading and writing."""

    code = "APPOINTMENT_CHANGED"
    detail = "The appointment was changed by somebody else meanwhile. Read it again and decide anew."


class SameSlot(Unprocessable):
    """A move to where the appointment already is."""

    code = "SAME_SLOT"
    detail = "The appointment already is in this slot."


class NotACorrection(Unprocessable):
    """A no-show can be corrected only to what it can have been."""

    code = "NOT_A_CORRECTION"
    detail = "A no-show can be corrected to checked_in or completed only."


class IdempotencyKeyReused(Unprocessable):
    """The key belongs to another request."""

    code = "IDEMPOTENCY_KEY_REUSED"
    detail = "This Idempotency-Key was used for a different request."
