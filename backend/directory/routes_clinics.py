"""Routes that create and read clinics. Those that also change slots are in `scheduling/routes_directory.py`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentAdmin, OptionalUser, visible_to
from backend.core.http.errors import responses
from backend.core.http.fields import Id, Line
from backend.core.http.headers import ETAG_HEADER, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory import clinics, doctors
from backend.directory.errors import ClinicNotFound, ClinicTaken, NearRequired
from backend.directory.fields import NearPoint, position_of
from backend.directory.responses import ClinicOut, DoctorPage, doctor_responses
from backend.directory.schemas import NewClinic

router = APIRouter(prefix="/clinics", tags=["clinics"])

_HALF_ROUND_THE_WORLD_M = 20_100_000


@router.get("", summary="List clinics", responses=responses(BadCursor, NearRequired))
async def list_clinics(
    *,
    viewer: OptionalUser,
    city: Annotated[Line | None, Query(description="The whole name. Case and accents don't matter.")] = None,
    q: Annotated[Line | None, Query(description="The beginning of words of name and address.")] = None,
    near: Annotated[
        NearPoint | None,
        Query(description="Longitude and latitude, in degrees. Sorts by distance.", examples=["-73.98,40.75"]),
    ] = None,
    max_distance_m: Annotated[
        int | None,
        Query(ge=1, le=_HALF_ROUND_THE_WORLD_M, description="Metres in a straight line from `near`."),
    ] = None,
    is_active: Annotated[bool, Query(description="False: deactivated ones, for staff only.")] = True,
    page: RequestedPage,
) -> Page[ClinicOut]:
    """Lists clinics by name; with `near` by distance, each with `distance_m`. Needs no login.

    `near` excludes clinics without a location. Filters can be combined.
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
    return Page(items=[ClinicOut.of(each.clinic, each.distance_m) for each in found], next_cursor=next_cursor)


@router.post("", summary="Create a clinic", status_code=status.HTTP_201_CREATED, responses=responses(ClinicTaken))
async def create_clinic(body: NewClinic, caller: CurrentAdmin, response: Response) -> ClinicOut:
    """Creates an active clinic. Its name must be unique in its city; case and accents don't matter."""
    clinic = await clinics.create_clinic(body)
    set_location(response, f"/clinics/{clinic.clinic_id}")
    return ClinicOut.of(clinic)


@router.get("/{clinic_id}", summary="Read a clinic", responses={**ETAG_HEADER, **responses(ClinicNotFound)})
async def get_clinic(clinic_id: Id, viewer: OptionalUser, response: Response) -> ClinicOut:
    """Returns a clinic. Needs no login. Only staff see deactivated ones."""
    clinic = await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    set_etag(response, clinic.version)
    return ClinicOut.of(clinic)


@router.get(
    "/{clinic_id}/doctors",
    summary="List the doctors of a clinic",
    responses=responses(ClinicNotFound, BadCursor),
)
async def list_clinic_doctors(clinic_id: Id, viewer: OptionalUser, page: RequestedPage) -> DoctorPage:
    """Lists the active doctors of the clinic by name: the response of `GET /doctors?clinic_id=…`."""
    await clinics.get_clinic(clinic_id, where=visible_to(viewer))
    found, next_cursor = await doctors.list_doctors(clinic_id=clinic_id, page=page)
    return DoctorPage(items=await doctor_responses(found, viewer), next_cursor=next_cursor)
