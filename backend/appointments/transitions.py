"""All transitions but booking and rescheduling: each is one conditional update of one document."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import User
from backend.appointments import repository
from backend.appointments.booking.seat_allocation import same_seats_in_later_generations, seats_freed
from backend.appointments.documents import (
    ACTIVE,
    UNDECIDED,
    ActorRole,
    Appointment,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.errors import AppointmentChanged, NoDecisionNeeded, NotACorrection, PatientDoubleBooked
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import (
    CORRECTIONS,
    KEEP,
    TRANSITIONS,
    UNDO_CHECK_IN,
    Transition,
    check,
    status_before_check_in,
)
from backend.appointments.permissions import Actor, exemptions
from backend.appointments.queries import get_appointment_to_change
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

_MAX_TRIES = 5

_NO_MORE_REMINDERS = {"remind_at": None, "auto_cancel_at": None}
"""Set by every transition here, unless it leaves the appointment as it was: a patient who has confirmed, arrived or
cancelled isn't asked again."""


async def change_appointment(
    caller: User,
    appointment_id: PydanticObjectId,
    change: Callable[[Appointment], Awaitable[Appointment]],
    *,
    version: int | None,
) -> Appointment:
    """Makes a change to an appointment that the caller may see: any of the transitions here, or a reschedule.

    Without a `version` it applies to the present one. If a withdrawal marks the appointment between reading and
    writing, the change is tried again. If a person changed it, or with a `version`, it raises `AppointmentChanged`.
    Raises `AppointmentNotFound`, and what `change` raises.
    """
    appointment = await get_appointment_to_change(caller, appointment_id, version=version)
    for _ in range(_MAX_TRIES):
        try:
            return await change(appointment)
        except AppointmentChanged:
            again = await get_appointment_to_change(caller, appointment_id)
            if version is not None or len(again.history) != len(appointment.history):
                raise
            appointment = again
    raise AppointmentChanged


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


async def undo_check_in(appointment: Appointment, actor: Actor) -> Appointment:
    """Takes back a check-in by mistake: the appointment is again what it was, and nobody gets a message.

    Reminders go on. Silence no longer cancels, because the staff have dealt with the appointment.
    """
    if appointment.status is not Status.CHECKED_IN:
        transition = UNDO_CHECK_IN[Status.SCHEDULED]  # only to be refused
    else:
        transition = UNDO_CHECK_IN[status_before_check_in(appointment.history)]
    fields = {"remind_at": utc_now()} if transition.target is Status.SCHEDULED else {}
    return await _write(appointment, TransitionName.UNDO_CHECK_IN, actor, transition, fields=fields)


async def left(appointment: Appointment, actor: Actor) -> Appointment:
    """Records that a patient who was checked in left without being seen. Nobody gets a message."""
    return await _write(appointment, TransitionName.LEFT, actor)


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
    for seats in same_seats_in_later_generations(appointment.seats):
        # It competes with bookings for nothing but the patient's time.
        fields = {"seats": [held.model_dump() for held in seats], "daily_number": None}
        try:
            return await _write(appointment, TransitionName.CORRECT, actor, transition, fields=fields)
        except DuplicateKeyError as error:
            if breaks_index_on(error, "ticks"):
                raise PatientDoubleBooked from None
    raise AppointmentChanged


async def keep(appointment: Appointment, actor: Actor) -> Appointment:
    """Decides that an appointment takes place in spite of what withdrew its time. Raises `NoDecisionNeeded`.

    Reminders go on. Silence no longer cancels it.
    """
    if not appointment.needs_decision:
        raise NoDecisionNeeded
    decided = [*(appointment.kept_despite or []), *appointment.needs_decision]
    fields = {
        "needs_decision": None,
        "kept_despite": [cause.model_dump(exclude_none=True) for cause in decided],
        "remind_at": appointment.remind_at,
    }
    return await _write(appointment, TransitionName.KEEP, actor, KEEP[appointment.status], fields=fields)


async def annotate(appointment: Appointment, actor: Actor, fields: Mapping[str, str | None]) -> Appointment:
    """Changes the reason or the notes. The history says who did and when, not what. Raises `AppointmentChanged`."""
    if not fields:
        return appointment  # a write would outdate the version that others have read, for nothing
    entry = actor.history_entry(transition=TransitionName.EDIT, status=appointment.status, at=utc_now())
    return await repository.update_unchanged(
        appointment, fields, push={"history": entry.model_dump(exclude_none=True)}
    )


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
    exempt_from = exemptions(actor, appointment, now) if transition.needs_notice else None
    entry = actor.history_entry(
        transition=name, status=transition.target, at=now, reason=reason, exempt_from=exempt_from
    )
    pending = [
        PendingMessage.about_time(appointment.reschedule_count, kind=kind, to=to, now=now)
        for kind, to in (_usual_messages(name, actor) if messages is None else messages)
    ]
    changed = await repository.update_unchanged(
        appointment,
        {
            **({} if transition.target in repository.OPEN else {"open_number": None}),
            **_NO_MORE_REMINDERS,
            **(fields or {}),
            **({} if transition.target in ACTIVE else UNDECIDED),
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
        await seats_freed(before=appointment, after=changed)
    if pending:
        await messages_pending.send(None)
    return changed


def _fields_of(target: Status, actor: Actor, *, reason: str | None, now: datetime) -> dict[str, Any]:
    """The other fields that a status sets. The day's number of a patient who was not seen is free."""
    if target is Status.CANCELLED:
        by = {"cancelled_by": actor.user_id, "cancel_reason": reason}
        return {"daily_number": None, "cancelled_at": now, **by}
    return {"daily_number": None} if target in (Status.NO_SHOW, Status.LEFT) else {}


def _usual_messages(name: TransitionName, actor: Actor) -> Messages:
    """The messages that a transition sends. Nobody gets one about what they did themselves."""
    if name is TransitionName.CANCEL and actor.role is ActorRole.PATIENT:
        return ((MessageKind.CANCELLED_BY_PATIENT, Recipient.DOCTOR),)
    is_doctor = actor.role is ActorRole.DOCTOR  # doctors act on their own appointments only
    messages = _MESSAGES.get(name, ())
    return tuple((kind, to) for kind, to in messages if not (is_doctor and to is Recipient.DOCTOR))
