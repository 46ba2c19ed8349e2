"""A doctor's weekly hours and leave."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import HoursBlock
from backend.core.clock import utc_now
from backend.core.http.errors import EditConflict
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.directory.fields import minutes_of
from backend.scheduling import repository as claims
from backend.scheduling.access import clinics_of
from backend.scheduling.availability_inputs import effective_hours
from backend.scheduling.documents import Leave, SeatClaim
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
from backend.scheduling.hours import repository
from backend.scheduling.hours.schemas import HoursBlockIn, find_overlap
from backend.scheduling.slots import repository as slot_repository
from backend.scheduling.slots.slot_sync import SyncResult, reconcile

_MOST_ATTEMPTS = 20

MOST_SLOTS_A_WEEK = 1000
MOST_SEATS_A_WEEK = 5000
"""A change of hours writes every slot up to the horizon, and withdrawing one writes a document for each seat."""


async def read_hours(doctor: User) -> tuple[list[HoursBlock], bool]:
    """Returns the hours in force, and whether they are only the default."""
    assert doctor.doctor is not None  # noqa: S101 - callers have a doctor
    clinics = await read_clinics(doctor.doctor.clinic_ids)
    return effective_hours(doctor, clinics), doctor.doctor.weekly_hours is None


async def set_hours(
    doctor: User,
    wanted: list[HoursBlockIn],
    *,
    only_at: Collection[PydanticObjectId] | None = None,
    version: int | None = None,
) -> tuple[SyncResult, list[SeatClaim]]:
    """Replaces the weekly hours and updates the slots. With `only_at`, hours at other clinics stay.

    Returns the future appointments outside the new hours too. Raises `NotTheDoctorsClinic`, `OutsideOpeningHours`,
    `OtherClinicHours`, `HoursOverlap` and `WeekTooFull`, and `EditConflict` if the hours have another `version`;
    nothing is changed then.
    """
    for _ in range(_MOST_ATTEMPTS):
        as_read, stored_version = await repository.read_weekly_hours(doctor.user_id)
        if version not in (None, stored_version):
            raise EditConflict
        blocks = await _week(doctor, as_read, wanted, only_at)
        # Another front desk may be setting its part of the week: neither may undo the other's.
        unchanged: dict[str, Any] = {} if only_at is None else {"doctor.weekly_hours": as_read}
        if version is not None:
            unchanged["doctor.weekly_hours_version"] = version
        if await repository.replace_weekly_hours(doctor.user_id, blocks, where=unchanged):
            result = await reconcile(doctor.user_id)
            return result, await find_without_slot(doctor.user_id)
    raise ScheduleBusy


async def _week(
    doctor: User,
    as_read: list[dict[str, Any]] | None,
    wanted: list[HoursBlockIn],
    only_at: Collection[PydanticObjectId] | None,
) -> list[HoursBlock]:
    """Returns the week to store."""
    assert doctor.doctor is not None  # noqa: S101 - callers have a doctor
    clinics = await read_clinics(doctor.doctor.clinic_ids)
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
    if find_overlap([*kept, *blocks]):
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


async def find_without_slot(doctor_id: PydanticObjectId) -> list[SeatClaim]:
    """Returns the doctor's future appointments whose slots were withdrawn."""
    withdrawn = await slot_repository.find_withdrawn_ids(doctor_id)
    return await claims.find_booked({"slot_id": {"$in": withdrawn}})


async def take_leave(
    doctor: User, *, start: datetime, end: datetime, reason: str | None, created_by: PydanticObjectId
) -> tuple[Leave, SyncResult, list[SeatClaim]]:
    """Records a leave and withdraws the doctor's slots in it. When it returns, no new booking can land in that time.

    Returns every active appointment in that time too. Raises `InThePast` for a leave that is over already.
    """
    if end <= utc_now():
        raise InThePast
    leave = Leave(doctor_id=doctor.user_id, start=start, end=end, reason=reason, created_by=created_by)
    await repository.insert_leave(leave)
    try:
        result = await reconcile(doctor.user_id)
    except ScheduleBusy:
        await repository.delete_leave(leave.leave_id, doctor_id=doctor.user_id)  # a retry would take it twice
        await repository.request_sync(doctor.user_id)
        raise
    booked = await claims.find_booked_between({"doctor_id": doctor.user_id}, start=start, end=end)
    return leave, result, booked


async def get_leave(doctor: User, leave_id: PydanticObjectId) -> Leave:
    """Returns one leave of the doctor. Raises `LeaveNotFound`."""
    leave = await repository.find_leave(leave_id, doctor_id=doctor.user_id)
    if leave is None:
        raise LeaveNotFound
    return leave


async def zone_of(doctor: User) -> ZoneInfo:
    """Returns the time zone of the doctor's first clinic; UTC if they have none. Their leave is in this zone."""
    first = clinics_of(doctor)[:1]
    return next((clinic.zone for clinic in (await read_clinics(first)).values()), ZoneInfo("UTC"))


async def end_leave(doctor: User, leave_id: PydanticObjectId) -> SyncResult:
    """Deletes a leave and opens its time again. Raises `LeaveNotFound`."""
    if not await repository.delete_leave(leave_id, doctor_id=doctor.user_id):
        raise LeaveNotFound
    return await reconcile(doctor.user_id)
