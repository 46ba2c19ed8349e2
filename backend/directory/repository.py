"""Every query and update of clinics and departments. Doctors are users, see `accounts/repository.py`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.core.clock import EPOCH, utc_now
from backend.core.http.pagination import PageRequest, after, page_by_name
from backend.core.mongo.updates import changes
from backend.directory.documents import Clinic, Closure, Department
from backend.directory.errors import ClinicTaken, DepartmentTaken

Document = dict[str, Any]
Filter = Mapping[str, Any]

_BY_DISTANCE: tuple[tuple[str, type], ...] = (("distance_m", float), ("_id", ObjectId))


def _clinics() -> AsyncCollection[Document]:
    return Clinic.get_pymongo_collection()


def _departments() -> AsyncCollection[Document]:
    return Department.get_pymongo_collection()


# Clinics


async def insert_clinic(clinic: Clinic) -> None:
    """Inserts a clinic. Raises `ClinicTaken`."""
    try:
        await clinic.insert()
    except DuplicateKeyError:
        raise ClinicTaken from None


async def find_clinic(clinic_id: PydanticObjectId, *, where: Filter | None = None) -> Clinic | None:
    """Returns a clinic, active or not, if it matches a filter."""
    return await Clinic.find_one({**(where or {}), "_id": clinic_id})


async def find_clinics(clinic_ids: Iterable[PydanticObjectId]) -> list[Clinic]:
    """Returns the clinics with these ids, active or not."""
    return await Clinic.find({"_id": {"$in": list(set(clinic_ids))}}).to_list()


async def find_clinic_ids(where: Filter) -> list[PydanticObjectId]:
    """Returns the ids of the clinics that match a filter."""
    return [row["_id"] async for row in _clinics().find(where, {"_id": 1})]


async def find_clinics_by_name(conditions: Sequence[Filter], page: PageRequest) -> tuple[list[Clinic], str | None]:
    """Returns a page of the clinics that meet all conditions, by name, and the cursor of the next page."""
    rows, next_cursor = await page_by_name(_clinics(), conditions, page)
    return [Clinic.model_validate(row) for row in rows], next_cursor


async def find_clinics_near(
    conditions: Sequence[Filter], near: tuple[float, float], page: PageRequest, *, max_distance_m: int | None
) -> tuple[list[tuple[Clinic, float]], str | None]:
    """Returns a page of clinics with their distance in metres, the nearest first, and the cursor of the next page.

    Clinics at the same distance are sorted by id, so no page repeats or misses one.
    """
    search: Document = {
        "near": {"type": "Point", "coordinates": near},
        "key": "location",
        "distanceField": "distance_m",
        "query": {"$and": [condition for condition in conditions if condition]},
    }
    if max_distance_m is not None:
        search["maxDistance"] = max_distance_m
    found = await _clinics().aggregate(
        [
            {"$geoNear": search},
            {"$sort": {"distance_m": 1, "_id": 1}},
            {"$match": after(page, *_BY_DISTANCE)},
            {"$limit": page.limit + 1},
        ]
    )
    rows, next_cursor = page.cut(await found.to_list(), lambda row: (row["distance_m"], row["_id"]))
    return [(Clinic.model_validate(row), row["distance_m"]) for row in rows], next_cursor


async def update_clinic(clinic_id: PydanticObjectId, fields: Filter, *, where: Filter) -> Clinic | None:
    """Updates a clinic that matches a filter and returns it as it is then; None removes a field.

    Raises `ClinicTaken`.
    """
    update = {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}}
    try:
        return await _write_clinic(clinic_id, update, where)
    except DuplicateKeyError:
        raise ClinicTaken from None


async def find_zone_corrected() -> list[Clinic]:
    """Returns the clinics whose time zone was corrected, and whose appointments may not all show it yet."""
    return await Clinic.find({"zone_corrected_at": {"$gt": EPOCH}}).to_list()


async def complete_zone_correction(clinic: Clinic) -> None:
    """Records that all appointments show the clinic's zone, unless it was corrected once more meanwhile."""
    where = {"_id": clinic.clinic_id, "zone_corrected_at": clinic.zone_corrected_at}
    await _clinics().update_one(where, {"$unset": {"zone_corrected_at": ""}})


async def add_closure(clinic_id: PydanticObjectId, closure: Closure, *, most: int) -> Clinic | None:
    """Adds a closure to a clinic with fewer than `most`; returns the clinic as it is then."""
    each = [closure.model_dump(exclude_none=True)]
    update = {
        "$push": {"closures": {"$each": each, "$sort": {"start": 1, "id": 1}}},
        "$set": {"updated_at": utc_now()},
    }
    return await _write_clinic(clinic_id, update, {f"closures.{most - 1}": {"$exists": False}})


async def delete_closure(clinic_id: PydanticObjectId, closure_id: PydanticObjectId) -> Clinic | None:
    """Deletes a closure; returns the clinic as it is then, None if it has no such closure."""
    update = {"$pull": {"closures": {"id": closure_id}}, "$set": {"updated_at": utc_now()}}
    return await _write_clinic(clinic_id, update, {"closures.id": closure_id})


async def _write_clinic(clinic_id: PydanticObjectId, update: Filter, where: Filter) -> Clinic | None:
    raw = await _clinics().find_one_and_update(
        {**where, "_id": clinic_id}, update, return_document=ReturnDocument.AFTER
    )
    return None if raw is None else Clinic.model_validate(raw)


# Departments


async def insert_department(department: Department) -> None:
    """Inserts a department. Raises `DepartmentTaken`."""
    try:
        await department.insert()
    except DuplicateKeyError:
        raise DepartmentTaken from None


async def find_department(department_id: PydanticObjectId, *, where: Filter) -> Department | None:
    """Returns a department, active or not, if it matches a filter."""
    return await Department.find_one({**where, "_id": department_id})


async def find_departments(department_ids: Iterable[PydanticObjectId]) -> list[Department]:
    """Returns the departments with these ids, active or not."""
    return await Department.find({"_id": {"$in": list(set(department_ids))}}).to_list()


async def find_departments_by_name(
    conditions: Sequence[Filter], page: PageRequest
) -> tuple[list[Department], str | None]:
    """Returns a page of the departments that meet all conditions, by name, and the cursor of the next page."""
    rows, next_cursor = await page_by_name(_departments(), conditions, page)
    return [Department.model_validate(row) for row in rows], next_cursor


async def update_department(department_id: PydanticObjectId, fields: Filter, *, where: Filter) -> Department | None:
    """Updates a department that matches a filter and returns it as it is then; None removes a field.

    Raises `DepartmentTaken`.
    """
    try:
        raw = await _departments().find_one_and_update(
            {**where, "_id": department_id},
            {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}},
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:
        raise DepartmentTaken from None
    return None if raw is None else Department.model_validate(raw)
