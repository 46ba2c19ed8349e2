"""Every query and update of appointments. A write changes one document, and only while it is as it was read."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.appointments.documents import ACTIVE, Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.reminders.timetable import deadline
from backend.core.clock import EPOCH, utc_now
from backend.core.http.pagination import behind
from backend.core.mongo.batching import Change, alike, inserts, update_together
from backend.core.mongo.updates import changes

Document = dict[str, Any]
Filter = Mapping[str, Any]


def _appointments() -> AsyncCollection[Document]:
    return Appointment.get_pymongo_collection()


_inserts = inserts(_appointments)


def _ahead(patient: Any, **where: Any) -> Document:
    return {"patient_id": patient, "start": {"$gt": utc_now()}, **where}


# Booking, reading and changing one appointment


async def insert(appointment: Document) -> None:
    """Inserts a new appointment. Raises `DuplicateKeyError` if a unique index refuses it."""
    await _inserts.load(appointment)


async def find_by_idempotency_key(created_by: PydanticObjectId, key: str) -> Document | None:
    """Returns the appointment that a user's request with this key made."""
    return await _appointments().find_one({"created_by": created_by, "idempotency_key": key})


async def find_open_numbers(patient_id: PydanticObjectId, visit_type_id: PydanticObjectId) -> set[int]:
    """Returns the numbers of a patient's open bookings of a visit type."""
    where = {"patient_id": patient_id, "visit_type_id": visit_type_id, "open_number": {"$gte": 0}}
    return {row["open_number"] async for row in _appointments().find(where, {"_id": 0, "open_number": 1})}


async def find(appointment_id: PydanticObjectId, *, scope: Filter) -> Appointment | None:
    """Returns an appointment if it lies in the scope (see `permissions.visible_to`)."""
    return await Appointment.find_one({"_id": appointment_id, **scope})


async def find_rows(
    where: Filter, *, fields: Mapping[str, int], newest_first: bool, limit: int
) -> Sequence[Document]:
    """Returns stored appointments by start, with these fields only."""
    direction = -1 if newest_first else 1
    sort = [("start", direction), ("_id", direction)]
    return await _appointments().find(where, fields, sort=sort, limit=limit).to_list()


async def update_unchanged(
    appointment: Appointment, fields: Mapping[str, Any], *, push: Mapping[str, Any] | None = None
) -> Appointment:
    """Updates an appointment that nobody has changed since it was read; returns it as it is then.

    A field that is None is removed. Raises `AppointmentChanged`, and `DuplicateKeyError` if a unique index refuses
    it.
    """
    update: Document = {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}}
    if push:
        update["$push"] = push
    raw = await _appointments().find_one_and_update(
        {"_id": appointment.id, "version": appointment.version}, update, return_document=ReturnDocument.AFTER
    )
    if raw is None:
        raise AppointmentChanged
    changed: Appointment = Appointment.model_validate(raw)
    return changed


async def end_recheck(appointment_id: PydanticObjectId, *, reschedule_count: int) -> Document | None:
    """Records that what withdraws a fit-in's time was read after it was stored. Returns it as it is then.

    None if it was rescheduled meanwhile, or another process has recorded it.
    """
    as_read = {"_id": appointment_id, "reschedule_count": reschedule_count, "recheck_at": {"$gt": EPOCH}}
    return await _appointments().find_one_and_update(
        as_read, {"$unset": {"recheck_at": ""}}, return_document=ReturnDocument.AFTER
    )


async def claim_recheck(now: datetime, *, again_at: datetime) -> Document | None:
    """Claims a fit-in whose process didn't end its recheck, until `again_at`; None if there is none."""
    due = {"recheck_at": {"$gt": EPOCH, "$lte": now}}
    return await _appointments().find_one_and_update(due, {"$set": {"recheck_at": again_at}})


async def find_active_of_day(doctor_id: PydanticObjectId, day: date, *, scope: Filter) -> list[Appointment]:
    """Returns a doctor's active appointments of a calendar day that lie in the scope, by start."""
    where = {"doctor_id": doctor_id, "clinic_day": day.isoformat(), "status": {"$in": list(ACTIVE)}}
    return await Appointment.find({"$and": [where, scope]}).sort("start", "_id").to_list()


