"""Rescheduling an appointment: one update of its document. If the new time is taken, it keeps the old one."""

from collections.abc import Mapping, Sequence
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.access import is_staff
from backend.accounts.documents import User
from backend.appointments import repository
from backend.appointments.booking.document import NOT_OVERBOOKED, place_fields
from backend.appointments.booking.rules import check_notice, check_online
from backend.appointments.booking.seat_allocation import (
    SeatNumbers,
    allocate_seats,
    alternatives_to,
    read_run,
    seats_freed,
)
from backend.appointments.booking.slot_to_book import SlotToBook, read_slot_to_book
from backend.appointments.documents import (
    UNDECIDED,
    Appointment,
    Exemption,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.errors import SameSlot, SlotNotOpen, SlotUnavailable
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import TRANSITIONS, check
from backend.appointments.permissions import Actor, check_may_book, check_not_own, exemptions
from backend.core.clock import utc_now
from backend.directory.clinics import get_clinic
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import get_visit_type
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.slots.capacity import is_bookable, is_bookable_by_staff
from backend.scheduling.slots.runs import Visit


async def reschedule(appointment: Appointment, caller: User, *, to: PydanticObjectId) -> Appointment:
    """Reschedules an appointment to start with another slot. It is then `scheduled`, and has to be confirmed again.

    A visit of some type takes as many slots as its type says now. Its old and its new slots may overlap.

    Raises `SlotNotFound`, `SameSlot`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`,
    `OutsideYourScope`, `OwnAppointment`, `OwnSlot`, `AppointmentChanged`, `VisitTypeNotOffered`, `NotEnoughTime`,
    `StaffOnly`, `NoticeTooShort`, and the errors of `lifecycle.check`.
    """
    await check_not_own(caller, appointment.patient_id)
    actor, now = Actor.of(caller), utc_now()
    clinic = await get_clinic(appointment.clinic_id)
    transition = TRANSITIONS[TransitionName.RESCHEDULE]
    check(transition, appointment, role=actor.role, now=now, rules=clinic.rules)
    if to == appointment.slot_id:
        raise SameSlot
    to_book = await read_slot_to_book(to)
    if to_book is None:
        raise SlotNotFound
    check_may_book(caller, to_book.slot)
    visit_type = await type_of(appointment)
    if visit_type is not None:
        check_online(caller, visit_type)
    try:
        if not (is_bookable_by_staff if is_staff(caller) else is_bookable)(to_book.slot, now):
            raise SlotNotOpen
        rescheduled = await _reschedule(appointment, to_book, visit_type, caller)
    except SlotUnavailable as refusal:
        visit = visit_type and Visit.of(visit_type)
        refusal.alternatives = await alternatives_to(to, visit=visit, for_staff=is_staff(caller))
        raise
    await seats_freed(before=appointment, after=rescheduled)
    await messages_pending.send(None)
    return rescheduled


async def type_of(appointment: Appointment) -> VisitType | None:
    """Returns the appointment's visit type as it is now. One that was deactivated still serves its appointments."""
    return None if appointment.visit_type_id is None else await get_visit_type(appointment.visit_type_id)


async def _reschedule(
    appointment: Appointment, to_book: SlotToBook, visit_type: VisitType | None, caller: User
) -> Appointment:
    start = to_book.slot.start
    exempt_from = check_notice(caller, visit_type, start, utc_now()) if visit_type is not None else []
    run, claims = await read_run(to_book, visit_type and Visit.of(visit_type), rescheduled=appointment)

    async def update(numbers: SeatNumbers) -> Appointment:
        place = {**place_fields(run, numbers, visit_type), **NOT_OVERBOOKED}
        return await write_new_time(appointment, caller, place, exempt_from=exempt_from)

    return await allocate_seats(run, claims, patient_id=appointment.patient_id, write=update, rescheduled=appointment)


async def write_new_time(
    appointment: Appointment, caller: User, place: Mapping[str, Any], *, exempt_from: Sequence[Exemption]
) -> Appointment:
    """Writes a new place and time, if nobody has changed the appointment since it was read.

    `place` has the fields of `place_fields` or `fit_in_fields`. Raises `AppointmentChanged`, and `DuplicateKeyError`
    if a unique index refuses it.
    """
    actor, now, reschedule_count = Actor.of(caller), utc_now(), appointment.reschedule_count + 1
    exempt = [*(exemptions(actor, appointment, now) or []), *exempt_from]
    entry = actor.history_entry(
        transition=TransitionName.RESCHEDULE,
        status=Status.SCHEDULED,
        at=now,
        start=place["start"],
        exempt_from=exempt or None,
        overbook_why=place["overbook_why"],
    )
    message = PendingMessage.about_time(reschedule_count, kind=MessageKind.RESCHEDULED, to=Recipient.PATIENT, now=now)
    messages = [message.model_dump()] if place["start"] > now else []  # else the patient is there
    return await repository.update_unchanged(
        appointment,
        {
            **place,
            **UNDECIDED,
            # The patient will be asked to confirm the new time.
            **dict.fromkeys(("confirmation_requested_at", "auto_cancel_at", "confirmation_undelivered")),
            "status": Status.SCHEDULED,
            "reschedule_count": reschedule_count,
            "remind_at": now,
            "reminded_until": now,
        },
        push={"history": entry.model_dump(exclude_none=True), "pending_messages": {"$each": messages}},
    )
