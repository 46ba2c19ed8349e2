"""The route that deactivates a patient, with what becomes of their appointments."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from backend.accounts.access import FrontDesk
from backend.appointments.patient_changes import deactivate_patient as deactivate
from backend.appointments.patient_changes import find_coming
from backend.appointments.schemas import AppointmentRow, PatientReport
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.patients.documents import InactiveReason
from backend.patients.errors import OwnRecord, PatientNotFound
from backend.scheduling.schemas import DryRun

router = APIRouter(prefix="/patients", tags=["patients"])


@router.delete("/{patient_id}", summary="Deactivate a patient", responses=responses(PatientNotFound, OwnRecord))
async def deactivate_patient(
    patient_id: Id,
    caller: FrontDesk,
    reason: Annotated[InactiveReason | None, Query(description="Nobody writes to a patient who has died.")] = None,
    appointments: Annotated[
        Literal["keep", "cancel"], Query(description="What to do with coming appointments.")
    ] = "keep",
    dry_run: DryRun = False,
) -> PatientReport:
    """Deactivates a patient; the record is kept, and no account acts for them any more. May be repeated.

    The report lists their coming appointments as they are then, at all clinics.
    """
    if dry_run:
        found = await find_coming(caller, patient_id)
    else:
        found = await deactivate(caller, patient_id, reason=reason, cancels=appointments == "cancel")
    return PatientReport(appointments=[AppointmentRow.model_validate(each) for each in found])
