"""Creating, finding and changing visit types."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from beanie import PydanticObjectId

from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.events import Signal
from backend.core.http.errors import EditConflict
from backend.core.http.pagination import PageRequest
from backend.directory.clinics import get_clinic
from backend.directory.departments import require_active_department
from backend.directory.visit_types import repository
from backend.directory.visit_types.documents import VisitType, name_fields
from backend.directory.visit_types.errors import VisitTypeNotFound
from backend.directory.visit_types.schemas import NewVisitType
from backend.patients.records import require_active_doctor

visit_type_renamed: Signal[VisitType] = Signal()
"""Sent with the visit type after its name in the clinic's language has changed."""


async def create_visit_type(clinic_id: PydanticObjectId, new: NewVisitType) -> VisitType:
    """Creates an active visit type of a clinic.

    Raises `ClinicNotFound`, `UnknownDoctor`, `UnknownDepartment`, `VisitTypeTaken`.
    """
    clinic = await get_clinic(clinic_id)
    await _require_active(new.doctor_ids, new.department_ids)
    fields = new.model_dump(exclude={"names"})
    visit_type = VisitType(clinic_id=clinic_id, **name_fields(new.names, clinic.language), **fields)
    visit_type.updated_at = visit_type.created_at
    await repository.insert(visit_type)
    return visit_type


async def get_visit_type(visit_type_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> VisitType:
    """Returns the visit type if it also matches `where` (a MongoDB filter). Raises `VisitTypeNotFound`."""
    visit_type = await repository.find(visit_type_id, where=where or {})
    if visit_type is None:
        raise VisitTypeNotFound
    return visit_type


async def read_visit_type(visit_type_id: PydanticObjectId | None) -> VisitType | None:
    """Returns an active visit type; None if none is asked for. It may be remembered. Raises `VisitTypeNotFound`."""
    if visit_type_id is None:
        return None
    found = await response_cache.load(("visit type", visit_type_id), partial(_read, visit_type_id))
    if found is None or not found.is_active:
        raise VisitTypeNotFound
    return found


async def _read(visit_type_id: PydanticObjectId) -> Cacheable[VisitType | None]:
    return Cacheable(await repository.find(visit_type_id, where={}), depends_on=frozenset([visit_type_id]))


async def list_visit_types(
    clinic_id: PydanticObjectId, *, where: Mapping[str, Any], is_active: bool, page: PageRequest
) -> tuple[list[VisitType], str | None]:
    """Returns a page of a clinic's visit types by name, and the cursor of the next page. Raises `BadCursor`."""
    return await repository.find_by_name([{"clinic_id": clinic_id}, where, {"is_active": is_active}], page)


async def update_visit_type(
    visit_type_id: PydanticObjectId, changes: Mapping[str, Any], *, version: int | None = None
) -> VisitType:
    """Changes fields of a visit type in one write; None removes one.

    Raises `VisitTypeNotFound`, `UnknownDoctor`, `UnknownDepartment`, `VisitTypeTaken`, and `EditConflict` if the
    visit type has another `version`.
    """
    found, new = await get_visit_type(visit_type_id), dict(changes)
    await _require_active(new.get("doctor_ids", ()), new.get("department_ids", ()))
    if "names" in new:
        clinic = await get_clinic(found.clinic_id)
        new.update(name_fields(new["names"], clinic.language))
    where = {} if version is None else {"version": version}
    changed = await repository.update(visit_type_id, new, where=where)
    if changed is None:
        raise EditConflict
    if changed.name != found.name:
        await visit_type_renamed.send(changed)
    return changed


async def deactivate_visit_type(visit_type_id: PydanticObjectId) -> None:
    """Deactivates a visit type: nobody can book it any more. Appointments stay. Raises `VisitTypeNotFound`."""
    if await repository.update(visit_type_id, {"is_active": False}, where={}) is None:
        raise VisitTypeNotFound


async def _require_active(doctor_ids: Iterable[PydanticObjectId], department_ids: Iterable[PydanticObjectId]) -> None:
    for doctor_id in doctor_ids:
        await require_active_doctor(doctor_id)
    for department_id in department_ids:
        await require_active_department(department_id)
