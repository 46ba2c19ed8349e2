"""Departments: making, changing and finding them."""

from collections.abc import Iterable, Mapping
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.core.clock import utc_now
from backend.core.http.pagination import PageRequest, page_by_name
from backend.core.mongo.text_search import fold
from backend.core.mongo.updates import changes as as_update
from backend.directory.documents import Department
from backend.directory.errors import DepartmentInUse, DepartmentNotFound, DepartmentTaken, UnknownDepartment


async def create_department(*, name: str, description: str | None = None) -> Department:
    """Stores a new active department. Raises `DepartmentTaken`: names are compared without case and accents."""
    now = utc_now()
    department = Department(
        name=name, name_key=fold(name), description=description, created_at=now, updated_at=now
    )
    try:
        await department.insert()
    except DuplicateKeyError:
        raise DepartmentTaken from None
    return department


async def get_department(
    department_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None
) -> Department:
    """The department, if `where` (a MongoDB filter) is met too; raises `DepartmentNotFound`."""
    department = await Department.find_one({**(where or {}), "_id": department_id})
    if department is None:
        raise DepartmentNotFound
    return department


async def list_departments(
    *,
    where: Mapping[str, Any] | None = None,
    is_active: bool = True,
    page: PageRequest,
) -> tuple[list[Department], str | None]:
    """A page of departments by name, and the cursor of the next."""
    rows, next_cursor = await page_by_name(_departments(), [where or {}, {"is_active": is_active}], page)
    return [Department.model_validate(row) for row in rows], next_cursor


async def update_department(department_id: PydanticObjectId, changes: Mapping[str, Any]) -> Department:
    """Changes fields in one write; None removes one. Raises `DepartmentNotFound`, `DepartmentTaken`."""
    new = {**changes, "updated_at": utc_now()}
    if "name" in new:
        new["name_key"] = fold(new["name"])
    try:
        raw = await _departments().find_one_and_update(
            {"_id": department_id}, as_update(new), return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:
        raise DepartmentTaken from None
    if raw is None:
        raise DepartmentNotFound
    department: Department = Department.model_validate(raw)
    return department


async def deactivate_department(department_id: PydanticObjectId) -> Department:
    """Takes a department out of use. Raises `DepartmentNotFound`, and `DepartmentInUse` if it has active doctors.

    A doctor who joins in the same moment keeps the department, which then is shown as inactive.
    """
    await get_department(department_id)
    member = {"doctor.department_id": department_id, "role": Role.DOCTOR, "is_active": True}
    if await User.get_pymongo_collection().find_one(member, projection={"_id": 1}) is not None:
        raise DepartmentInUse
    return await update_department(department_id, {"is_active": False})


async def read_departments(
    department_ids: Iterable[PydanticObjectId],
) -> dict[PydanticObjectId, Department]:
    """Departments by id, active or not; ids that nothing has are left out."""
    found = await Department.find({"_id": {"$in": list(set(department_ids))}}).to_list()
    return {department.department_id: department for department in found}


async def require_active_department(department_id: PydanticObjectId) -> None:
    """Raises `UnknownDepartment` unless there is an active one by this id."""
    found = await read_departments([department_id])
    if not any(department.is_active for department in found.values()):
        raise UnknownDepartment


def _departments() -> Any:
    return Department.get_pymongo_collection()
