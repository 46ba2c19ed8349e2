"""Routes of the admin dashboard and the doctor statistics."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.access import CurrentAdmin, CurrentStaff
from backend.core.http.errors import responses
from backend.core.http.fields import Day, Id
from backend.directory.errors import DoctorNotFound
from backend.reports import service
from backend.reports.schemas import Dashboard, DoctorStats
from backend.scheduling.access import reachable_doctor

_FROM = "The first day. Default: 30 days before `to` or, without that, before today."
_TO = "The last day, included. Default: 30 days after today, or after `from` if that is later."

router = APIRouter(tags=["reports"])


@router.get(
    "/doctors/{doctor_id}/stats",
    summary="Doctor statistics",
    responses=responses(DoctorNotFound, service.RangeTooLong),
)
async def get_doctor_stats(
    doctor_id: Id,
    caller: CurrentStaff,
    group_by: service.GroupBy = service.GroupBy.DAY,
    first_day: Annotated[Day | None, Query(alias="from", description=_FROM)] = None,
    last_day: Annotated[Day | None, Query(alias="to", description=_TO)] = None,
) -> DoctorStats:
    """Counts a doctor's appointments by status per day or month, in the clinic's zone. Doctors see their own
    statistics, nurses those of their clinics' doctors, administrators all."""
    await reachable_doctor(caller, doctor_id)
    return await service.doctor_stats(doctor_id, group_by=group_by, first_day=first_day, last_day=last_day)


@router.get("/admin/dashboard", summary="Admin dashboard")
async def get_dashboard(caller: CurrentAdmin) -> Dashboard:
    """Counts active people and clinics, and appointments by status: in total, today and in the next seven days."""
    return await service.dashboard()
