"""The steps of an appointment's life but booking and moving: each one conditional update of one document."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.appointments.booking.seat_allocation import refill_behind, seats_above
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
from backend.appointments.errors import (
    AppointmentChanged,
    AppointmentNotFound,
    NotACorrection,
    PatientDoubleBooked,
)
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import CORRECTIONS, TABLE, Rule, check
from backend.appointments.permissions import Actor
from backend.core.clock import utc_now
from backend.core.mongo.updates import changes
from backend.directory.documents import Clinic, Rules

Owes = tuple[tuple[MessageKind, Recipient], ...]

_OWES: dict[TransitionName, Owes] = {
    TransitionName.CONFIRM: ((MessageKind.CONFIRMED, Recipient.DOCTOR),),
    TransitionName.CANCEL: ((MessageKind.CANCELLED, Recipient.PATIENT),),
    TransitionName.NO_SHOW: (
        (MessageKind.NO_SHOW, Recipient.PATIENT),
        (MessageKind.NO_SHOW, Recipient.DOCTOR),
    ),
}


_NOTHING_MORE_TO_ASK = {"remind_at": None, "auto_cancel_at": None}
"""After every step but booking and moving: whoever has confirmed, come or cancelled isn't asked again."""

_SILENT = ((MessageKind.AUTO_CANCELLED, Recipient.PATIENT), (MessageKind.AUTO_CANCELLED, Recipient.DOCTOR))

_OUT_OF_LINE = {"reserved_seat": None, "daily_number": None}
"""A correction asks for none of what bookings compete for but the patient's time."""


async def rules_of(clinic_id: PydanticObjectId) -> Rules:
    """A clinic's policy in force."""
    clinic = await Clinic.get(clinic_id)
    if clinic is None:
        raise AppointmentNotFound
    return clinic.rules


async def confirm(appointment: Appointment, actor: Actor) -> Appointment:
    """The patient will come, in his own words or on the front desk's. Inside the confirmation window only."""
    return await _take(appointment, TransitionName.CONFIRM, actor)


async def cancel(appointment: Appointment, actor: Actor, *, reason: str | None = None) -> Appointment:
    """Frees the time in the same write."""
    return await _write(
        appointment, TransitionName.CANCEL, TABLE[TransitionName.CANCEL], actor, reason=reason
    )


async def cancel_silent(appointment: Appointment, actor: Actor) -> Appointment:
    """Cancels for nobody has confirmed. Both sides are told."""
    return await _write(
        appointment,
        TransitionName.CANCEL,
        TABLE[TransitionName.CANCEL],
        actor,
        reason="not confirmed",
        owes=_SILENT,
    )


async def check_in(appointment: Appointment, actor: Actor) -> Appointment:
    """The patient is there."""
    return await _take(appointment, TransitionName.CHECK_IN, actor)


async def complete(appointment: Appointment, actor: Actor) -> Appointment:
    """The visit is over."""
    return await _take(appointment, TransitionName.COMPLETE, actor)


async def no_show(appointment: Appointment, actor: Actor) -> Appointment:
    """Nobody came."""
    return await _take(appointment, TransitionName.NO_SHOW, actor)


async def correct_no_show(appointment: Appointment, actor: Actor, *, to: Status) -> Appointment:
    """The patient was there after all: `checked_in` or `completed`; anything else raises `NotACorrection`.

    Checking in takes the time up again: `PatientDoubleBooked` if the patient has since been given another appointment
    in it. The seat and the number of the day may have gone to others; the patient was there all the same.
    """
    rule = CORRECTIONS.get(to)
    if rule is None:
        raise NotACorrection
    if rule.target not in ACTIVE:
        return await _write(appointment, TransitionName.CORRECT, rule, actor)
    for seat in seats_above(appointment.seat):
        try:
            return await _write(
                appointment, TransitionName.CORRECT, rule, actor, fields={**_OUT_OF_LINE, "seat": seat}
            )
        except DuplicateKeyError as error:
            if "ticks" in (error.details or {}).get("keyPattern", {}):
                raise PatientDoubleBooked from None
    raise AppointmentChanged


async def annotate(appointment: Appointment, fields: Mapping[str, str | None]) -> Appointment:
    """Changes the reason or the notes. Raises `AppointmentChanged`."""
    if not fields:
        return appointment  # a write would make others' version stale for nothing
    return await _update(appointment, fields)


async def _take(appointment: Appointment, name: TransitionName, actor: Actor) -> Appointment:
    return await _write(appointment, name, TABLE[name], actor)


async def _write(
    appointment: Appointment,
    name: TransitionName,
    rule: Rule,
    actor: Actor,
    *,
    reason: str | None = None,
    fields: Mapping[str, Any] | None = None,
    owes: Owes | None = None,
) -> Appointment:
    """Does a step if the table allows it and nobody was faster.

    Raises the errors of `lifecycle.check`, or `AppointmentChanged` when the document is no longer the one that
    was read: of two steps at once exactly one is done.
    """
    windows, now = await rules_of(appointment.clinic_id), utc_now()
    check(rule, appointment, role=actor.role, now=now, windows=windows)
    line = actor.history_entry(transition=name, status=rule.target, at=now, reason=reason)
    pending_messages = [
        PendingMessage(
            kind=kind,
            to=to,
            occurrence=appointment.reschedule_count,
            reschedule_count=appointment.reschedule_count,
            pending_since=now,
        )
        for kind, to in (_owes(name, actor) if owes is None else owes)
    ]
    done = await _update(
        appointment,
        {
            **(fields or {}),
            **_NOTHING_MORE_TO_ASK,
            **_what_follows(rule.target, actor, reason=reason, now=now),
            "status": rule.target,
            "active": rule.target in ACTIVE,
        },
        push={
            "history": line.model_dump(exclude_none=True),
            "pending_messages": {"$each": [message.model_dump() for message in pending_messages]},
        },
    )
    if not done.active:
        await refill_behind(appointment, done)
    if pending_messages:
        await messages_pending.send(None)
    return done


def _what_follows(target: Status, actor: Actor, *, reason: str | None, now: datetime) -> dict[str, Any]:
    """What else a status sets. Who won't be seen gives the number of the day back; a visit that is over keeps it."""
    if target is Status.CANCELLED:
        return {
            "daily_number": None,
            "cancelled_at": now,
            "cancelled_by": actor.user_id,
            "cancel_reason": reason,
        }
    return {"daily_number": None} if target is Status.NO_SHOW else {}


def _owes(name: TransitionName, actor: Actor) -> Owes:
    """The messages that a step owes: nobody is told what he has just done himself."""
    if name is TransitionName.CANCEL and actor.role is ActorRole.PATIENT:
        return ((MessageKind.CANCELLED_BY_PATIENT, Recipient.DOCTOR),)
    # A doctor acts on the own appointments only, and so is the doctor who would be told.
    is_doctor = actor.role is ActorRole.DOCTOR
    return tuple((kind, to) for kind, to in _OWES.get(name, ()) if not (is_doctor and to is Recipient.DOCTOR))


async def _update(
    appointment: Appointment, fields: Mapping[str, Any], *, push: Mapping[str, Any] | None = None
) -> Appointment:
    """One conditional write: only the version that was read is changed."""
    update = changes({**fields, "updated_at": utc_now()})
    raw = await Appointment.get_pymongo_collection().find_one_and_update(
        {"_id": appointment.id, "version": appointment.version},
        {**update, **({"$push": push} if push else {}), "$inc": {"version": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if raw is None:
        raise AppointmentChanged
    changed: Appointment = Appointment.model_validate(raw)
    return changed