async def find_active_of_patients(
    patient_ids: Sequence[PydanticObjectId], *, start: datetime, end: datetime
) -> list[Appointment]:
    """Returns the active appointments of patients that overlap a period. UTC."""
    during = {"start": {"$lt": end}, "end": {"$gt": start}}
    return await Appointment.find({"patient_id": {"$in": patient_ids}, "active": True, **during}).to_list()


# Timed work


async def find_not_arrived(
    *, started_by: datetime, after: tuple[datetime, PydanticObjectId] | None, limit: int
) -> list[Appointment]:
    """Returns appointments that have started and whose patient isn't checked in, by start.

    It leaves out those that need a decision.
    `after` is the start and id of the last one returned before.
    """
    not_arrived = {"status": {"$in": [Status.SCHEDULED, Status.CONFIRMED]}, "start": {"$lte": started_by}}
    undecided = {"needs_decision.0": {"$exists": False}}
    found = Appointment.find({"$and": [not_arrived, undecided, behind(after, "start", "_id") if after else {}]})
    return await found.sort("start", "_id").limit(limit).to_list()


async def find_past_deadline(now: datetime, *, limit: int) -> list[Appointment]:
    """Returns appointments whose auto-cancel deadline has passed, the earliest first."""
    found = Appointment.find({"auto_cancel_at": {"$gt": EPOCH, "$lte": now}})
    return await found.sort("auto_cancel_at").limit(limit).to_list()


async def clear_deadline(appointment: Appointment) -> None:
    """Removes the auto-cancel deadline that was read, but not a new one that was set meanwhile."""
    await _appointments().update_one(
        {"_id": appointment.id, "auto_cancel_at": appointment.auto_cancel_at},
        {"$unset": {"auto_cancel_at": ""}},
    )


async def find_due_for_reminders(now: datetime, *, fields: Mapping[str, int], limit: int) -> Sequence[Document]:
    """Returns stored appointments whose reminders are to be looked at, the longest due first."""
    due = {"remind_at": {"$gt": EPOCH, "$lte": now}}
    return await _appointments().find(due, fields, sort=[("remind_at", 1)], limit=limit).to_list()


async def apply(wanted: Iterable[Change]) -> None:
    """Makes changes in one command, each only if its document is still as the change expects."""
    await _appointments().bulk_write(alike(wanted), ordered=False)


async def recheck_reminders_of_clinic(clinic_id: PydanticObjectId) -> None:
    """Makes the next run look at the reminders of all coming appointments of a clinic."""
    now = utc_now()
    coming = {"clinic_id": clinic_id, "status": Status.SCHEDULED, "start": {"$gt": now}}
    await _appointments().update_many(coming, {"$set": {"remind_at": now}})


# Requests to confirm. The deadline is set only once the carrier has taken the request, and removed when it didn't
# arrive: nobody is cancelled who wasn't asked.


async def mark_confirmation_requested(
    appointment_id: PydanticObjectId, *, reschedule_count: int, start: datetime, auto_cancel_minutes: int
) -> None:
    """Records that the carrier took the request to confirm, and sets the auto-cancel deadline. Safe to repeat.

    It applies to the appointment after that many reschedules, while it is scheduled. No deadline is set where a
    request was undelivered, whichever is reported first; the patient may still confirm.
    """

    def update(now: datetime) -> list[Mapping[str, Any]]:
        at = deadline(start, confirmation_requested_at=now, auto_cancel_minutes=auto_cancel_minutes)
        none_undelivered = {"$eq": [{"$type": "$confirmation_undelivered"}, "missing"]}
        auto_cancel = {"$cond": [none_undelivered if at else False, at, "$auto_cancel_at"]}
        return [{"$set": {"confirmation_requested_at": now, "auto_cancel_at": auto_cancel}}]

    where = {
        "reschedule_count": reschedule_count,
        "status": Status.SCHEDULED,
        "confirmation_requested_at": None,
    }
    await update_together(_appointments(), Change(appointment_id, where, update))


_UNDELIVERED = {"$set": {"confirmation_undelivered": True}, "$unset": {"auto_cancel_at": ""}}


