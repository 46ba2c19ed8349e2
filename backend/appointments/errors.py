"""Errors of reading, booking and rescheduling. Those of status and time are in `lifecycle`."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from backend.core.http.errors import Conflict, ErrorBody, Forbidden, NotFound, Unprocessable
from backend.scheduling.schemas import SlotOut


class AppointmentNotFound(NotFound):
    """No such appointment, or the caller may not see it."""

    code = "APPOINTMENT_NOT_FOUND"
    detail = "No such appointment, or you don't have access."


class PatientRequired(Unprocessable):
    """Staff book for a patient and must name them."""

    code = "PATIENT_REQUIRED"
    detail = "`patient_id` is required when staff book."


class OutsideYourScope(Forbidden):
    """Doctors book their own slots, nurses those of their clinics."""

    code = "OUTSIDE_YOUR_SCOPE"
    detail = "Doctors can book only their own slots, nurses only slots of their clinics."


class WithAlternatives(ErrorBody):
    """The body of an error that offers other slots."""

    alternatives: list[SlotOut] = Field(description="The doctor's next free slots, earliest first; at most three.")


class SlotUnavailable(Conflict):
    """The slot can't be booked. The response offers other slots."""

    body = WithAlternatives
    alternatives: Sequence[SlotOut] = ()

    def content(self) -> dict[str, Any]:
        """Returns the usual body and the alternatives."""
        alternatives = [slot.model_dump(mode="json") for slot in self.alternatives]
        return {**super().content(), "alternatives": alternatives}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An example without alternatives."""
        return {**super().example(), "alternatives": []}


class SlotTaken(SlotUnavailable):
    """Every seat of the slot is taken."""

    code = "SLOT_TAKEN"
    detail = "The slot has just been taken."


class SlotNotOpen(SlotUnavailable):
    """The slot was withdrawn, or has started."""

    code = "SLOT_NOT_OPEN"
    detail = "The slot was withdrawn or has started. Choose another one."


class DayFull(SlotUnavailable):
    """The doctor's limit of patients per day is reached."""

    code = "DAY_FULL"
    detail = "The doctor's limit of patients for that day is reached."


class PatientDoubleBooked(Conflict):
    """The patient has another appointment at that time."""

    code = "PATIENT_DOUBLE_BOOKED"
    detail = "The patient already has an appointment at that time."


class AppointmentChanged(Conflict):
    """Somebody else changed the appointment after it was read."""

    code = "APPOINTMENT_CHANGED"
    detail = "Somebody else has changed the appointment. Reload it and try again."


class SameSlot(Unprocessable):
    """The appointment is already in the slot it would be rescheduled to."""

    code = "SAME_SLOT"
    detail = "The appointment is already in this slot."


class NotACorrection(Unprocessable):
    """A no-show can be corrected to two statuses only."""

    code = "NOT_A_CORRECTION"
    detail = "A no-show can be corrected only to `checked_in` or `completed`."


class IdempotencyKeyReused(Unprocessable):
    """The caller used the key for another request."""

    code = "IDEMPOTENCY_KEY_REUSED"
    detail = "This `Idempotency-Key` was used for a different request. Use a new key."
