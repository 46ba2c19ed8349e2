"""What a booking writes: the appointment's document, built without the models, which cost more than the insert."""

from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.appointments.booking.seat_allocation import Seat
from backend.appointments.documents import MessageKind, Recipient, Status, TransitionName
from backend.appointments.permissions import Actor
from backend.scheduling.documents import Slot
from backend.scheduling.slots.capacity import BookableSlot


def copied(slot: Slot | BookableSlot) -> dict[str, Any]:
    """What an appointment copies of its slot."""
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
    seat: Seat,
    *,
    patient_id: PydanticObjectId,
    patient_name: str,
    actor: Actor,
    reason: str | None,
    idempotency_key: str | None,
    request_hash: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The document of a new appointment, field for field what the model `Appointment` would write.

    `actor` is somebody who is logged in; `now` is UTC.
    """
    document = {
        "patient_id": patient_id,
        "patient_name": patient_name,
        **copied(slot),
        "seat": seat.seat,
        "reserved_seat": seat.seat,
        "daily_number": seat.daily_number,
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
