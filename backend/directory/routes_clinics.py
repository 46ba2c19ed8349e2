"""Routes of clinics. What changes the book (changing, closing, deactivating one) is scheduling's."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from backend.accounts.access import CurrentAdmin, OptionalUser
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Line
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory import clinics, doctors
from backend.directory.doctor_responses import show_doctors
from backend.directory.errors import ClinicNotFound, ClinicTaken, NearRequired
from backend.directory.fields import NearPoint, position_of
from backend.directory.listing import visible_to
from backend.directory.responses_people import DoctorPage
from backend.directory.responses_places import ClinicOut
from backend.directory.schemas import NewClinic

router = APIRouter(prefix="/clinics", tags=["clinics"])

_HALF_ROUND_THE_WORLD_M = 20_100_000


@router.get("", summary="Find clinics", responses=responses(BadCursor, NearRequired))
async def list_clinics(
    *,
    viewer: OptionalUser,
    city: Annotated[Line | None, Query(description="Case and accents don't matter.")] = None,
    q: Annotated[Line | None, Query(description="Beginnings of words of name and address.")] = None,
    near: Annotated[
        NearPoint | None,
        Query(
            description="Longitude and latitude, in degrees: the nearest first.", examples=["-73.98,40.75"]
        ),
    ] = None,
    max_distance_m: Annotated[
        int | None,
        Query(ge=1, le=_HALF_ROUND_THE_WORLD_M, description="With `near`: metres, as the crow flies."),
    ] = None,
    is_active: Annotated[bool, Query(description="False lists deactivated ones, to the staff only.")] = True,
    page: RequestedPage,
) -> Page[ClinicOut]:
    """Clinics by name; with `near` by distance, each with `distance_m`. Needs no login.

    A clinic without a location is not found by `near`. Filters may be combined.
    """
    found, next_cursor = await clinics.list_clinics(
        where=visible_to(viewer),
        is_active=is_active,
        city=city,
        q=q,
        near=position_of(near) if near else None,
        max_distance_m=max_distance_m,
        page=page,
    )
    return Page(items=[ClinicOut.of_found(each) for each in found], next_cursor=next_cursor)


@router.post(
    "", summary="Make a clinic", status_code=status.HTTP_201_CREATED, responses=responses(ClinicTaken)
)
async def create_clinic(body: NewClinic, caller: CurrentAdmin) -> ClinicOut:
    """Makes an active clinic. Its name must be the only one in its city; case and accents don't matter."""
    return ClinicOut.of(await clinics.create_clinic(**body.model_dump()))


@router.get("/{clinic_id}", summary="Read a clinic", responses=responses(ClinicNotFound))
async def get_clinic(clinic_id: Id, viewer: OptionalUser) -> ClinicOut:
    """One clinic. Needs no login. Deactivated ones are there for the staff only."""
    return ClinicOut.of(await clinics.get_clinic(clinic_id, where=visible_to(viewer)))


@router.get(
    "/{clinic_id}/doctors", summary="A clinic's doctors", responses=responses(ClinicNotFound, BadCursor)
)
async def list_clinic_doctors(clinic_id: Id, viewer: OptionalUser, page: RequestedPage) -> DoctorPage:
    """The active doctors who work at the clinic, by name: the answer of `GET /doctors?clinic_id=…`."""
    await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    found, next_cursor = await doctors.list_doctors(clinic_id=clinic_id, page=page)
    return DoctorPage(items=await show_doctors(found, viewer), next_cursor=next_cursor)
