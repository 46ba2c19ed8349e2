"""Routes of the dashboard and the doctors' statistics."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.access import CurrentAdmin, CurrentStaff
from backend.core.http.errors import responses
from backend.core.http.fields import Day, Id
from backend.directory.errors import DoctorNotFound
from backend.reports import service
from backend.reports.schemas import Dashboard, DoctorStats
from backend.scheduling.access import reachable_doctor

_FROM = "This day included. Without it: 30 days before `to`, and without that 30 days before today."
_TO = "This day included. Without it: 30 days after today, or after `from` if that lies ahead."

router = APIRouter(tags=["reports"])


@router.get(
    "/doctors/{doctor_id}/stats",
    summary="A doctor's numbers",
    responses=responses(DoctorNotFound, service.RangeTooLong),
)
async def get_doctor_stats(
    doctor_id: Id,
    caller: CurrentStaff,
    group_by: service.GroupBy = service.GroupBy.DAY,
    first_day: Annotated[Day | None, Query(alias="from", description=_FROM)] = None,
    last_day: Annotated[Day | None, Query(alias="to", description=_TO)] = None,
) -> DoctorStats:
    """Appointments by status per day or month, in the clinic's zone. Doctors see their own, nurses those of the
    doctors of their clinics, administrators all."""
    await reachable_doctor(caller, doctor_id)
    return await service.doctor_stats(doctor_id, group_by=group_by, first_day=first_day, last_day=last_day)


@router.get("/admin/dashboard", summary="The business in numbers")
async def get_dashboard(caller: CurrentAdmin) -> Dashboard:
    """Totals, appointments by status, today and the next seven days. For administrators."""
    return await service.dashboard()
