"""Routes that create and read doctors. Those that also change slots are in `scheduling`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentAdmin, OptionalUser, visible_to
from backend.accounts.errors import EmailTaken, LicenseTaken, UnknownClinic
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Line
from backend.core.http.headers import ETAG_HEADER, set_etag, set_location
from backend.core.http.pagination import BadCursor, RequestedPage
from backend.directory import doctors
from backend.directory.errors import DoctorNotFound, UnknownDepartment
from backend.directory.phone_region import BodysPhoneRegion
from backend.directory.responses import DoctorDetail, DoctorOut, DoctorPage, doctor_detail, doctor_responses
from backend.directory.schemas import NewDoctor

router = APIRouter(prefix="/doctors", tags=["doctors"])


@router.get("", summary="List doctors", responses=responses(BadCursor))
async def list_doctors(
    *,
    viewer: OptionalUser,
    specialty: Annotated[Line | None, Query(description="The whole name. Case and accents don't matter.")] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    department_id: Annotated[Id | None, Query()] = None,
    city: Annotated[
        Line | None,
        Query(description="The city of one of the doctor's clinics. Case and accents don't matter."),
    ] = None,
    q: Annotated[Line | None, Query(description="The beginning of words of name and specialty.")] = None,
    is_active: Annotated[bool, Query(description="False: deactivated ones, for staff only.")] = True,
    page: RequestedPage,
) -> DoctorPage:
    """Lists doctors by name. Needs no login; staff also see contact, licence and limits."""
    found, next_cursor = await doctors.list_doctors(
        where=visible_to(viewer),
        is_active=is_active,
        specialty=specialty,
        clinic_id=clinic_id,
        department_id=department_id,
        city=city,
        q=q,
        page=page,
    )
    return DoctorPage(items=await doctor_responses(found, viewer), next_cursor=next_cursor)


@router.post(
    "",
    summary="Create a doctor",
    status_code=status.HTTP_201_CREATED,
    responses=responses(EmailTaken, LicenseTaken, UnknownClinic, UnknownDepartment),
)
async def create_doctor(
    body: NewDoctor, caller: CurrentAdmin, region: BodysPhoneRegion, response: Response
) -> DoctorDetail:
    """Creates a doctor with a login. Until their hours are set, they are those of the main clinic."""
    doctor = await doctors.create_doctor(body)
    set_location(response, f"/doctors/{doctor.user_id}")
    return await doctor_detail(doctor)


@router.get("/{doctor_id}", summary="Read a doctor", responses={**ETAG_HEADER, **responses(DoctorNotFound)})
async def get_doctor(doctor_id: Id, viewer: OptionalUser, response: Response) -> DoctorDetail | DoctorOut:
    """Returns a doctor. Needs no login; staff also see contact, licence, limits, and deactivated doctors."""
    doctor = await doctors.get_doctor(doctor_id, where=visible_to(viewer))
    set_etag(response, doctor.version)
    [found] = await doctor_responses([doctor], viewer)
    return found
