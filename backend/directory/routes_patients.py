"""Routes of patients: the staff see all, a patient only himself."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from backend.accounts.access import CurrentStaff, CurrentUser, FrontDesk
from backend.accounts.errors import EmailTaken, PhoneRequired, PhoneTaken
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id, Line
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory import patients
from backend.directory.errors import EmailRequired, FieldNotAllowed, PatientNotFound, UnknownDoctor
from backend.directory.patients import within_reach
from backend.directory.responses_people import PatientDetail, PatientOut, PatientRow, show_patient
from backend.directory.schemas import NewPatient, PatientPatch

router = APIRouter(prefix="/patients", tags=["patients"])


@router.get("", summary="Find patients", responses=responses(BadCursor))
async def list_patients(
    *,
    caller: CurrentStaff,
    q: Annotated[
        Line | None,
        Query(description="Beginnings of words of name or e-mail, or of a phone number in any notation."),
    ] = None,
    assigned_doctor_id: Annotated[Id | None, Query()] = None,
    is_active: Annotated[bool, Query(description="False lists deactivated ones.")] = True,
    page: RequestedPage,
) -> Page[PatientRow]:
    """Patients by name, without their medical data. For the staff."""
    found, next_cursor = await patients.list_patients(
        q=q, assigned_doctor_id=assigned_doctor_id, is_active=is_active, page=page
    )
    return Page(items=[PatientRow.of(each) for each in found], next_cursor=next_cursor)


@router.post(
    "",
    summary="Enter a patient",
    status_code=status.HTTP_201_CREATED,
    responses=responses(EmailTaken, PhoneTaken, UnknownDoctor),
)
async def create_patient(body: NewPatient, caller: CurrentStaff) -> PatientDetail:
    """Enters a patient who comes in or calls: no login, and if need be no phone and no e-mail."""
    return PatientDetail.of(await patients.create_patient(**body.model_dump()))


@router.get("/{patient_id}", summary="Read a patient", responses=responses(PatientNotFound))
async def get_patient(patient_id: Id, caller: CurrentUser) -> PatientDetail | PatientOut:
    """One patient's record; a patient reads only the own, and without the staff's notes."""
    return show_patient(await patients.get_patient(patient_id, where=within_reach(caller)), caller)


@router.patch(
    "/{patient_id}",
    summary="Change a patient",
    responses=responses(
        *(PatientNotFound, FieldNotAllowed, EmailTaken, PhoneTaken, EditConflict),
        *(PhoneRequired, EmailRequired, UnknownDoctor),
    ),
)
async def update_patient(
    patient_id: Id, body: PatientPatch, caller: CurrentUser
) -> PatientDetail | PatientOut:
    """Changes what is sent and leaves the rest.

    Patients change their own contact and personal data; medical history, notes and the assigned doctor are the
    staff's. If one of the fields sent is not the caller's to change, none is changed.
    """
    changes = body.model_dump(exclude_unset=True)
    return show_patient(await patients.update_patient(patient_id, changes, caller=caller), caller)


@router.delete(
    "/{patient_id}",
    summary="Deactivate a patient",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(PatientNotFound),
)
async def deactivate_patient(patient_id: Id, caller: FrontDesk) -> None:
    """Ends the patient's account and all logins at once; the record is kept. May be repeated."""
    await patients.deactivate_patient(patient_id)
