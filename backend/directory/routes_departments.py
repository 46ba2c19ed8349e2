"""Routes of departments."""

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from backend.accounts.access import CurrentAdmin, OptionalUser, visible_to
from backend.core.http.errors import EditConflict, responses
from backend.core.http.fields import Id
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.directory import departments
from backend.directory.errors import DepartmentInUse, DepartmentNotFound, DepartmentTaken
from backend.directory.responses import DepartmentOut
from backend.directory.schemas import DepartmentPatch, NewDepartment

router = APIRouter(prefix="/departments", tags=["departments"])


@router.get("", summary="List departments", responses=responses(BadCursor))
async def list_departments(
    *,
    viewer: OptionalUser,
    is_active: Annotated[bool, Query(description="False: deactivated ones, for staff only.")] = True,
    page: RequestedPage,
) -> Page[DepartmentOut]:
    """Lists departments by name. Needs no login."""
    found, next_cursor = await departments.list_departments(where=visible_to(viewer), is_active=is_active, page=page)
    return Page(items=[DepartmentOut.model_validate(each) for each in found], next_cursor=next_cursor)


@router.post(
    "",
    summary="Create a department",
    status_code=status.HTTP_201_CREATED,
    responses=responses(DepartmentTaken),
)
async def create_department(body: NewDepartment, caller: CurrentAdmin, response: Response) -> DepartmentOut:
    """Creates an active department. Its name must be unique; case and accents don't matter."""
    created = await departments.create_department(**body.model_dump())
    set_location(response, f"/departments/{created.department_id}")
    return DepartmentOut.model_validate(created)


@router.get(
    "/{department_id}",
    summary="Read a department",
    responses={**ETAG_HEADER, **responses(DepartmentNotFound)},
)
async def get_department(department_id: Id, viewer: OptionalUser, response: Response) -> DepartmentOut:
    """Returns a department. Needs no login. Only staff see deactivated ones."""
    found = await departments.get_department(department_id, where=visible_to(viewer))
    set_etag(response, found.version)
    return DepartmentOut.model_validate(found)


@router.patch(
    "/{department_id}",
    summary="Update a department",
    responses={**ETAG_HEADER, **responses(DepartmentNotFound, DepartmentTaken, EditConflict)},
)
async def update_department(
    department_id: Id,
    body: DepartmentPatch,
    caller: CurrentAdmin,
    version: ExpectedVersion,
    response: Response,
) -> DepartmentOut:
    """Changes the fields sent and leaves the others."""
    changed = await departments.update_department(department_id, body.model_dump(exclude_unset=True), version=version)
    set_etag(response, changed.version)
    return DepartmentOut.model_validate(changed)


@router.delete(
    "/{department_id}",
    summary="Deactivate a department",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(DepartmentNotFound, DepartmentInUse),
)
async def deactivate_department(department_id: Id, caller: CurrentAdmin) -> None:
    """Deactivates a department without active doctors; nothing is deleted. May be repeated."""
    await departments.deactivate_department(department_id)