async def mark_confirmation_undelivered(appointment_id: PydanticObjectId, *, reschedule_count: int) -> None:
    """Records that the request to confirm wasn't delivered, or not clearly answered: silence won't cancel."""
    await _appointments().update_one({"_id": appointment_id, "reschedule_count": reschedule_count}, _UNDELIVERED)


async def stop_auto_cancel_for(patient_id: PydanticObjectId) -> None:
    """Removes the deadlines of a patient who can't be messaged any more, and prevents new ones."""
    coming = _ahead(patient_id, status={"$in": list(ACTIVE)})
    await _appointments().update_many(coming, _UNDELIVERED)


async def resume_auto_cancel_for(patient_id: PydanticObjectId) -> None:
    """Allows deadlines again for a patient who can be messaged again.

    Appointments with a request from before stay without a deadline.
    """
    coming = _ahead(patient_id, confirmation_requested_at=None, confirmation_undelivered=True)
    await _appointments().update_many(coming, {"$unset": {"confirmation_undelivered": ""}})


# What messages are about

OPEN = frozenset({Status.SCHEDULED, Status.CONFIRMED})
"""Patients may still confirm or cancel an appointment in one of these, if it hasn't begun."""


async def find_with_pending_messages(*, fields: Collection[str], limit: int) -> Sequence[Document]:
    """Returns stored appointments with pending messages, with these fields only."""
    pending = {"pending_messages.pending_since": {"$gt": EPOCH}}
    return await _appointments().find(pending, dict.fromkeys(fields, 1), limit=limit).to_list()


async def remove_pending_messages(rows: Iterable[Document]) -> None:
    """Removes the pending messages that these appointments had when they were read."""
    changes = alike(
        Change(row["_id"], {}, {"$pull": {"pending_messages": {"$in": row["pending_messages"]}}}) for row in rows
    )
    if changes:
        await _appointments().bulk_write(changes, ordered=False)


async def find_rows_by_id(ids: Sequence[PydanticObjectId], *, fields: Collection[str]) -> Sequence[Document]:
    """Returns stored appointments, with these fields only."""
    return await _appointments().find({"_id": {"$in": ids}}, dict.fromkeys(fields, 1)).to_list()


async def count_open_by_patient(patient_ids: Sequence[PydanticObjectId]) -> Counter[PydanticObjectId]:
    """Returns how many open appointments each patient has ahead."""
    ahead = _ahead({"$in": patient_ids}, status={"$in": list(OPEN)})
    found = _appointments().find(ahead, {"_id": 0, "patient_id": 1})
    return Counter([row["patient_id"] async for row in found])


async def find_open_of_patients(patient_ids: Sequence[PydanticObjectId]) -> list[Appointment]:
    """Returns the open appointments ahead of some patients, by start."""
    ahead = _ahead({"$in": patient_ids}, status={"$in": list(OPEN)})
    return await Appointment.find(ahead).sort("start", "_id").to_list()


async def find_coming_of(patient_ids: Sequence[PydanticObjectId]) -> list[Appointment]:
    """Returns the active appointments of some records that aren't over, by start."""
    coming = {"patient_id": {"$in": patient_ids}, "active": True, "end": {"$gt": utc_now()}}
    return await Appointment.find(coming).sort("start", "_id").to_list()


async def find_of_patients_since(patient_ids: Sequence[PydanticObjectId], since: datetime) -> list[Appointment]:
    """Returns the appointments of some patients that start after a moment, in any status, by start."""
    later = {"patient_id": {"$in": patient_ids}, "start": {"$gt": since}}
    return await Appointment.find(later).sort("start", "_id").to_list()


async def find_last_of_patients(patient_ids: Sequence[PydanticObjectId]) -> Appointment | None:
    """Returns the appointment with the latest start of some patients."""
    found = await Appointment.find({"patient_id": {"$in": patient_ids}}).sort("-start", "-_id").limit(1).to_list()
    return found[0] if found else None


async def find_by_ids(ids: Sequence[PydanticObjectId]) -> list[Appointment]:
    """Returns the appointments with these ids."""
    return await Appointment.find({"_id": {"$in": ids}}).to_list()


async def reload(appointment: Appointment) -> Appointment:
    """Returns an appointment as it is stored now."""
    found = await Appointment.get(appointment.appointment_id)
    assert found is not None  # noqa: S101 - appointments are never deleted
    return found
