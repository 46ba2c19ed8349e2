"""Routes of doctors. What changes the book (changing, deactivating one, hours and leave) is scheduling's."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from backend.accounts.access import CurrentAdmin, OptionalUser
from backend.accounts.errors import EmailTaken, LicenseTaken, PhoneTaken, UnknownClinic
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Line
from backend.core.http.pagination import BadCursor, RequestedPage
from backend.directory import doctors
from backend.directory.doctor_responses import show_doctors, show_in_detail
from backend.directory.errors import DoctorNotFound, UnknownDepartment
from backend.directory.listing import visible_to
from backend.directory.responses_people import DoctorDetail, DoctorOut, DoctorPage
from backend.directory.schemas import NewDoctor

router = APIRouter(prefix="/doctors", tags=["doctors"])


@router.get("", summary="Find doctors", responses=responses(BadCursor))
async def list_doctors(
    *,
    viewer: OptionalUser,
    specialty: Annotated[
        Line | None, Query(description="The whole name; case and accents don't matter.")
    ] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    department_id: Annotated[Id | None, Query()] = None,
    city: Annotated[
        Line | None, Query(description="Of one of the doctor's clinics; case and accents don't matter.")
    ] = None,
    q: Annotated[Line | None, Query(description="Beginnings of words of name and specialty.")] = None,
    is_active: Annotated[bool, Query(description="False lists deactivated ones, to the staff only.")] = True,
    page: RequestedPage,
) -> DoctorPage:
    """Doctors by name. Needs no login; the staff also see contact, licence and limits of each."""
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
    return DoctorPage(items=await show_doctors(found, viewer), next_cursor=next_cursor)


@router.post(
    "",
    summary="Make a doctor",
    status_code=status.HTTP_201_CREATED,
    responses=responses(EmailTaken, PhoneTaken, LicenseTaken, UnknownClinic, UnknownDepartment),
)
async def create_doctor(body: NewDoctor, caller: CurrentAdmin) -> DoctorDetail:
    """Makes a doctor with a login. Until weekly hours are set, the opening hours of the main clinic hold."""
    fields = body.model_dump(exclude={"password"})
    doctor = await doctors.create_doctor(**fields, password=body.password.get_secret_value())
    return await show_in_detail(doctor)


@router.get("/{doctor_id}", summary="Read a doctor", responses=responses(DoctorNotFound))
async def get_doctor(doctor_id: Id, viewer: OptionalUser) -> DoctorDetail | DoctorOut:
    """One doctor. Needs no login; the staff also see contact, licence, limits, and deactivated ones."""
    doctor = await doctors.get_doctor(doctor_id, where=visible_to(viewer))
    [shown] = await show_doctors([doctor], viewer)
    return shown
