"""Owes the reminders that are due, and looks again when the next one is."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId
from pydantic import BaseModel, Field

from backend.appointments.documents import Appointment, MessageKind, PendingMessage, Recipient, Status
from backend.appointments.events import messages_pending
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.reminders.timetable import reminders_of
from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.batching import Change, alike
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.scheduling.directory_changes import clinic_changed
from backend.scheduling.unavailability import called_off

_BATCH = 25
"""Not more: other requests come in between."""


class _Due(BaseModel):
    """What the timetable of an appointment's reminders depends on."""

    id: PydanticObjectId = Field(alias="_id")
    doctor_id: PydanticObjectId
    clinic_id: PydanticObjectId
    start: datetime
    end: datetime
    time_zone: str
    status: Status
    reschedule_count: int
    reminders: int = 0
    remind_at: datetime
    reminded_until: datetime


_PROJECTION = {field.alias or name: 1 for name, field in _Due.model_fields.items()}


async def enqueue_due_reminders() -> int:
    """Owes every reminder that is due. Answers how many appointments were looked at.

    Any number of processes may run it at once: each appointment is changed only as it was read. Of several reminders
    that have fallen due meanwhile one is owed. Nobody is told to come to a clinic that is closed.
    """
    looked_at = 0
    while batch := await _due(utc_now()):
        clinics = await read_clinics(due.clinic_id for due in batch)
        off = await called_off(batch, clinics)
        now = utc_now()
        changes = [
            _change(due, clinics[due.clinic_id], now=now, is_off=is_off)
            for due, is_off in zip(batch, off, strict=True)
        ]
        await Appointment.get_pymongo_collection().bulk_write(alike(changes), ordered=False)
        await messages_pending.send(None)
        looked_at += len(batch)
    return looked_at


async def _due(now: datetime) -> list[_Due]:
    due = {"remind_at": {"$gt": EPOCH, "$lte": now}}
    found = Appointment.get_pymongo_collection().find(due, _PROJECTION, sort=[("remind_at", 1)])
    return [_Due.model_validate(row) for row in await found.limit(_BATCH).to_list()]


def _change(due: _Due, clinic: Clinic, *, now: datetime, is_off: bool) -> Change:
    """The change that owes what is due and says when to look again."""
    as_read = {"reschedule_count": due.reschedule_count, "remind_at": due.remind_at}
    all_of_them = reminders_of(
        due.start,
        zone=ZoneInfo(due.time_zone),
        lead_minutes=clinic.rules.reminder_minutes,
        quiet=quiet_hours(),
    )
    ahead = [reminder for reminder in all_of_them if reminder.at > due.reminded_until]
    passed = [reminder for reminder in ahead if reminder.at <= now]
    rest = [reminder for reminder in ahead if reminder.at > now]
    # Confirmed, the patient has said what a reminder would ask. After the start there is nothing to be reminded of.
    is_over = due.status is not Status.SCHEDULED or due.start <= now
    if is_over or not passed:
        return Change(due.id, as_read, _look_again(rest if not is_over else []))
    update = _look_again(rest)
    update.setdefault("$set", {})["reminded_until"] = passed[-1].at
    if not is_off:
        pending_messages = PendingMessage(
            kind=MessageKind.REMINDER,
            to=Recipient.PATIENT,
            occurrence=due.reminders,
            reschedule_count=due.reschedule_count,
            pending_since=now,
            requests_confirmation=passed[-1].requests_confirmation,
        )
        update |= {"$push": {"pending_messages": pending_messages.model_dump()}, "$inc": {"reminders": 1}}
    return Change(due.id, {**as_read, "status": Status.SCHEDULED}, update)


def _look_again(rest: list[Any]) -> dict[str, Any]:
    return {"$set": {"remind_at": rest[0].at}} if rest else {"$unset": {"remind_at": ""}}


async def remind_now(patient_id: PydanticObjectId) -> bool:
    """Owes the reminder that asks for the patient's next appointment, whatever the time; False if there is none.

    For demonstrations: nobody waits a day for a reminder.
    """
    now = utc_now()
    appointments = Appointment.get_pymongo_collection()
    coming = {"patient_id": patient_id, "status": Status.SCHEDULED, "start": {"$gt": now}}
    row = await appointments.find_one(coming, sort=[("start", 1), ("_id", 1)])
    if row is None:
        return False
    count = row.get("reminders", 0)
    pending_messages = PendingMessage(
        kind=MessageKind.REMINDER,
        to=Recipient.PATIENT,
        occurrence=count,
        reschedule_count=row["reschedule_count"],
        pending_since=now,
        requests_confirmation=True,
    )
    await appointments.update_one(
        {
            "_id": row["_id"],
            "reschedule_count": row["reschedule_count"],
            "reminders": count,
            "status": Status.SCHEDULED,
        },
        {"$push": {"pending_messages": pending_messages.model_dump()}, "$inc": {"reminders": 1}},
    )
    await messages_pending.send(None)
    return True


@clinic_changed.connect
async def plan_again(clinic: Clinic) -> None:
    """Looks anew at the reminders of a clinic's coming appointments: its lead times may be others now."""
    now = utc_now()
    coming = {"clinic_id": clinic.clinic_id, "status": Status.SCHEDULED, "start": {"$gt": now}}
    await Appointment.get_pymongo_collection().update_many(coming, {"$set": {"remind_at": now}})
