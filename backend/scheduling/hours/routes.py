"""Routes of a doctor's working hours and leave."""

from fastapi import APIRouter, Response, status

from backend.accounts.access import CurrentStaff, CurrentUser
from backend.accounts.documents import User
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory.clinics import read_clinics
from backend.directory.doctors import profile_of
from backend.directory.errors import DoctorNotFound
from backend.scheduling import dry_runs, errors
from backend.scheduling.access import clinic_scope, reachable_doctor, visible_doctor
from backend.scheduling.availability_inputs import effective_hours
from backend.scheduling.hours import repository, working_hours
from backend.scheduling.hours.schemas import (
    HoursBlockOut,
    LeaveOut,
    LeaveReport,
    WorkingHoursIn,
    WorkingHoursOut,
    WorkingHoursReport,
)
from backend.scheduling.schemas import DRY_RUN_REPORT, DryRun, PeriodIn, WithdrawalReport, report, reported

router = APIRouter(prefix="/doctors/{doctor_id}", tags=["schedule"], responses=responses(DoctorNotFound))


@router.get("/working-hours", summary="Get a doctor's working hours", responses=ETAG_HEADER)
async def get_working_hours(doctor_id: Id, caller: CurrentUser, response: Response) -> WorkingHoursOut:
    """Returns the hours in force, in the wall-clock time of each block's clinic."""
    doctor = await visible_doctor(caller, doctor_id)
    set_etag(response, profile_of(doctor).weekly_hours_version)
    return await _working_hours(doctor)


async def _working_hours(doctor: User) -> WorkingHoursOut:
    profile = profile_of(doctor)
    blocks = effective_hours(profile, await read_clinics(profile.clinic_ids))
    hours = [HoursBlockOut.model_validate(block) for block in blocks]
    return WorkingHoursOut(hours=hours, is_default=profile.weekly_hours is None)


@router.put(
    "/working-hours",
    summary="Set a doctor's working hours",
    responses={
        **ETAG_HEADER,
        **responses(
            *(errors.NotTheDoctorsClinic, errors.OutsideOpeningHours, EditConflict),
            *(errors.OtherClinicHours, errors.HoursOverlap, errors.WeekTooFull, errors.ScheduleBusy),
        ),
    },
)
async def set_working_hours(
    doctor_id: Id,
    body: WorkingHoursIn,
    caller: CurrentStaff,
    version: ExpectedVersion,
    response: Response,
    dry_run: DryRun = False,
) -> WorkingHoursReport:
    """Replaces the whole week, withdraws the free future slots that no longer fit, and opens new ones. The report
    lists the booked appointments that no longer fit. They stay valid until somebody reschedules or cancels them.
    Nurses set the hours at their own clinics. Hours at other clinics stay, repeated in the request or not."""
    doctor = await reachable_doctor(caller, doctor_id)
    if dry_run:
        return await _planned_hours(doctor, body, caller=caller, version=version)
    result, booked = await working_hours.set_hours(doctor, body.hours, only_at=clinic_scope(caller), version=version)
    changed = await reachable_doctor(caller, doctor_id)
    set_etag(response, profile_of(changed).weekly_hours_version)
    week = await _working_hours(changed)
    return WorkingHoursReport(**week.model_dump(), report=report(result, booked, caller=caller))


async def _planned_hours(
    doctor: User, body: WorkingHoursIn, *, caller: User, version: int | None
) -> WorkingHoursReport:
    """Returns the week as it would be, and the report."""
    scope = clinic_scope(caller)
    week, result, booked = await dry_runs.working_hours(doctor, body.hours, only_at=scope, version=version)
    hours = [HoursBlockOut.model_validate(block) for block in week]
    return WorkingHoursReport(hours=hours, is_default=False, report=report(result, booked, caller=caller))


@router.get("/leaves", summary="List a doctor's leave", responses=responses(BadCursor))
async def list_leaves(doctor_id: Id, caller: CurrentStaff, page: RequestedPage) -> Page[LeaveOut]:
    """Returns past and coming leave, by start."""
    doctor = await reachable_doctor(caller, doctor_id)
    leaves, next_cursor = await repository.find_leave_page(doctor.user_id, page)
    zone = await working_hours.zone_of(doctor)
    return Page(items=[LeaveOut.of(leave, doctor, zone) for leave in leaves], next_cursor=next_cursor)


@router.get("/leaves/{leave_id}", summary="Get a leave", responses=responses(DoctorNotFound, errors.LeaveNotFound))
async def get_leave(doctor_id: Id, leave_id: Id, caller: CurrentStaff) -> LeaveOut:
    """Returns one leave of the doctor."""
    doctor = await reachable_doctor(caller, doctor_id)
    leave = await repository.find_leave(leave_id, doctor_id=doctor.user_id)
    if leave is None:
        raise errors.LeaveNotFound
    return LeaveOut.of(leave, doctor, await working_hours.zone_of(doctor))


@router.post(
    "/leaves",
    summary="Create a leave",
    status_code=status.HTTP_201_CREATED,
    response_model=LeaveReport,
    responses={**DRY_RUN_REPORT, **responses(errors.InThePast, errors.ScheduleBusy)},
)
async def take_leave(
    doctor_id: Id, body: PeriodIn, caller: CurrentStaff, response: Response, dry_run: DryRun = False
) -> LeaveReport | Response:
    """Withdraws the free slots in this time. Once the request returns, no new booking can land in it. The report
    lists every appointment in it. They stay valid until somebody reschedules or cancels them. Dates are whole days in
    the time zone of the doctor's first clinic."""
    doctor = await reachable_doctor(caller, doctor_id)
    zone = await working_hours.zone_of(doctor)
    period = body.span(zone)
    if dry_run:
        return reported(*await dry_runs.leave(doctor, start=period.start, end=period.end), caller=caller)
    leave, result, booked = await working_hours.take_leave(
        doctor, start=period.start, end=period.end, reason=body.reason, created_by=caller.user_id
    )
    set_location(response, f"/doctors/{doctor_id}/leaves/{leave.id}")
    return LeaveReport.of(leave, doctor, zone, report=report(result, booked, caller=caller))


@router.delete(
    "/leaves/{leave_id}",
    summary="Delete a leave",
    responses=responses(DoctorNotFound, errors.LeaveNotFound, errors.ScheduleBusy),
)
async def delete_leave(doctor_id: Id, leave_id: Id, caller: CurrentStaff) -> WithdrawalReport:
    """Opens the leave's time again, as far as it lies in the weekly hours."""
    doctor = await reachable_doctor(caller, doctor_id)
    return report(await working_hours.end_leave(doctor, leave_id), [], caller=caller)
