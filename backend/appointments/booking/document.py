"""The document that a booking inserts. Built without the models, which would take longer than the insert itself."""

from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.appointments.booking.seat_allocation import SeatNumbers
from backend.appointments.documents import MessageKind, Recipient, Status, TransitionName
from backend.appointments.permissions import Actor
from backend.scheduling.documents import Slot
from backend.scheduling.slots.capacity import BookableSlot


def slot_fields(slot: Slot | BookableSlot) -> dict[str, Any]:
    """Returns the fields that an appointment copies from its slot."""
    return {
        "doctor_id": slot.doctor_id,
        "doctor_name": slot.doctor_name,
        "specialty": slot.specialty,
        "clinic_id": slot.clinic_id,
        "clinic_name": slot.clinic_name,
        "time_zone": slot.time_zone,
        "slot_id": slot.id,
        "start": slot.start,
        "end": slot.end,
        "clinic_day": slot.day,
        "ticks": slot.ticks,
    }


def new_appointment(
    slot: Slot | BookableSlot,
    numbers: SeatNumbers,
    *,
    patient_id: PydanticObjectId,
    patient_name: str,
    actor: Actor,
    reason: str | None,
    idempotency_key: str | None,
    request_hash: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Builds a new appointment, field for field what the model `Appointment` would write.

    `actor` is a logged-in user; `now` is UTC.
    """
    document = {
        "patient_id": patient_id,
        "patient_name": patient_name,
        **slot_fields(slot),
        "seat": numbers.seat,
        "reserved_seat": numbers.seat,
        "daily_number": numbers.daily_number,
        "status": Status.SCHEDULED,
        "active": True,
        "reason": reason,
        "history": [
            {
                "transition": TransitionName.BOOK,
                "status": Status.SCHEDULED,
                "at": now,
                "by": actor.user_id,
                "by_name": actor.name,
                "by_role": actor.role,
                "start": slot.start,
            }
        ],
        "pending_messages": [
            {
                "kind": MessageKind.BOOKED,
                "to": Recipient.PATIENT,
                "occurrence": 0,
                "reschedule_count": 0,
                "pending_since": now,
                "requests_confirmation": False,
            }
        ],
        "remind_at": now,
        "reminded_until": now,
        "reminders": 0,
        "reschedule_count": 0,
        "version": 1,
        "created_by": actor.user_id,
        "idempotency_key": idempotency_key,
        "request_hash": request_hash,
        "created_at": now,
        "updated_at": now,
    }
    return {name: value for name, value in document.items() if value is not None}
