"""Creating, finding and changing departments."""

from collections.abc import Iterable, Mapping
from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository as users
from backend.accounts.documents import Role
from backend.core.clock import utc_now
from backend.core.http.errors import EditConflict
from backend.core.http.pagination import PageRequest
from backend.core.mongo.text_search import fold
from backend.directory import repository
from backend.directory.documents import Department
from backend.directory.errors import DepartmentInUse, DepartmentNotFound, UnknownDepartment


async def create_department(*, name: str, description: str | None = None) -> Department:
    """Creates an active department. Raises `DepartmentTaken`; names differ in more than case and accents."""
    now = utc_now()
    department = Department(name=name, name_key=fold(name), description=description, created_at=now, updated_at=now)
    await repository.insert_department(department)
    return department


async def get_department(department_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> Department:
    """Returns the department if it also matches `where` (a MongoDB filter). Raises `DepartmentNotFound`."""
    department = await repository.find_department(department_id, where=where or {})
    if department is None:
        raise DepartmentNotFound
    return department


async def list_departments(
    *, where: Mapping[str, Any] | None = None, is_active: bool = True, page: PageRequest
) -> tuple[list[Department], str | None]:
    """Returns a page of departments by name, and the cursor of the next page."""
    return await repository.find_departments_by_name([where or {}, {"is_active": is_active}], page)


async def update_department(
    department_id: PydanticObjectId, changes: Mapping[str, Any], *, version: int | None = None
) -> Department:
    """Changes fields of a department in one write; None removes one.

    Raises `DepartmentNotFound`, `DepartmentTaken`, and `EditConflict` if the department has another `version`.
    """
    new = dict(changes)
    if "name" in new:
        new["name_key"] = fold(new["name"])
    where = {} if version is None else {"version": version}
    department = await repository.update_department(department_id, new, where=where)
    if department is None:
        await get_department(department_id)
        raise EditConflict
    return department


async def deactivate_department(department_id: PydanticObjectId) -> Department:
    """Deactivates a department. Raises `DepartmentNotFound`, and `DepartmentInUse` if it has active doctors.

    A doctor who joins in the same moment keeps the department, though it is inactive.
    """
    department = await get_department(department_id)
    if await users.exists({"doctor.department_id": department_id, "role": Role.DOCTOR, "is_active": True}):
        raise DepartmentInUse
    return await repository.update_department(department_id, {"is_active": False}, where={}) or department


async def read_departments(department_ids: Iterable[PydanticObjectId]) -> dict[PydanticObjectId, Department]:
    """Returns departments by id, active or not. It leaves out unknown ids."""
    found = await repository.find_departments(department_ids)
    return {department.department_id: department for department in found}


async def require_active_department(department_id: PydanticObjectId) -> None:
    """Raises `UnknownDepartment` unless this is the id of an active department."""
    found = await read_departments([department_id])
    if not any(department.is_active for department in found.values()):
        raise UnknownDepartment
