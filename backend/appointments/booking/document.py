"""The document that a booking inserts. Built without the models, which would take longer than the insert itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.appointments.booking.seat_allocation import SeatNumbers
from backend.appointments.documents import Exemption, MessageKind, Recipient, Status, TransitionName
from backend.appointments.permissions import Actor
from backend.directory.visit_types.documents import VisitType
from backend.scheduling.slots.runs import Run


def place_fields(run: Run, numbers: SeatNumbers, visit_type: VisitType | None) -> dict[str, Any]:
    """Returns the fields that say where and when an appointment takes place, and which seats it holds."""
    slot = run.first
    return {
        "doctor_id": slot.doctor_id,
        "doctor_name": slot.doctor_name,
        "specialty": slot.specialty,
        "clinic_id": slot.clinic_id,
        "clinic_name": slot.clinic_name,
        "time_zone": slot.time_zone,
        **_type_fields(visit_type),
        "seats": numbers.held_in(run),
        "start": run.start,
        "end": run.end,
        "clinic_day": slot.day,
        "ticks": run.ticks,
        "daily_number": numbers.daily_number,
    }


def _type_fields(visit_type: VisitType | None) -> dict[str, Any]:
    if visit_type is None:
        return {}
    return {
        "visit_type_id": visit_type.visit_type_id,
        "visit_type_name": visit_type.name,
        "cancellation_notice_minutes": visit_type.cancellation_notice_minutes or None,
        "instructions": dict(visit_type.instructions) or None,
    }


def new_appointment(
    run: Run,
    numbers: SeatNumbers,
    *,
    patient_id: PydanticObjectId,
    patient_name: str,
    actor: Actor,
    reason: str | None,
    idempotency_key: str | None,
    request_hash: str | None,
    now: datetime,
    visit_type: VisitType | None = None,
    exempt_from: Sequence[Exemption] = (),
) -> dict[str, Any]:
    """Builds a new appointment, field for field what the model `Appointment` would write.

    `actor` is a logged-in user; `now` is UTC.
    """
    document = {
        "patient_id": patient_id,
        "patient_name": patient_name,
        **place_fields(run, numbers, visit_type),
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
                "start": run.start,
                **({"exempt_from": exempt_from} if exempt_from else {}),
            }
        ],
        # Who is booked into a slot that has begun is there, and needs no message.
        "pending_messages": [_booked_message(now)] if run.start > now else [],
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


def _booked_message(now: datetime) -> dict[str, Any]:
    return {
        "kind": MessageKind.BOOKED,
        "to": Recipient.PATIENT,
        "occurrence": 0,
        "reschedule_count": 0,
        "pending_since": now,
        "requests_confirmation": False,
    }
