"""Rescheduling an appointment: one update of its document. If the new time is taken, it keeps the old one."""

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments import repository
from backend.appointments.booking.document import slot_fields
from backend.appointments.booking.seat_allocation import (
    SeatNumbers,
    SlotToBook,
    allocate_seat,
    alternatives_to,
    read_slot_to_book,
    seat_freed,
)
from backend.appointments.documents import (
    Appointment,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.errors import SameSlot, SlotNotOpen, SlotUnavailable
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import TRANSITIONS, check
from backend.appointments.permissions import Actor, check_may_book
from backend.core.clock import utc_now
from backend.directory.clinics import get_clinic
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.slots.capacity import is_bookable


async def reschedule(appointment: Appointment, caller: User, *, to: PydanticObjectId) -> Appointment:
    """Reschedules an appointment to another slot. It is then `scheduled`, and has to be confirmed again.

    Raises `SlotNotFound`, `SameSlot`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`,
    `OutsideYourScope`, `AppointmentChanged`, and the errors of `lifecycle.check`.
    """
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
    try:
        if not is_bookable(to_book.slot, now):
            raise SlotNotOpen
        rescheduled = await _reschedule(appointment, to_book, actor)
    except SlotUnavailable as refusal:
        refusal.alternatives = await alternatives_to(to)
        raise
    await seat_freed(before=appointment, after=rescheduled)
    await messages_pending.send(None)
    return rescheduled


async def _reschedule(appointment: Appointment, to_book: SlotToBook, actor: Actor) -> Appointment:
    now, slot, reschedule_count = utc_now(), to_book.slot, appointment.reschedule_count + 1
    entry = actor.history_entry(
        transition=TransitionName.RESCHEDULE, status=Status.SCHEDULED, at=now, start=slot.start
    )
    message = PendingMessage.about_time(reschedule_count, kind=MessageKind.RESCHEDULED, to=Recipient.PATIENT, now=now)

    async def update(numbers: SeatNumbers) -> Appointment:
        return await repository.update_unchanged(
            appointment,
            {
                **slot_fields(slot),
                # The patient will be asked to confirm the new time.
                **dict.fromkeys(("confirmation_requested_at", "auto_cancel_at", "confirmation_undelivered")),
                "seat": numbers.seat,
                "reserved_seat": numbers.seat,
                "daily_number": numbers.daily_number,
                "status": Status.SCHEDULED,
                "reschedule_count": reschedule_count,
                "remind_at": now,
                "reminded_until": now,
            },
            push={"history": entry.model_dump(exclude_none=True), "pending_messages": message.model_dump()},
        )

    return await allocate_seat(to_book, patient_id=appointment.patient_id, write=update, rescheduled=appointment)
