"""All transitions but booking and rescheduling: each is one conditional update of one document."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from backend.appointments import repository
from backend.appointments.booking.seat_allocation import same_seat_in_later_generations, seat_freed
from backend.appointments.documents import (
    ACTIVE,
    ActorRole,
    Appointment,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.errors import AppointmentChanged, NotACorrection, PatientDoubleBooked
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import CORRECTIONS, TRANSITIONS, Transition, check
from backend.appointments.permissions import Actor
from backend.core.clock import utc_now
from backend.core.mongo.updates import breaks_index_on
from backend.directory.clinics import get_clinic

Messages = tuple[tuple[MessageKind, Recipient], ...]
"""What to send, and to whom."""

_MESSAGES: dict[TransitionName, Messages] = {
    TransitionName.CONFIRM: ((MessageKind.CONFIRMED, Recipient.DOCTOR),),
    TransitionName.CANCEL: ((MessageKind.CANCELLED, Recipient.PATIENT),),
    TransitionName.NO_SHOW: tuple((MessageKind.NO_SHOW, to) for to in Recipient),
}
_AUTO_CANCEL_MESSAGES: Messages = tuple((MessageKind.AUTO_CANCELLED, to) for to in Recipient)

_NO_MORE_REMINDERS = {"remind_at": None, "auto_cancel_at": None}
"""Set by every transition here: a patient who has confirmed, arrived or cancelled isn't asked again."""


async def confirm(appointment: Appointment, actor: Actor) -> Appointment:
    """Records that the patient will come. Allowed inside the confirmation window only."""
    return await _write(appointment, TransitionName.CONFIRM, actor)


async def cancel(appointment: Appointment, actor: Actor, *, reason: str | None = None) -> Appointment:
    """Cancels an appointment and frees its time, in the same write."""
    return await _write(appointment, TransitionName.CANCEL, actor, reason=reason)


async def auto_cancel(appointment: Appointment, actor: Actor) -> Appointment:
    """Cancels an appointment that nobody confirmed. Patient and doctor get a message."""
    return await _write(
        appointment, TransitionName.CANCEL, actor, reason="not confirmed", messages=_AUTO_CANCEL_MESSAGES
    )


async def check_in(appointment: Appointment, actor: Actor) -> Appointment:
    """Records that the patient has arrived."""
    return await _write(appointment, TransitionName.CHECK_IN, actor)


async def complete(appointment: Appointment, actor: Actor) -> Appointment:
    """Records that the visit is over."""
    return await _write(appointment, TransitionName.COMPLETE, actor)


async def no_show(appointment: Appointment, actor: Actor) -> Appointment:
    """Records that the patient didn't come."""
    return await _write(appointment, TransitionName.NO_SHOW, actor)


async def correct_no_show(appointment: Appointment, actor: Actor, *, to: Status) -> Appointment:
    """Corrects a no-show to `checked_in` or `completed`. Any other status raises `NotACorrection`.

    Correcting to `checked_in` takes the time again: it raises `PatientDoubleBooked` if the patient has another
    appointment then. Seat and daily number may belong to somebody else by now; the patient was there all the same.
    """
    transition = CORRECTIONS.get(to)
    if transition is None:
        raise NotACorrection
    if transition.target not in ACTIVE:
        return await _write(appointment, TransitionName.CORRECT, actor, transition)
    for seat in same_seat_in_later_generations(appointment.seat):
        # It competes with bookings for nothing but the patient's time.
        fields = {"seat": seat, "reserved_seat": None, "daily_number": None}
        try:
            return await _write(appointment, TransitionName.CORRECT, actor, transition, fields=fields)
        except DuplicateKeyError as error:
            if breaks_index_on(error, "ticks"):
                raise PatientDoubleBooked from None
    raise AppointmentChanged


async def annotate(appointment: Appointment, fields: Mapping[str, str | None]) -> Appointment:
    """Changes the reason or the notes. Raises `AppointmentChanged`."""
    if not fields:
        return appointment  # a write would outdate the version that others have read, for nothing
    return await repository.update_unchanged(appointment, fields)


async def _write(
    appointment: Appointment,
    name: TransitionName,
    actor: Actor,
    transition: Transition | None = None,
    *,
    reason: str | None = None,
    fields: Mapping[str, Any] | None = None,
    messages: Messages | None = None,
) -> Appointment:
    """Makes a transition that the table allows. `transition` and `messages` replace the usual ones.

    Raises the errors of `lifecycle.check`, and `AppointmentChanged` if the document was changed since it was read: of
    two transitions at once, one is made.
    """
    transition = transition or TRANSITIONS[name]
    clinic, now = await get_clinic(appointment.clinic_id), utc_now()
    check(transition, appointment, role=actor.role, now=now, rules=clinic.rules)
    entry = actor.history_entry(transition=name, status=transition.target, at=now, reason=reason)
    pending = [
        PendingMessage.about_time(appointment.reschedule_count, kind=kind, to=to, now=now)
        for kind, to in (_usual_messages(name, actor) if messages is None else messages)
    ]
    changed = await repository.update_unchanged(
        appointment,
        {
            **(fields or {}),
            **_NO_MORE_REMINDERS,
            **_fields_of(transition.target, actor, reason=reason, now=now),
            "status": transition.target,
            "active": transition.target in ACTIVE,
        },
        push={
            "history": entry.model_dump(exclude_none=True),
            "pending_messages": {"$each": [message.model_dump() for message in pending]},
        },
    )
    if not changed.active:
        await seat_freed(before=appointment, after=changed)
    if pending:
        await messages_pending.send(None)
    return changed


def _fields_of(target: Status, actor: Actor, *, reason: str | None, now: datetime) -> dict[str, Any]:
    """The other fields that a status sets. Cancelled visits and no-shows free their daily number."""
    if target is Status.CANCELLED:
        by = {"cancelled_by": actor.user_id, "cancel_reason": reason}
        return {"daily_number": None, "cancelled_at": now, **by}
    return {"daily_number": None} if target is Status.NO_SHOW else {}


def _usual_messages(name: TransitionName, actor: Actor) -> Messages:
    """The messages that a transition sends. Nobody gets one about what they did themselves."""
    if name is TransitionName.CANCEL and actor.role is ActorRole.PATIENT:
        return ((MessageKind.CANCELLED_BY_PATIENT, Recipient.DOCTOR),)
    is_doctor = actor.role is ActorRole.DOCTOR  # doctors act on their own appointments only
    messages = _MESSAGES.get(name, ())
    return tuple((kind, to) for kind, to in messages if not (is_doctor and to is Recipient.DOCTOR))
