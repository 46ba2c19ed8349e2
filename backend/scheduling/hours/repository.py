"""Every query and update of leave, and of what scheduling keeps in doctors' profiles: their weekly hours, and when
their slots are due to be reconciled."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.accounts.documents import Role, User
from backend.accounts.profiles import HoursBlock
from backend.core.clock import utc_now
from backend.core.http.pagination import BY_START, PageRequest, after
from backend.directory.doctors import profile_of
from backend.scheduling.documents import Leave

CLAIM = timedelta(minutes=5)
"""How long a process may take over one doctor before another may try."""


def _users() -> AsyncCollection[dict[str, Any]]:
    return User.get_pymongo_collection()


async def insert_leave(leave: Leave) -> None:
    """Inserts a leave."""
    await leave.insert()


async def find_leave(leave_id: PydanticObjectId, *, doctor_id: PydanticObjectId) -> Leave | None:
    """Returns a doctor's leave."""
    return await Leave.find_one({"_id": leave_id, "doctor_id": doctor_id})


async def delete_leave(leave_id: PydanticObjectId, *, doctor_id: PydanticObjectId) -> bool:
    """Deletes a doctor's leave; False if there is none by this id."""
    result = await Leave.find({"_id": leave_id, "doctor_id": doctor_id}).delete()
    return result is not None and result.deleted_count > 0


async def find_leave_page(doctor_id: PydanticObjectId, page: PageRequest) -> tuple[list[Leave], str | None]:
    """Returns a page of the doctor's leave by start, and the cursor of the next. Raises `BadCursor`."""
    query = {"$and": [{"doctor_id": doctor_id}, after(page, *BY_START)]}
    found = await Leave.find(query).sort("start", "_id").limit(page.limit + 1).to_list()
    return page.cut(found, lambda leave: (leave.start, leave.id))


async def find_leave_of_doctors(doctor_ids: Sequence[PydanticObjectId], *, since: datetime) -> list[Leave]:
    """Returns the leave of some doctors that ends after a moment, by start."""
    where = {"doctor_id": {"$in": doctor_ids}, "end": {"$gt": since}}
    return await Leave.find(where).sort("start", "_id").to_list()


async def find_doctors(*, at: PydanticObjectId, or_by_id: Sequence[PydanticObjectId]) -> list[User]:
    """Returns the doctors who work at a clinic, and those with one of these ids."""
    either = [{"doctor.clinic_ids": at}, {"_id": {"$in": or_by_id}}]
    return await User.find({"role": Role.DOCTOR, "$or": either}).to_list()


async def find_active_ids(doctor_ids: Sequence[PydanticObjectId]) -> set[PydanticObjectId]:
    """Returns which of these doctors are active."""
    found = _users().find({"_id": {"$in": doctor_ids}}, {"is_active": 1})
    return {user["_id"] async for user in found if user["is_active"]}


async def find_clinics_of(doctor_ids: Sequence[PydanticObjectId]) -> dict[PydanticObjectId, list[PydanticObjectId]]:
    """Returns the clinics at which each of these doctors works."""
    found = _users().find({"_id": {"$in": doctor_ids}}, {"doctor.clinic_ids": 1})
    return {user["_id"]: user.get("doctor", {}).get("clinic_ids", []) async for user in found}


async def read_weekly_hours(doctor_id: PydanticObjectId) -> tuple[list[dict[str, Any]] | None, int]:
    """Returns a doctor's weekly hours as they are stored, None if none were ever set, and their version."""
    fields = {"doctor.weekly_hours": 1, "doctor.weekly_hours_version": 1}
    profile = (await _users().find_one({"_id": doctor_id}, fields) or {}).get("doctor", {})
    return profile.get("weekly_hours"), profile.get("weekly_hours_version", 0)


async def replace_weekly_hours(
    doctor_id: PydanticObjectId, blocks: Sequence[HoursBlock], *, where: dict[str, Any]
) -> bool:
    """Replaces a doctor's weekly hours if `where` matches too; False if it doesn't. Increments their version."""
    new = {"doctor.weekly_hours": [block.model_dump() for block in blocks], "updated_at": utc_now()}
    update = {"$set": new, "$inc": {"doctor.weekly_hours_version": 1}}
    result = await _users().update_one({"_id": doctor_id, **where}, update)
    return result.matched_count > 0


# Which doctors' slots are due: see `slots/horizon.py`


async def request_sync(doctor_id: PydanticObjectId) -> None:
    """Makes the next run of `extend_slots` reconcile the doctor's slots."""
    await _users().update_one({"_id": doctor_id}, {"$set": {"doctor.slots_due_at": utc_now()}})


async def claim_doctor(now: datetime) -> User | None:
    """Claims an active doctor whose slots are due, for `CLAIM`; None if there is none."""
    is_due = {"role": Role.DOCTOR, "doctor.slots_due_at": {"$lte": now}, "is_active": True}
    is_free = [{"doctor.slots_claimed_until": until} for until in ({"$exists": False}, {"$lte": now})]
    claim = {"$set": {"doctor.slots_claimed_until": now + CLAIM}}
    raw = await _users().find_one_and_update({**is_due, "$or": is_free}, claim)
    return None if raw is None else User.model_validate(raw)


async def complete_claim(doctor: User, *, due_again: datetime) -> None:
    """Ends the claim on a doctor and sets when they are due again, unless a sync was requested meanwhile."""
    release = {"$unset": {"doctor.slots_claimed_until": ""}}
    completed = await _users().update_one(
        {"_id": doctor.user_id, "doctor.slots_due_at": profile_of(doctor).slots_due_at},
        {"$set": {"doctor.slots_due_at": due_again}, **release},
    )
    if completed.matched_count == 0:
        await _users().update_one({"_id": doctor.user_id}, release)
