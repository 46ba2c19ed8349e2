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
from backend.directory.doctors import profile_of
from backend.directory.documents import Clinic
from backend.directory.fields import block_minutes
from backend.scheduling import errors
from backend.scheduling import repository as claims
from backend.scheduling.access import clinics_of
from backend.scheduling.availability_inputs import effective_hours, wall_block
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.decisions.withdrawals import begin, find_without_slot, settle
from backend.scheduling.documents import Leave, SeatClaim
from backend.scheduling.hours import repository
from backend.scheduling.hours.schemas import HoursBlockIn, overlap_in
from backend.scheduling.slots.slot_sync import SyncResult, reconcile

_MOST_ATTEMPTS = 20

MOST_SLOTS_A_WEEK = 1000
MOST_SEATS_A_WEEK = 5000
"""A change of hours writes every slot up to the horizon, and withdrawing one writes a document for each seat."""


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
    withdrawal = None
    for _ in range(_MOST_ATTEMPTS):
        as_read, stored_version = await repository.read_weekly_hours(doctor.user_id)
        if version not in (None, stored_version):
            raise EditConflict
        blocks = await planned_week(doctor, as_read, wanted, only_at)
        # Another front desk may be setting its part of the week: neither may undo the other's.
        unchanged: dict[str, Any] = {} if only_at is None else {"doctor.weekly_hours": as_read}
        if version is not None:
            unchanged["doctor.weekly_hours_version"] = version
        withdrawal = withdrawal or await begin(CauseKind.HOURS, doctor_id=doctor.user_id)
        if await repository.replace_weekly_hours(doctor.user_id, blocks, where=unchanged):
            result = await reconcile(doctor.user_id)
            await settle(withdrawal)
            return result, await find_without_slot({"doctor_id": doctor.user_id})
    raise errors.ScheduleBusy


async def planned_week(
    doctor: User,
    as_read: list[dict[str, Any]] | None,
    wanted: list[HoursBlockIn],
    only_at: Collection[PydanticObjectId] | None,
) -> list[HoursBlock]:
    """Returns the week that `set_hours` would store. Raises the errors of that."""
    profile = profile_of(doctor)
    clinics = await read_clinics(profile.clinic_ids)
    kept: list[HoursBlock] = []
    if only_at is not None:
        stored = None if as_read is None else [HoursBlock.model_validate(block) for block in as_read]
        present = effective_hours(profile.model_copy(update={"weekly_hours": stored}), clinics)
        kept = [block for block in present if block.clinic_id not in only_at]
    blocks = []
    for block in wanted:
        clinic = clinics.get(block.clinic_id)
        if clinic is None or not clinic.is_active:
            raise errors.NotTheDoctorsClinic
        minutes = block.slot_minutes or profile.slot_minutes or clinic.rules.slot_minutes
        new = HoursBlock(**{**block.model_dump(), "slot_minutes": minutes})
        if only_at is None or block.clinic_id in only_at:
            _check_opening_hours(block, clinic)
            blocks.append(new)
        elif new not in kept:
            raise errors.OtherClinicHours
    week = [*kept, *blocks]
    if overlap_in(week):
        raise errors.HoursOverlap
    walls = [block_minutes(block.start, block.end) for block in week]
    slots = [(end - start) // block.slot_minutes for (start, end), block in zip(walls, week, strict=True)]
    seats = [number * block.capacity for number, block in zip(slots, week, strict=True)]
    if sum(slots) > MOST_SLOTS_A_WEEK or sum(seats) > MOST_SEATS_A_WEEK:
        raise errors.WeekTooFull
    return week


def _check_opening_hours(block: HoursBlockIn, clinic: Clinic) -> None:
    opening_hours = [wall_block(hours.weekday, hours.opens, hours.closes) for hours in clinic.opening_hours]
    if not wall_block(block.weekday, block.start, block.end).lies_within(opening_hours):
        time = f"on {block.weekday.value} from {block.start} to {block.end}"
        raise errors.OutsideOpeningHours(f"{clinic.name} is not open {time}.")


async def take_leave(
    doctor: User, *, start: datetime, end: datetime, reason: str | None, created_by: PydanticObjectId
) -> tuple[Leave, SyncResult, list[SeatClaim]]:
    """Records a leave and withdraws the doctor's slots in it. When it returns, no new booking can land in that time.

    Returns every active appointment in that time too. Raises `InThePast` for a leave that is over already.
    """
    if end <= utc_now():
        raise errors.InThePast
    leave = Leave(doctor_id=doctor.user_id, start=start, end=end, reason=reason, created_by=created_by)
    withdrawal = await begin(CauseKind.LEAVE, subject=leave.id, doctor_id=doctor.user_id)
    await repository.insert_leave(leave)
    try:
        result = await reconcile(doctor.user_id)
    except errors.ScheduleBusy:
        await repository.delete_leave(leave.id, doctor_id=doctor.user_id)  # a retry would take it twice
        await repository.request_sync(doctor.user_id)
        raise
    await settle(withdrawal)
    during = {"doctor_id": doctor.user_id, "start": {"$lt": end}, "end": {"$gt": start}}
    return leave, result, await claims.find_booked(during)


async def zone_of(doctor: User) -> ZoneInfo:
    """Returns the time zone of the doctor's first clinic; UTC if they have none. Their leave is in this zone."""
    first = clinics_of(doctor)[:1]
    return next((clinic.zone for clinic in (await read_clinics(first)).values()), ZoneInfo("UTC"))


async def end_leave(doctor: User, leave_id: PydanticObjectId) -> SyncResult:
    """Deletes a leave and opens its time again. Its appointments no longer need a decision.

    Raises `LeaveNotFound`.
    """
    withdrawal = await begin(CauseKind.LEAVE, subject=leave_id, doctor_id=doctor.user_id)
    if not await repository.delete_leave(leave_id, doctor_id=doctor.user_id):
        await settle(withdrawal)
        raise errors.LeaveNotFound
    result = await reconcile(doctor.user_id)
    await settle(withdrawal)
    return result
