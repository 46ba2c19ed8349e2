"""Routes of visit types."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentAdmin, OptionalUser, visible_to
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory.clinics import get_clinic
from backend.directory.errors import ClinicNotFound, UnknownDepartment
from backend.directory.visit_types import service
from backend.directory.visit_types.errors import VisitTypeNotFound, VisitTypeTaken
from backend.directory.visit_types.schemas import NewVisitType, VisitTypeOut, VisitTypePatch
from backend.patients.errors import UnknownDoctor

router = APIRouter(tags=["visit types"])

_OFFERED_BY = (UnknownDoctor, UnknownDepartment)


@router.get(
    "/clinics/{clinic_id}/visit-types",
    summary="List the visit types of a clinic",
    responses=responses(ClinicNotFound, BadCursor),
)
async def list_visit_types(
    *,
    clinic_id: Id,
    viewer: OptionalUser,
    is_active: Annotated[bool, Query(description="False: deactivated ones, for staff only.")] = True,
    page: RequestedPage,
) -> Page[VisitTypeOut]:
    """Lists visit types by name. Needs no login. Besides these, each slot can be booked as it is, without a type."""
    await get_clinic(clinic_id, where=visible_to(viewer))
    found, next_cursor = await service.list_visit_types(
        clinic_id, where=visible_to(viewer), is_active=is_active, page=page
    )
    return Page(items=[VisitTypeOut.of(each, viewer) for each in found], next_cursor=next_cursor)


@router.post(
    "/clinics/{clinic_id}/visit-types",
    summary="Create a visit type",
    status_code=status.HTTP_201_CREATED,
    responses=responses(ClinicNotFound, VisitTypeTaken, *_OFFERED_BY),
)
async def create_visit_type(
    clinic_id: Id, body: NewVisitType, caller: CurrentAdmin, response: Response
) -> VisitTypeOut:
    """Creates an active visit type. In each language its name must be unique at the clinic."""
    created = await service.create_visit_type(clinic_id, body)
    set_location(response, f"/visit-types/{created.visit_type_id}")
    return VisitTypeOut.of(created, caller)


@router.get(
    "/visit-types/{visit_type_id}",
    summary="Read a visit type",
    responses={**ETAG_HEADER, **responses(VisitTypeNotFound)},
)
async def get_visit_type(visit_type_id: Id, viewer: OptionalUser, response: Response) -> VisitTypeOut:
    """Returns a visit type. Needs no login. Only staff see deactivated ones."""
    found = await service.get_visit_type(visit_type_id, where=visible_to(viewer))
    set_etag(response, found.version)
    return VisitTypeOut.of(found, viewer)


@router.patch(
    "/visit-types/{visit_type_id}",
    summary="Update a visit type",
    responses={**ETAG_HEADER, **responses(VisitTypeNotFound, VisitTypeTaken, EditConflict, *_OFFERED_BY)},
)
async def update_visit_type(
    visit_type_id: Id, body: VisitTypePatch, caller: CurrentAdmin, version: ExpectedVersion, response: Response
) -> VisitTypeOut:
    """Changes the fields sent and leaves the others. Appointments that are booked keep their length."""
    changed = await service.update_visit_type(visit_type_id, body.model_dump(exclude_unset=True), version=version)
    set_etag(response, changed.version)
    return VisitTypeOut.of(changed, caller)


@router.delete(
    "/visit-types/{visit_type_id}",
    summary="Deactivate a visit type",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(VisitTypeNotFound),
)
async def deactivate_visit_type(visit_type_id: Id, caller: CurrentAdmin) -> None:
    """Nobody can book it any more; appointments stay. May be repeated."""
    await service.deactivate_visit_type(visit_type_id)
