"""Routes that change doctors and clinics, and so their slots. Each returns a report of what that did."""

from fastapi import APIRouter, Response, status
from pydantic import ConfigDict

from backend.accounts.access import CurrentAdmin, FrontDesk, OptionalUser, visible_to
from backend.accounts.errors import EmailTaken, LicenseTaken, UnknownClinic
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.directory import clinics, doctors, errors
from backend.directory.phone_region import ClinicsPhoneRegion
from backend.directory.responses import ClinicOut, DoctorDetail, doctor_detail
from backend.directory.schemas import ClinicPatch, DoctorPatch
from backend.scheduling import directory_changes, dry_runs
from backend.scheduling.access import reachable_clinic
from backend.scheduling.errors import InThePast, ScheduleBusy
from backend.scheduling.schemas import (
    DRY_RUN_REPORT,
    ClosureOut,
    ClosureReport,
    DryRun,
    PeriodIn,
    WithdrawalReport,
    report,
    reported,
)

clinics_router = APIRouter(
    prefix="/clinics/{clinic_id}", tags=["clinics"], responses=responses(errors.ClinicNotFound)
)
doctors_router = APIRouter(
    prefix="/doctors/{doctor_id}", tags=["doctors"], responses=responses(errors.DoctorNotFound)
)


class ClinicReport(ClinicOut):
    """The changed clinic, and what the change did to slots and appointments."""

    model_config = ConfigDict(json_schema_extra=None)

    report: WithdrawalReport


class DoctorReport(DoctorDetail):
    """The changed doctor, and what the change did to slots and appointments."""

    model_config = ConfigDict(json_schema_extra=None)

    report: WithdrawalReport


@clinics_router.patch(
    "",
    summary="Change a clinic",
    responses={**ETAG_HEADER, **responses(errors.ClinicTaken, EditConflict, ScheduleBusy)},
)
async def update_clinic(
    *,
    clinic_id: Id,
    body: ClinicPatch,
    caller: CurrentAdmin,
    region: ClinicsPhoneRegion,
    version: ExpectedVersion,
    response: Response,
) -> ClinicReport:
    """New opening hours, another time zone or horizon withdraw slots that no longer fit and open those that now do.
    The report lists the booked appointments that no longer fit. They stay valid until somebody reschedules or cancels
    them. After another time zone it lists all coming appointments: each keeps its instant, and the clinic's clock now
    shows another time for it. Reminders and other messages show the new clock; what was sent before does not."""
    clinic = await clinics.get_clinic(clinic_id)
    changed, result, booked = await directory_changes.change_clinic(
        clinic, body.model_dump(exclude_unset=True), version=version
    )
    set_etag(response, changed.version)
    return ClinicReport(**ClinicOut.of(changed).model_dump(), report=report(result, booked, caller=caller))


@clinics_router.delete("", summary="Deactivate a clinic", responses=responses(ScheduleBusy))
async def deactivate_clinic(clinic_id: Id, caller: CurrentAdmin, dry_run: DryRun = False) -> WithdrawalReport:
    """Withdraws all its slots. Once the request returns, no new booking can land there. The report lists every coming
    appointment."""
    clinic = await clinics.get_clinic(clinic_id)
    if dry_run:
        return report(*await dry_runs.inactive_clinic(clinic), caller=caller)
    return report(*await directory_changes.deactivate_clinic(clinic), caller=caller)


@clinics_router.get("/closures", summary="List a clinic's closures")
async def list_closures(clinic_id: Id, viewer: OptionalUser) -> list[ClosureOut]:
    """Returns past and coming closures, by start. Needs no login. Only staff see those of a deactivated clinic."""
    clinic = await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    return [ClosureOut.of(closure, clinic) for closure in clinic.closures]


@clinics_router.get(
    "/closures/{closure_id}",
    summary="Get a closure",
    responses=responses(errors.ClinicNotFound, errors.ClosureNotFound),
)
async def get_closure(clinic_id: Id, closure_id: Id, viewer: OptionalUser) -> ClosureOut:
    """Returns one closure of the clinic. Needs no login. Only staff see those of a deactivated clinic."""
    clinic = await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    closure = next((each for each in clinic.closures if each.id == closure_id), None)
    if closure is None:
        raise errors.ClosureNotFound
    return ClosureOut.of(closure, clinic)


@clinics_router.post(
    "/closures",
    summary="Create a closure",
    status_code=status.HTTP_201_CREATED,
    response_model=ClosureReport,
    responses={**DRY_RUN_REPORT, **responses(errors.TooManyClosures, InThePast, ScheduleBusy)},
)
async def close_clinic(
    clinic_id: Id, body: PeriodIn, caller: FrontDesk, response: Response, dry_run: DryRun = False
) -> ClosureReport | Response:
    """Withdraws the free slots of all the clinic's doctors in this time. Once the request returns, no new booking can
    land in it. The report lists every appointment in it. They stay valid until rescheduled or cancelled. Dates are
    whole days in the clinic's time zone."""
    clinic = await reachable_clinic(caller, clinic_id)
    period = body.span(clinic.zone)
    if dry_run:
        return reported(*await dry_runs.closure(clinic, start=period.start, end=period.end), caller=caller)
    closure, result, booked = await directory_changes.close_clinic(
        clinic, start=period.start, end=period.end, reason=body.reason
    )
    set_location(response, f"/clinics/{clinic_id}/closures/{closure.id}")
    return ClosureReport.of(closure, clinic, report=report(result, booked, caller=caller))


@clinics_router.delete(
    "/closures/{closure_id}",
    summary="Delete a closure",
    responses=responses(errors.ClinicNotFound, errors.ClosureNotFound, ScheduleBusy),
)
async def delete_closure(clinic_id: Id, closure_id: Id, caller: FrontDesk) -> WithdrawalReport:
    """Opens the closure's time again, as far as it lies in the doctors' weekly hours."""
    clinic = await reachable_clinic(caller, clinic_id)
    return report(await directory_changes.reopen_clinic(clinic, closure_id), [], caller=caller)


@doctors_router.patch(
    "",
    summary="Change a doctor",
    responses={
        **ETAG_HEADER,
        **responses(
            *(EmailTaken, LicenseTaken, EditConflict),
            *(UnknownClinic, errors.UnknownDepartment, ScheduleBusy),
        ),
    },
)
async def update_doctor(
    doctor_id: Id, body: DoctorPatch, caller: CurrentAdmin, version: ExpectedVersion, response: Response
) -> DoctorReport:
    """Removing a clinic withdraws the doctor's slots there. A limit of patients per day applies to bookings from now
    on. The report lists the booked appointments that no longer fit."""
    doctor = await doctors.get_doctor(doctor_id)
    changed, result, booked = await directory_changes.change_doctor(
        doctor, body.model_dump(exclude_unset=True), version=version
    )
    set_etag(response, changed.version)
    shown = await doctor_detail(changed)
    return DoctorReport(**shown.model_dump(), report=report(result, booked, caller=caller))


@doctors_router.delete("", summary="Deactivate a doctor", responses=responses(ScheduleBusy))
async def deactivate_doctor(doctor_id: Id, caller: CurrentAdmin, dry_run: DryRun = False) -> WithdrawalReport:
    """Ends the doctor's login and withdraws all their slots. Once the request returns, nobody can book them. The
    report lists every coming appointment."""
    doctor = await doctors.get_doctor(doctor_id)
    if dry_run:
        return report(*await dry_runs.inactive_doctor(doctor), caller=caller)
    return report(*await directory_changes.deactivate_doctor(doctor), caller=caller)
