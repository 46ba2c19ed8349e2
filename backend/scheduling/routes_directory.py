"""Routes that change doctors and clinics, and with them the book: each answers with what that has done."""

from fastapi import APIRouter, status
from pydantic import ConfigDict

from backend.accounts.access import CurrentAdmin, FrontDesk, OptionalUser
from backend.accounts.errors import EmailTaken, LicenseTaken, PhoneTaken, UnknownClinic
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id
from backend.directory import clinics, doctors
from backend.directory.access import visible_to
from backend.directory.errors import (
    ClinicNotFound,
    ClinicTaken,
    ClosureNotFound,
    DoctorNotFound,
    TooManyClosures,
    UnknownDepartment,
)
from backend.directory.responses_people import DoctorDetail, doctor_detail
from backend.directory.responses_places import ClinicOut
from backend.directory.schemas import ClinicPatch, DoctorPatch
from backend.scheduling import directory_changes
from backend.scheduling.access import reachable_clinic
from backend.scheduling.errors import InThePast, ScheduleBusy
from backend.scheduling.schemas import ClosureMade, ClosureOut, SpanIn, WithdrawalReport, report

clinics_router = APIRouter(prefix="/clinics/{clinic_id}", tags=["clinics"])
doctors_router = APIRouter(prefix="/doctors/{doctor_id}", tags=["doctors"])


class ClinicChanged(ClinicOut):
    """The clinic as it now is, and what the change has done to the book."""

    model_config = ConfigDict(json_schema_extra=None)

    report: WithdrawalReport


class DoctorChanged(DoctorDetail):
    """The doctor as he now is, and what the change has done to the book."""

    model_config = ConfigDict(json_schema_extra=None)

    report: WithdrawalReport


@clinics_router.patch(
    "",
    summary="Change a clinic",
    responses=responses(ClinicNotFound, ClinicTaken, EditConflict, ScheduleBusy),
)
async def update_clinic(clinic_id: Id, body: ClinicPatch, caller: CurrentAdmin) -> ClinicChanged:
    """New opening hours, another zone or horizon withdraw the slots that no longer fit and open those that now do;
    the report lists the booked appointments that no longer fit. They stay valid until a person decides."""
    clinic = await clinics.get_clinic(clinic_id)
    changed, outcome, booked = await directory_changes.change_clinic(
        clinic, body.model_dump(exclude_unset=True)
    )
    return ClinicChanged(**ClinicOut.of(changed).model_dump(), report=report(outcome, booked, caller=caller))


@clinics_router.delete("", summary="Deactivate a clinic", responses=responses(ClinicNotFound, ScheduleBusy))
async def deactivate_clinic(clinic_id: Id, caller: CurrentAdmin) -> WithdrawalReport:
    """Withdraws all its slots. Once this is answered nothing can be booked there, and every appointment to come is
    listed."""
    return report(
        *await directory_changes.deactivate_clinic(await clinics.get_clinic(clinic_id)), caller=caller
    )


@clinics_router.get("/closures", summary="A clinic's closures", responses=responses(ClinicNotFound))
async def list_closures(clinic_id: Id, viewer: OptionalUser) -> list[ClosureOut]:
    """Past and coming, by start. Needs no login. Those of a deactivated clinic are there for the staff only."""
    clinic = await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    return [ClosureOut.model_validate(closure) for closure in clinic.closures]


@clinics_router.post(
    "/closures",
    summary="Close a clinic for a time",
    status_code=status.HTTP_201_CREATED,
    responses=responses(ClinicNotFound, TooManyClosures, InThePast, ScheduleBusy),
)
async def close_clinic(clinic_id: Id, body: SpanIn, caller: FrontDesk) -> ClosureMade:
    """Withdraws the free slots of all its doctors in this time. Once this is answered nothing more can be booked in
    it, and every appointment in it is listed in the report. They stay valid until a person decides."""
    clinic = await reachable_clinic(caller, clinic_id)
    closure, outcome, booked = await directory_changes.close_clinic(
        clinic, start=body.start, end=body.end, reason=body.reason
    )
    return ClosureMade(
        **ClosureOut.model_validate(closure).model_dump(), report=report(outcome, booked, caller=caller)
    )


@clinics_router.delete(
    "/closures/{closure_id}",
    summary="Delete a closure",
    responses=responses(ClinicNotFound, ClosureNotFound, ScheduleBusy),
)
async def delete_closure(clinic_id: Id, closure_id: Id, caller: FrontDesk) -> WithdrawalReport:
    """Opens the closure's time again, as far as the doctors' weekly hours ask for it."""
    clinic = await reachable_clinic(caller, clinic_id)
    return report(await directory_changes.reopen_clinic(clinic, closure_id), [], caller=caller)


@doctors_router.patch(
    "",
    summary="Change a doctor",
    responses=responses(
        *(DoctorNotFound, EmailTaken, PhoneTaken, LicenseTaken, EditConflict),
        *(UnknownClinic, UnknownDepartment, ScheduleBusy),
    ),
)
async def update_doctor(doctor_id: Id, body: DoctorPatch, caller: CurrentAdmin) -> DoctorChanged:
    """Leaving a clinic withdraws the slots there; a limit of patients a day applies to bookings from now on. The
    report lists the booked appointments that no longer fit."""
    doctor = await doctors.get_doctor(doctor_id)
    changed, outcome, booked = await directory_changes.change_doctor(
        doctor, body.model_dump(exclude_unset=True)
    )
    shown = await doctor_detail(changed)
    return DoctorChanged(**shown.model_dump(), report=report(outcome, booked, caller=caller))


@doctors_router.delete("", summary="Deactivate a doctor", responses=responses(DoctorNotFound, ScheduleBusy))
async def deactivate_doctor(doctor_id: Id, caller: CurrentAdmin) -> WithdrawalReport:
    """Ends the doctor's login and withdraws all slots. Once this is answered nothing can be booked any more, and
    every appointment to come is listed."""
    return report(
        *await directory_changes.deactivate_doctor(await doctors.get_doctor(doctor_id)), caller=caller
    )
