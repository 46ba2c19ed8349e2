"""Routes that merge two records of the same person, and undo it. For administrators."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.access import CurrentAdmin
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.patients.errors import CircularLink, PatientNotFound, SelfLinkExists
from backend.patients.merging.errors import (
    AlreadyMerged,
    MergedOnwards,
    MergeNotFound,
    MergeUnderWay,
    MergeWithItself,
    PatientInactive,
    UndoTooLate,
)
from backend.patients.merging.merge import merge_records, preview_merge
from backend.patients.merging.schemas import MergeIn, MergeReport, UndoIn, UndoReport
from backend.patients.merging.undo import undo_merge as undo

router = APIRouter(prefix="/patients", tags=["patients"])


@router.post(
    "/{patient_id}/merge",
    summary="Merge two records of a patient",
    responses=responses(
        *(PatientNotFound, MergeWithItself, AlreadyMerged, MergeUnderWay, PatientInactive),
        *(SelfLinkExists, CircularLink),
    ),
)
async def merge_patients(
    patient_id: Id,
    body: MergeIn,
    caller: CurrentAdmin,
    dry_run: Annotated[bool, Query(description="True: only report what would move.")] = False,
) -> MergeReport:
    """Merges the record `other_id` into this one: appointments, messages, and the accounts that act for the patient.

    From then on the other id leads here wherever a `patient_id` is asked for, and the other record is in no list.
    Appointments of both at the same time are `conflicts`: they stay at the other record, with `needs_decision` of the
    kind `merge`, until one of the two is rescheduled or cancelled. A merge can be undone for 30 days.
    """
    if dry_run:
        return MergeReport.of(await preview_merge(patient_id, other_id=body.other_id, take=body.take))
    return MergeReport.of(await merge_records(caller, patient_id, other_id=body.other_id, take=body.take))


@router.post(
    "/{patient_id}/merge/undo",
    summary="Undo a merge",
    responses=responses(PatientNotFound, MergeNotFound, MergedOnwards, MergeUnderWay, UndoTooLate),
)
async def undo_merge(patient_id: Id, body: UndoIn, caller: CurrentAdmin) -> UndoReport:
    """Gives the other record back what the merge had moved; it is a patient's again. Possible for 30 days.

    What was booked or written since stays with the record that had survived, and is listed.
    """
    return UndoReport.of(await undo(patient_id, other_id=body.other_id))
