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
    """Staff book for a patient and must name them; so must an account without a record of its own."""

    code = "PATIENT_REQUIRED"
    detail = "`patient_id` is required when staff book, and for accounts without a patient record of their own."


class OutsideYourScope(Forbidden):
    """Doctors book their own slots, nurses those of their clinics."""

    code = "OUTSIDE_YOUR_SCOPE"
    detail = "Doctors can book only their own slots, nurses only slots of their clinics."


class OwnAppointment(Forbidden):
    """The caller acts for the patient, so a colleague must do this. As a patient they do what patients may."""

    code = "OWN_APPOINTMENT"
    detail = "You act for this patient yourself. Use `as_patient` to do what patients can; a colleague does the rest."


class OwnSlot(Forbidden):
    """The slot is the caller's own: doctors don't book, as patients, with themselves."""

    code = "OWN_SLOT"
    detail = "You are the doctor of this slot. Book with somebody else."


class WithAlternatives(ErrorBody):
    """The body of an error that offers other slots."""

    alternatives: list[SlotOut] = Field(
        description="The doctor's free slots nearest to the wanted time, before and after it, at most three; then at "
        "most two of other doctors of the specialty in the city."
    )


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


class NotEnoughTime(SlotUnavailable):
    """The doctor has a free slot there, but not enough of them in a row for this visit."""

    code = "NOT_ENOUGH_TIME"
    detail = "The doctor's free time from this slot on is too short for this visit. Choose another start."


class VisitTypeNotOffered(Unprocessable):
    """The slot's doctor doesn't offer this visit type, or it is another clinic's."""

    code = "VISIT_TYPE_NOT_OFFERED"
    detail = "The doctor of this slot doesn't offer this visit type at this clinic."


class StaffOnly(Forbidden):
    """The visit type is booked by staff only."""

    code = "STAFF_ONLY"
    detail = "This visit can't be booked online. Please call the clinic."


class TooManyOpenBookings(Conflict):
    """The patient has as many coming visits of this type as they may book."""

    code = "TOO_MANY_OPEN_BOOKINGS"
    detail = "The patient already has as many coming visits of this type as can be booked online."


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


class TransferOntoItself(Unprocessable):
    """A day would be transferred to the same doctor on the same date."""

    code = "TRANSFER_ONTO_ITSELF"
    detail = "The day can't be transferred onto itself. Choose another doctor or another date."


class NoDecisionNeeded(Conflict):
    """Nothing has withdrawn the appointment's time, or somebody has decided already."""

    code = "NO_DECISION_NEEDED"
    detail = "This appointment doesn't need a decision."


class NotACorrection(Unprocessable):
    """A no-show can be corrected to two statuses only."""

    code = "NOT_A_CORRECTION"
    detail = "A no-show can be corrected only to `checked_in` or `completed`."


class IdempotencyKeyReused(Unprocessable):
    """The caller used the key for another request."""

    code = "IDEMPOTENCY_KEY_REUSED"
    detail = "This `Idempotency-Key` was used for a different request. Use a new key."
