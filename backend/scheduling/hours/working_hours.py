"""A doctor's weekly hours and leave."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import HoursBlock
from backend.core.clock import utc_now
from backend.core.http.fields import minutes_of
from backend.core.http.pagination import BY_START, PageRequest, after
from backend.directory.documents import Clinic
from backend.scheduling.availability_inputs import effective_hours
from backend.scheduling.documents import Leave, SeatClaim, Slot, SlotState
from backend.scheduling.errors import (
    HoursOverlap,
    InThePast,
    LeaveNotFound,
    NotTheDoctorsClinic,
    OtherClinicHours,
    OutsideOpeningHours,
    ScheduleBusy,
    WeekTooFull,
)
from backend.scheduling.outcome import SyncResult
from backend.scheduling.schemas import HoursBlockIn, overlap
from backend.scheduling.slots import seats
from backend.scheduling.slots.horizon import look_again
from backend.scheduling.slots.slot_sync import reconcile

_MOST_ATTEMPTS = 20

MOST_SLOTS_A_WEEK = 1000
MOST_SEATS_A_WEEK = 5000
"""A change of hours writes every slot up to the horizon, and to withdraw one takes a document for each seat."""


async def read_hours(doctor: User) -> tuple[list[HoursBlock], bool]:
    """The hours in force, and whether they are only the default."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    clinics = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}}).to_list()
    hours = effective_hours(doctor, {clinic.clinic_id: clinic for clinic in clinics})
    return hours, doctor.doctor.weekly_hours is None


async def set_hours(
    doctor: User, wanted: list[HoursBlockIn], *, only_at: Collection[PydanticObjectId] | None = None
) -> tuple[SyncResult, list[SeatClaim]]:
    """Replaces the weekly hours and brings the slots in line. With `only_at`, those at other clinics stay.

    Answers with the future appointments that the new hours no longer hold. Raises `NotTheDoctorsClinic`,
    `OutsideOpeningHours`, `OtherClinicHours`, `HoursOverlap` and `WeekTooFull`; nothing is changed then.
    """
    users = User.get_pymongo_collection()
    for _ in range(_MOST_ATTEMPTS):
        stored = await users.find_one({"_id": doctor.user_id}, {"doctor.weekly_hours": 1}) or {}
        as_read = stored.get("doctor", {}).get("weekly_hours")
        blocks = await _week(doctor, as_read, wanted, only_at)
        # Another front desk may be setting its part of the week: neither may undo the other's.
        unchanged = {} if only_at is None else {"doctor.weekly_hours": as_read}
        new = {"doctor.weekly_hours": [block.model_dump() for block in blocks], "updated_at": utc_now()}
        result = await users.update_one({"_id": doctor.user_id, **unchanged}, {"$set": new})
        if result.matched_count:
            outcome = await reconcile(doctor.user_id)
            return outcome, await left_over(doctor.user_id)
    raise ScheduleBusy


async def _week(
    doctor: User,
    as_read: list[dict[str, Any]] | None,
    wanted: list[HoursBlockIn],
    only_at: Collection[PydanticObjectId] | None,
) -> list[HoursBlock]:
    """The week as it is to be stored."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    found = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}}).to_list()
    clinics = {clinic.clinic_id: clinic for clinic in found}
    kept: list[HoursBlock] = []
    if only_at is not None:
        present = doctor.model_copy(
            update={"doctor": doctor.doctor.model_copy(update={"weekly_hours": _blocks(as_read)})}
        )
        kept = [block for block in effective_hours(present, clinics) if block.clinic_id not in only_at]
    blocks = []
    for block in wanted:
        clinic = clinics.get(block.clinic_id)
        if clinic is None or not clinic.is_active:
            raise NotTheDoctorsClinic
        minutes = block.slot_minutes or doctor.doctor.slot_minutes or clinic.rules.slot_minutes
        new = HoursBlock(**{**block.model_dump(), "slot_minutes": minutes})
        if only_at is None or block.clinic_id in only_at:
            _check_opening_hours(block, clinic)
            blocks.append(new)
        elif new not in kept:
            raise OtherClinicHours
    if overlap([*kept, *blocks]):
        raise HoursOverlap
    _check_size([*kept, *blocks])
    return [*kept, *blocks]


def _check_size(week: list[HoursBlock]) -> None:
    slots = [(minutes_of(b.end) - minutes_of(b.start)) // b.slot_minutes for b in week]
    seats_in_all = sum(number * block.capacity for number, block in zip(slots, week, strict=True))
    if sum(slots) > MOST_SLOTS_A_WEEK or seats_in_all > MOST_SEATS_A_WEEK:
        raise WeekTooFull


def _blocks(raw: list[dict[str, Any]] | None) -> list[HoursBlock] | None:
    return None if raw is None else [HoursBlock.model_validate(block) for block in raw]


def _check_opening_hours(block: HoursBlockIn, clinic: Clinic) -> None:
    start, end = minutes_of(block.start), minutes_of(block.end)
    if not any(
        hours.weekday == block.weekday
        and minutes_of(hours.opens) <= start
        and end <= minutes_of(hours.closes)
        for hours in clinic.opening_hours
    ):
        raise OutsideOpeningHours(
            f"{clinic.name} is not open on {block.weekday.value} from {block.start} to {block.end}."
        )


async def left_over(doctor_id: PydanticObjectId) -> list[SeatClaim]:
    """The doctor's future appointments whose slots are no longer in the book."""
    closed = Slot.get_pymongo_collection().find(
        {
            "doctor_id": doctor_id,
            "is_active": True,
            "start": {"$gt": utc_now()},
            "state": {"$in": [SlotState.CLOSED, SlotState.CLOSING, SlotState.REMOVED]},
        },
        {"_id": 1},
    )
    return await seats.booked({"slot_id": {"$in": [row["_id"] async for row in closed]}})


async def take_leave(
    doctor: User, *, start: datetime, end: datetime, reason: str | None, created_by: PydanticObjectId
) -> tuple[Leave, SyncResult, list[SeatClaim]]:
    """Takes the doctor's time out of the book. When it returns, nothing more can be booked in it.

    Answers with every active appointment in that time. Raises `InThePast` for a leave that is over already.
    """
    if end <= utc_now():
        raise InThePast
    leave = Leave(doctor_id=doctor.user_id, start=start, end=end, reason=reason, created_by=created_by)
    await leave.insert()
    try:
        outcome = await reconcile(doctor.user_id)
    except ScheduleBusy:
        await leave.delete()  # told to try again, the caller would take it twice
        await look_again(doctor.user_id)
        raise
    return leave, outcome, await seats.booked_between({"doctor_id": doctor.user_id}, start=start, end=end)


async def list_leaves(doctor: User, page: PageRequest) -> tuple[list[Leave], str | None]:
    """A page of the doctor's leave by start, and the cursor of the next."""
    query = {"$and": [{"doctor_id": doctor.user_id}, after(page, *BY_START)]}
    found = await Leave.find(query).sort("start", "_id").limit(page.limit + 1).to_list()
    return page.cut(found, lambda leave: (leave.start, leave.id))


async def end_leave(doctor: User, leave_id: PydanticObjectId) -> SyncResult:
    """Deletes a leave and opens its time again. Raises `LeaveNotFound`."""
    result = await Leave.find({"_id": leave_id, "doctor_id": doctor.user_id}).delete()
    if result is None or result.deleted_count == 0:
        raise LeaveNotFound
    return await reconcile(doctor.user_id)
