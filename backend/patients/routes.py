"""Routes of patients. Staff see all patients, an account those for whom it acts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentStaff, CurrentUser
from backend.accounts.errors import PhoneRequired
from backend.accounts.schemas import BirthDay
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id, Line
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.patients import records
from backend.patients.errors import (
    FieldNotAllowed,
    PatientNotFound,
    PossibleDuplicate,
    TooManyDependants,
    UnknownDoctor,
)
from backend.patients.links import grants
from backend.patients.links.acting import patients_of
from backend.patients.responses import (
    OwnPatientOut,
    PatientDetail,
    PatientOut,
    PatientRow,
    patient_response,
    with_opt_out,
)
from backend.patients.schemas import NewDependant, NewPatient, PatientPatch

me_router = APIRouter(prefix="/users/me/patients", tags=["me"])
router = APIRouter(prefix="/patients", tags=["patients"])


@me_router.get("", summary="List your patients")
async def list_own_patients(caller: CurrentUser) -> list[OwnPatientOut]:
    """Lists the active patients for whom the account acts: its owner first."""
    return [OwnPatientOut.model_validate(each) for each in await patients_of(caller)]


@me_router.post(
    "",
    summary="Add a dependant",
    status_code=status.HTTP_201_CREATED,
    responses=responses(TooManyDependants),
)
async def add_dependant(body: NewDependant, caller: CurrentUser, response: Response) -> PatientOut:
    """Adds a patient for whom the account acts: a child, or somebody in its owner's care.

    The account books, reschedules, cancels and confirms for them. Messages go to the account's phone, until the
    contacts of the record are changed.
    """
    patient = await grants.add_dependant(caller, body)
    set_location(response, f"/patients/{patient.patient_id}")
    return await with_opt_out(PatientOut.model_validate(patient))


@router.get("", summary="List patients", responses=responses(BadCursor))
async def list_patients(
    *,
    caller: CurrentStaff,
    q: Annotated[
        Line | None,
        Query(
            description="Beginnings of parts of a name, in any spelling; an e-mail or its beginning; a phone number "
            "in any notation, or its last four or more digits; a date of birth (`1951-12-26`); or any mix of these.",
            examples=["walesa 1943-09-29"],
        ),
    ] = None,
    date_of_birth: Annotated[BirthDay | None, Query(description="As `YYYY-MM-DD`.")] = None,
    phone_ends_with: Annotated[
        str | None, Query(pattern=r"^[0-9]{4,15}$", description="The last digits of the phone.", examples=["0160"])
    ] = None,
    assigned_doctor_id: Annotated[Id | None, Query()] = None,
    is_active: Annotated[bool, Query(description="False: deactivated ones.")] = True,
    of_age: Annotated[
        bool,
        Query(description="True: only those who have come of age, and for whom a parent or guardian still acts."),
    ] = False,
    page: RequestedPage,
) -> Page[PatientRow]:
    """Lists patients by name, without medical data. For staff."""
    only = await grants.patients_of_age() if of_age else None
    found, next_cursor = await records.list_patients(
        q=q,
        date_of_birth=date_of_birth,
        phone_ends_with=phone_ends_with,
        assigned_doctor_id=assigned_doctor_id,
        is_active=is_active,
        only=only,
        page=page,
    )
    return Page(items=[PatientRow.model_validate(each) for each in found], next_cursor=next_cursor)


@router.post(
    "",
    summary="Create a patient",
    status_code=status.HTTP_201_CREATED,
    responses=responses(UnknownDoctor, PossibleDuplicate),
)
async def create_patient(body: NewPatient, caller: CurrentStaff, response: Response) -> PatientDetail:
    """Creates a patient, for example one who walks in or calls. Phone and e-mail are optional.

    If there are patients with the same date of birth or phone and a similar name, it shows these instead. Repeat the
    request with `confirm_new: true` if it is nobody of them.
    """
    patient = await records.create_patient(body)
    set_location(response, f"/patients/{patient.patient_id}")
    return await with_opt_out(PatientDetail.of(patient, links=()))


@router.get("/{patient_id}", summary="Read a patient", responses={**ETAG_HEADER, **responses(PatientNotFound)})
async def get_patient(patient_id: Id, caller: CurrentUser, response: Response) -> PatientDetail | PatientOut:
    """Returns a patient's record. Patients can read only those for whom they act, without the staff's notes."""
    patient = await records.get_patient(patient_id, where=await records.visible_patients(caller))
    set_etag(response, patient.version)
    return await patient_response(patient, caller)


@router.patch(
    "/{patient_id}",
    summary="Update a patient",
    responses={
        **ETAG_HEADER,
        **responses(
            *(PatientNotFound, FieldNotAllowed, EditConflict, PhoneRequired, UnknownDoctor),
        ),
    },
)
async def update_patient(
    patient_id: Id, body: PatientPatch, caller: CurrentUser, version: ExpectedVersion, response: Response
) -> PatientDetail | PatientOut:
    """Changes the fields sent and leaves the others.

    Patients can change contact and personal data; only staff can change medical history, notes and the
    assigned doctor. If the caller may not change one of the fields sent, none is changed.
    """
    patient = await records.update_patient(patient_id, body, caller=caller, version=version)
    set_etag(response, patient.version)
    return await patient_response(patient, caller)
