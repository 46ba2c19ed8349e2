"""Routes of a doctor's weekly hours and leave."""

from fastapi import APIRouter, status

from backend.accounts.access import CurrentStaff, CurrentUser
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory.errors import DoctorNotFound
from backend.scheduling import errors
from backend.scheduling.access import only_clinics_of, reachable_doctor, visible_doctor
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.hours import working_hours
from backend.scheduling.schemas import (
    HoursBlockOut,
    LeaveOut,
    LeaveTaken,
    SpanIn,
    WithdrawalReport,
    WorkingHoursChanged,
    WorkingHoursIn,
    WorkingHoursOut,
    report,
)

router = APIRouter(prefix="/doctors/{doctor_id}", tags=["schedule"])


@router.get("/working-hours", summary="A doctor's weekly hours", responses=responses(DoctorNotFound))
async def get_working_hours(doctor_id: Id, caller: CurrentUser) -> WorkingHoursOut:
    """The hours in force, in the wall-clock time of each block's clinic."""
    blocks, is_default = await working_hours.read_hours(await visible_doctor(caller, doctor_id))
    return WorkingHoursOut(hours=[HoursBlockOut.model_validate(b) for b in blocks], is_default=is_default)


@router.put(
    "/working-hours",
    summary="Set a doctor's weekly hours",
    responses=responses(
        *(DoctorNotFound, errors.NotTheDoctorsClinic, errors.OutsideOpeningHours),
        *(errors.OtherClinicHours, errors.HoursOverlap, errors.WeekTooFull, ScheduleBusy),
    ),
)
async def set_working_hours(doctor_id: Id, body: WorkingHoursIn, caller: CurrentStaff) -> WorkingHoursChanged:
    """Replaces the whole week. Free future slots that no longer fit are withdrawn, new ones opened; the report lists
    the booked appointments that no longer fit. They stay valid until a person moves or cancels them. A nurse sets
    the hours at her clinics: those at others stay, whether they are sent along or left out."""
    doctor = await reachable_doctor(caller, doctor_id)
    outcome, booked = await working_hours.set_hours(doctor, body.hours, only_at=only_clinics_of(caller))
    blocks, is_default = await working_hours.read_hours(await reachable_doctor(caller, doctor_id))
    return WorkingHoursChanged(
        hours=[HoursBlockOut.model_validate(block) for block in blocks],
        is_default=is_default,
        report=report(outcome, booked, caller=caller),
    )


@router.get("/leaves", summary="A doctor's leave", responses=responses(DoctorNotFound, BadCursor))
async def list_leaves(doctor_id: Id, caller: CurrentStaff, page: RequestedPage) -> Page[LeaveOut]:
    """Past and coming leave, by start."""
    doctor = await reachable_doctor(caller, doctor_id)
    leaves, next_cursor = await working_hours.list_leaves(doctor, page)
    return Page(items=[LeaveOut.model_validate(leave) for leave in leaves], next_cursor=next_cursor)


@router.post(
    "/leaves",
    summary="Take leave",
    status_code=status.HTTP_201_CREATED,
    responses=responses(DoctorNotFound, errors.InThePast, ScheduleBusy),
)
async def take_leave(doctor_id: Id, body: SpanIn, caller: CurrentStaff) -> LeaveTaken:
    """Withdraws the free slots in this time. Once this is answered nothing more can be booked in it, and every
    appointment in it is listed in the report. They stay valid until a person moves or cancels them."""
    doctor = await reachable_doctor(caller, doctor_id)
    leave, outcome, booked = await working_hours.take_leave(
        doctor, start=body.start, end=body.end, reason=body.reason, created_by=caller.user_id
    )
    return LeaveTaken(
        **LeaveOut.model_validate(leave).model_dump(), report=report(outcome, booked, caller=caller)
    )


@router.delete(
    "/leaves/{leave_id}",
    summary="End or delete a leave",
    responses=responses(DoctorNotFound, errors.LeaveNotFound, ScheduleBusy),
)
async def delete_leave(doctor_id: Id, leave_id: Id, caller: CurrentStaff) -> WithdrawalReport:
    """Opens the leave's time again, as far as the weekly hours ask for it."""
    doctor = await reachable_doctor(caller, doctor_id)
    return report(await working_hours.end_leave(doctor, leave_id), [], caller=caller)
