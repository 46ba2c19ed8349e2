"""The route that transfers a doctor's day."""

from typing import Annotated

from fastapi import APIRouter, Path

from backend.accounts.access import FrontDesk
from backend.appointments import errors
from backend.appointments.transfer.preview import preview_transfer
from backend.appointments.transfer.schemas import TransferIn, TransferReport
from backend.appointments.transfer.transfer import DoctorDate, transfer_day
from backend.core.http.errors import responses
from backend.core.http.fields import Day, Id
from backend.directory.errors import DoctorNotFound
from backend.scheduling.access import reachable_doctor
from backend.scheduling.errors import InThePast
from backend.scheduling.schemas import DryRun

router = APIRouter(tags=["appointments"])


@router.post(
    "/doctors/{doctor_id}/days/{date}/transfer",
    summary="Transfer a doctor's day",
    responses=responses(DoctorNotFound, errors.TransferOntoItself, InThePast),
)
async def transfer_doctors_day(
    doctor_id: Id,
    date: Annotated[Day, Path(description="The day, by the calendar of the clinic.")],
    body: TransferIn,
    caller: FrontDesk,
    dry_run: DryRun = False,
) -> TransferReport:
    """Moves the active appointments of a day to a substitute, or to another date of the same doctor: each to the same
    time at the same clinic, by the update of any rescheduling. What doesn't fit stays, and is listed with the reason.
    Nurses move the appointments at their clinics. It withdraws no time: take the leave first. It may be repeated."""
    await reachable_doctor(caller, doctor_id)
    if body.to_doctor_id is not None:
        await reachable_doctor(caller, body.to_doctor_id)
    target = DoctorDate(body.to_doctor_id or doctor_id, body.to_date or date)
    run = preview_transfer if dry_run else transfer_day
    return TransferReport.of(await run(caller, DoctorDate(doctor_id, date), target))
