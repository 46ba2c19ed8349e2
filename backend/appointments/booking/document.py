"""The document that a booking inserts. Built without the models, which would take longer than the insert itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.appointments.booking.seat_allocation import SeatNumbers
from backend.appointments.documents import Exemption, MessageKind, Recipient, Status, TransitionName
from backend.appointments.permissions import Actor
from backend.directory.visit_types.documents import VisitType
from backend.scheduling.fit_ins import FitInPlace
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


@dataclass(frozen=True, slots=True)
class FitInSeats:
    """The seats to try for a fit-in, and the slots of its time that have no free one."""

    held: list[dict[str, Any]]
    overbooked_slots: list[PydanticObjectId]


def fit_in_fields(
    place: FitInPlace, seats: FitInSeats, visit_type: VisitType | None, *, why: str, recheck_at: datetime
) -> dict[str, Any]:
    """Returns the same fields for a fit-in. It counts for the doctor's day without a daily number."""
    of_place = ("doctor_id", "doctor_name", "specialty", "clinic_id", "clinic_name", "time_zone", "start", "end")
    return {
        **{name: getattr(place, name) for name in (*of_place, "ticks")},
        **_type_fields(visit_type),
        "seats": seats.held,
        "overbooked_slots": seats.overbooked_slots or None,
        "clinic_day": place.day,
        "daily_number": None,
        "overbooked": True,
        "overbook_why": why,
        "recheck_at": recheck_at,
    }


NOT_OVERBOOKED: dict[str, None] = dict.fromkeys(("overbooked", "overbook_why", "overbooked_slots", "recheck_at"))
"""Written when a fit-in is rescheduled to a slot like anybody."""


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
    place: Mapping[str, Any],
    *,
    patient_id: PydanticObjectId,
    patient_name: str,
    actor: Actor,
    reason: str | None,
    idempotency_key: str | None,
    request_hash: str | None,
    now: datetime,
    exempt_from: Sequence[Exemption] = (),
) -> dict[str, Any]:
    """Builds a new appointment, field for field what the model `Appointment` would write.

    `place` has the fields of `place_fields` or `fit_in_fields`; `actor` is a logged-in user; `now` is UTC.
    """
    start = place["start"]
    document = {
        "patient_id": patient_id,
        "patient_name": patient_name,
        **place,
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
                "start": start,
                **({"exempt_from": exempt_from} if exempt_from else {}),
                **({"overbook_why": place["overbook_why"]} if "overbook_why" in place else {}),
            }
        ],
        # Who is booked into a slot that has begun is there, and needs no message.
        "pending_messages": [_booked_message(now)] if start > now else [],
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
