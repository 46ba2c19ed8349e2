"""Adds due reminders to the pending messages of their appointments, and sets when the next ones are due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pydantic import BaseModel, Field

from backend.appointments import repository
from backend.appointments.decisions import not_taking_place
from backend.appointments.documents import MessageKind, PendingMessage, Recipient, Status
from backend.appointments.events import messages_pending
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.reminders.timetable import Reminder, reminders_of
from backend.core.clock import utc_now
from backend.core.mongo.batching import Change
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.scheduling.decisions.documents import DecisionCause
from backend.scheduling.directory_changes import clinic_changed

_BATCH = 25
"""Small, so that requests are served in between."""


class _Due(BaseModel):
    """The fields of an appointment that its reminders depend on."""

    id: PydanticObjectId = Field(alias="_id")
    doctor_id: PydanticObjectId
    clinic_id: PydanticObjectId
    start: datetime
    end: datetime
    status: Status
    reschedule_count: int
    reminders: int = 0
    remind_at: datetime
    reminded_until: datetime
    needs_decision: list[DecisionCause] | None = None
    kept_despite: list[DecisionCause] | None = None


_FIELDS = {field.alias or name: 1 for name, field in _Due.model_fields.items()}


async def enqueue_due_reminders() -> int:
    """Adds every due reminder to its appointment's pending messages. Returns how many appointments it looked at.

    Any number of processes may run it at once: an appointment is changed only as it was read. Of several reminders
    that fell due meanwhile it adds one. It adds none where the clinic is closed or the doctor away.
    """
    looked_at = 0
    while rows := await repository.find_due_for_reminders(utc_now(), fields=_FIELDS, limit=_BATCH):
        batch = [_Due.model_validate(row) for row in rows]
        clinics = await read_clinics(due.clinic_id for due in batch)
        off = await not_taking_place(batch, clinics)
        now = utc_now()
        await repository.apply(
            _change(due, clinics[due.clinic_id], now=now, is_off=is_off)
            for due, is_off in zip(batch, off, strict=True)
        )
        await messages_pending.send(None)
        looked_at += len(batch)
    return looked_at


def _change(due: _Due, clinic: Clinic, *, now: datetime, is_off: bool) -> Change:
    """The change that adds what is due and sets when to look again."""
    as_read = {"reschedule_count": due.reschedule_count, "remind_at": due.remind_at}
    lead_minutes = clinic.rules.reminder_minutes
    # The clinic's zone as it is now: the appointment may still have the one from before a correction.
    reminders = reminders_of(due.start, zone=clinic.zone, lead_minutes=lead_minutes, quiet=quiet_hours())
    open_ones = [reminder for reminder in reminders if reminder.at > due.reminded_until]
    passed = [reminder for reminder in open_ones if reminder.at <= now]
    ahead = [reminder for reminder in open_ones if reminder.at > now]
    # Nothing is left to ask once the patient has confirmed, and nothing to remind of once the visit has started.
    is_over = due.status is not Status.SCHEDULED or due.start <= now
    if is_over or not passed:
        return Change(due.id, as_read, _look_again(ahead if not is_over else []))
    update = _look_again(ahead)
    update.setdefault("$set", {})["reminded_until"] = passed[-1].at
    if not is_off:
        message = PendingMessage(
            kind=MessageKind.REMINDER,
            to=Recipient.PATIENT,
            occurrence=due.reminders,
            reschedule_count=due.reschedule_count,
            pending_since=now,
            requests_confirmation=passed[-1].requests_confirmation,
        )
        update |= {"$push": {"pending_messages": message.model_dump()}, "$inc": {"reminders": 1}}
    return Change(due.id, {**as_read, "status": Status.SCHEDULED}, update)


def _look_again(ahead: Sequence[Reminder]) -> dict[str, Any]:
    return {"$set": {"remind_at": ahead[0].at}} if ahead else {"$unset": {"remind_at": ""}}


@clinic_changed.connect
async def recheck_reminders(clinic: Clinic) -> None:
    """Looks again at the reminders of a clinic's coming appointments: its lead times or its zone may have changed."""
    await repository.recheck_reminders_of_clinic(clinic.clinic_id)
