"""Routes of a doctor's working hours and leave."""

from fastapi import APIRouter, status

from backend.accounts.access import CurrentStaff, CurrentUser
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory.errors import DoctorNotFound
from backend.scheduling import errors
from backend.scheduling.access import clinic_scope, reachable_doctor, visible_doctor
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.hours import repository, working_hours
from backend.scheduling.hours.schemas import (
    HoursBlockOut,
    LeaveOut,
    LeaveReport,
    WorkingHoursIn,
    WorkingHoursOut,
    WorkingHoursReport,
)
from backend.scheduling.schemas import PeriodIn, WithdrawalReport, report

router = APIRouter(prefix="/doctors/{doctor_id}", tags=["schedule"])


@router.get("/working-hours", summary="Get a doctor's working hours", responses=responses(DoctorNotFound))
async def get_working_hours(doctor_id: Id, caller: CurrentUser) -> WorkingHoursOut:
    """Returns the hours in force, in the wall-clock time of each block's clinic."""
    blocks, is_default = await working_hours.read_hours(await visible_doctor(caller, doctor_id))
    return WorkingHoursOut(hours=[HoursBlockOut.model_validate(b) for b in blocks], is_default=is_default)


@router.put(
    "/working-hours",
    summary="Set a doctor's working hours",
    responses=responses(
        *(DoctorNotFound, errors.NotTheDoctorsClinic, errors.OutsideOpeningHours),
        *(errors.OtherClinicHours, errors.HoursOverlap, errors.WeekTooFull, ScheduleBusy),
    ),
)
async def set_working_hours(doctor_id: Id, body: WorkingHoursIn, caller: CurrentStaff) -> WorkingHoursReport:
    """Replaces the whole week, withdraws the free future slots that no longer fit, and opens new ones. The report
    lists the booked appointments that no longer fit. They stay valid until somebody reschedules or cancels them.
    Nurses set the hours at their own clinics. Hours at other clinics stay, repeated in the request or not."""
    doctor = await reachable_doctor(caller, doctor_id)
    result, booked = await working_hours.set_hours(doctor, body.hours, only_at=clinic_scope(caller))
    blocks, is_default = await working_hours.read_hours(await reachable_doctor(caller, doctor_id))
    return WorkingHoursReport(
        hours=[HoursBlockOut.model_validate(block) for block in blocks],
        is_default=is_default,
        report=report(result, booked, caller=caller),
    )


@router.get("/leaves", summary="List a doctor's leave", responses=responses(DoctorNotFound, BadCursor))
async def list_leaves(doctor_id: Id, caller: CurrentStaff, page: RequestedPage) -> Page[LeaveOut]:
    """Returns past and coming leave, by start."""
    doctor = await reachable_doctor(caller, doctor_id)
    leaves, next_cursor = await repository.find_leave_page(doctor.user_id, page)
    return Page(items=[LeaveOut.model_validate(leave) for leave in leaves], next_cursor=next_cursor)


@router.post(
    "/leaves",
    summary="Create a leave",
    status_code=status.HTTP_201_CREATED,
    responses=responses(DoctorNotFound, errors.InThePast, ScheduleBusy),
)
async def take_leave(doctor_id: Id, body: PeriodIn, caller: CurrentStaff) -> LeaveReport:
    """Withdraws the free slots in this time. Once the request returns, no new booking can land in it. The report
    lists every appointment in it. They stay valid until somebody reschedules or cancels them."""
    doctor = await reachable_doctor(caller, doctor_id)
    leave, result, booked = await working_hours.take_leave(
        doctor, start=body.start, end=body.end, reason=body.reason, created_by=caller.user_id
    )
    return LeaveReport(
        **LeaveOut.model_validate(leave).model_dump(), report=report(result, booked, caller=caller)
    )


@router.delete(
    "/leaves/{leave_id}",
    summary="Delete a leave",
    responses=responses(DoctorNotFound, errors.LeaveNotFound, ScheduleBusy),
)
async def delete_leave(doctor_id: Id, leave_id: Id, caller: CurrentStaff) -> WithdrawalReport:
    """Opens the leave's time again, as far as it lies in the weekly hours."""
    doctor = await reachable_doctor(caller, doctor_id)
    return report(await working_hours.end_leave(doctor, leave_id), [], caller=caller)
