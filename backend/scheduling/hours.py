"""A doctor's weekly hours and leave."""

from datetime import datetime

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import HoursBlock
from backend.core.clock import utc_now
from backend.core.pagination import BY_START, after, encode_cursor
from backend.core.types import minutes_of
from backend.directory.documents import Clinic
from backend.scheduling import seats
from backend.scheduling.documents import Leave, SeatHolder, Slot, SlotState
from backend.scheduling.errors import InThePast, LeaveNotFound, NotTheDoctorsClinic, OutsideOpeningHours
from backend.scheduling.facts import effective_hours
from backend.scheduling.outcome import Outcome
from backend.scheduling.reconcile import reconcile
from backend.scheduling.schemas import HoursBlockIn


async def read_hours(doctor: User) -> tuple[list[HoursBlock], bool]:
    """The hours in force, and whether they are only the default."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    clinics = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}}).to_list()
    hours = effective_hours(doctor, {clinic.clinic_id: clinic for clinic in clinics})
    return hours, doctor.doctor.weekly_hours is None


async def set_hours(doctor: User, wanted: list[HoursBlockIn]) -> tuple[Outcome, list[SeatHolder]]:
    """Replaces the weekly hours and brings the slots in line.

    Answers with the future appointments that the new hours no longer hold. Raises `NotTheDoctorsClinic` and
    `OutsideOpeningHours`; nothing is changed then.
    """
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    found = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}, "is_active": True}).to_list()
    clinics = {clinic.clinic_id: clinic for clinic in found}
    blocks = []
    for block in wanted:
        clinic = clinics.get(block.clinic_id)
        if clinic is None:
            raise NotTheDoctorsClinic
        _check_opening_hours(block, clinic)
        minutes = block.slot_minutes or doctor.doctor.slot_minutes or clinic.rules.slot_minutes
        blocks.append(HoursBlock(**{**block.model_dump(), "slot_minutes": minutes}))
    await User.get_pymongo_collection().update_one(
        {"_id": doctor.user_id},
        {"$set": {"doctor.weekly_hours": [b.model_dump() for b in blocks], "updated_at": utc_now()}},
    )
    outcome = await reconcile(doctor.user_id)
    return outcome, await left_over(doctor.user_id)


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


async def left_over(doctor_id: PydanticObjectId) -> list[SeatHolder]:
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
) -> tuple[Leave, Outcome, list[SeatHolder]]:
    """Takes the doctor's time out of the book. When it returns, nothing more can be booked in it.

    Answers with every active appointment in that time. Raises `InThePast` for a leave that is over already.
    """
    if end <= utc_now():
        raise InThePast
    leave = Leave(doctor_id=doctor.user_id, start=start, end=end, reason=reason, created_by=created_by)
    await leave.insert()
    outcome = await reconcile(doctor.user_id)
    return leave, outcome, await seats.booked_between({"doctor_id": doctor.user_id}, start=start, end=end)


async def list_leaves(doctor: User, *, limit: int, cursor: str | None) -> tuple[list[Leave], str | None]:
    """A page of the doctor's leave by start, and the cursor of the next."""
    query = {"$and": [{"doctor_id": doctor.user_id}, after(cursor, *BY_START)]}
    found = await Leave.find(query).sort("start", "_id").limit(limit + 1).to_list()
    page = found[:limit]
    return page, encode_cursor(page[-1].start, page[-1].id) if len(found) > limit else None


async def end_leave(doctor: User, leave_id: PydanticObjectId) -> Outcome:
    """Deletes a leave and opens its time again. Raises `LeaveNotFound`."""
    result = await Leave.find({"_id": leave_id, "doctor_id": doctor.user_id}).delete()
    if result is None or result.deleted_count == 0:
        raise LeaveNotFound
    return await reconcile(doctor.user_id)
