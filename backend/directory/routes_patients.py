"""Routes of patients. Staff see all patients, patients only themselves."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentStaff, CurrentUser, FrontDesk
from backend.accounts.errors import EmailTaken, PhoneRequired, PhoneTaken
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id, Line
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory import patients
from backend.directory.errors import EmailRequired, FieldNotAllowed, PatientNotFound, UnknownDoctor
from backend.directory.responses import PatientDetail, PatientOut, PatientRow, patient_response
from backend.directory.schemas import NewPatient, PatientPatch

router = APIRouter(prefix="/patients", tags=["patients"])


@router.get("", summary="List patients", responses=responses(BadCursor))
async def list_patients(
    *,
    caller: CurrentStaff,
    q: Annotated[
        Line | None,
        Query(description="The beginning of words of name or e-mail, or of a phone number in any notation."),
    ] = None,
    assigned_doctor_id: Annotated[Id | None, Query()] = None,
    is_active: Annotated[bool, Query(description="False: deactivated ones.")] = True,
    page: RequestedPage,
) -> Page[PatientRow]:
    """Lists patients by name, without medical data. For staff."""
    found, next_cursor = await patients.list_patients(
        q=q, assigned_doctor_id=assigned_doctor_id, is_active=is_active, page=page
    )
    return Page(items=[PatientRow.of(each) for each in found], next_cursor=next_cursor)


@router.post(
    "",
    summary="Create a patient",
    status_code=status.HTTP_201_CREATED,
    responses=responses(EmailTaken, PhoneTaken, UnknownDoctor),
)
async def create_patient(body: NewPatient, caller: CurrentStaff, response: Response) -> PatientDetail:
    """Creates a patient without a password, for example one who walks in or calls. Phone and e-mail are optional."""
    patient = await patients.create_patient(body)
    set_location(response, f"/patients/{patient.user_id}")
    return PatientDetail.of(patient)


@router.get("/{patient_id}", summary="Read a patient", responses={**ETAG_HEADER, **responses(PatientNotFound)})
async def get_patient(patient_id: Id, caller: CurrentUser, response: Response) -> PatientDetail | PatientOut:
    """Returns a patient's record. Patients can read only their own, without the staff's notes."""
    patient = await patients.get_patient(patient_id, where=patients.visible_patients(caller))
    set_etag(response, patient.version)
    return patient_response(patient, caller)


@router.patch(
    "/{patient_id}",
    summary="Update a patient",
    responses={
        **ETAG_HEADER,
        **responses(
            *(PatientNotFound, FieldNotAllowed, EmailTaken, PhoneTaken, EditConflict),
            *(PhoneRequired, EmailRequired, UnknownDoctor),
        ),
    },
)
async def update_patient(
    patient_id: Id, body: PatientPatch, caller: CurrentUser, version: ExpectedVersion, response: Response
) -> PatientDetail | PatientOut:
    """Changes the fields sent and leaves the others.

    Patients can change their own contact and personal data; only staff can change medical history, notes and the
    assigned doctor. If the caller may not change one of the fields sent, none is changed.
    """
    patient = await patients.update_patient(patient_id, body, caller=caller, version=version)
    set_etag(response, patient.version)
    return patient_response(patient, caller)


@router.delete(
    "/{patient_id}",
    summary="Deactivate a patient",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(PatientNotFound),
)
async def deactivate_patient(patient_id: Id, caller: FrontDesk) -> None:
    """Deactivates a patient and closes all their sessions; the record is kept. May be repeated."""
    await patients.deactivate_patient(patient_id)
