"""Clinics: making, changing and finding them. What a change does to the book is scheduling's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Language
from backend.accounts.errors import UnknownClinic
from backend.accounts.users import clinics_assigned
from backend.core.clock import utc_now
from backend.core.http.errors import EditConflict
from backend.core.http.pagination import PageRequest, after, page_by_name
from backend.core.mongo.text_search import fold, starting_with
from backend.core.mongo.updates import changes as as_update
from backend.directory.documents import (
    CLINIC_WORDS,
    Clinic,
    Closure,
    GeoPoint,
    OpeningHours,
    Policy,
    clinic_keys,
    usual_opening_hours,
)
from backend.directory.errors import (
    ClinicNotFound,
    ClinicTaken,
    ClosureNotFound,
    NearRequired,
    TooManyClosures,
)

MOST_CLOSURES = 500

_BY_DISTANCE: tuple[tuple[str, type], ...] = (("distance_m", float), ("_id", ObjectId))
_TRIES = 10


@dataclass(frozen=True, slots=True)
class FoundClinic:
    """A clinic of a search; with its distance in metres if it was searched for near a point."""

    clinic: Clinic
    distance_m: float | None = None


async def create_clinic(
    *,
    name: str,
    city: str,
    time_zone: str,
    address: str | None = None,
    state: str | None = None,
    zip_code: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    language: Language = "en",
    location: Mapping[str, float] | None = None,
    opening_hours: Sequence[Mapping[str, Any]] | None = None,
    policy: Mapping[str, Any] | None = None,
) -> Clinic:
    """Stores a new active clinic. `location` has `longitude` and `latitude`, in degrees.

    The fields are those of `NewClinic`, which checks them. Raises `ClinicTaken`.
    """
    hours = usual_opening_hours()
    if opening_hours is not None:
        hours = [OpeningHours.model_validate(block) for block in opening_hours]
    now = utc_now()
    clinic = Clinic(
        name=name,
        city=city,
        time_zone=time_zone,
        address=address,
        state=state,
        zip_code=zip_code,
        phone=phone,
        email=email,
        language=language,
        location=_point(location),
        opening_hours=hours,
        policy=Policy.model_validate(policy or {}),
        created_at=now,
        updated_at=now,
    )
    try:
        await clinic.insert()
    except DuplicateKeyError:
        raise ClinicTaken from None
    return clinic


async def get_clinic(clinic_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> Clinic:
    """The clinic, if `where` (a MongoDB filter, as `{"is_active": True}`) is met too; raises `ClinicNotFound`."""
    clinic = await Clinic.find_one({**(where or {}), "_id": clinic_id})
    if clinic is None:
        raise ClinicNotFound
    return clinic


async def list_clinics(
    *,
    where: Mapping[str, Any] | None = None,
    is_active: bool = True,
    city: str | None = None,
    near: tuple[float, float] | None = None,
    max_distance_m: int | None = None,
    q: str | None = None,
    page: PageRequest,
) -> tuple[list[FoundClinic], str | None]:
    """A page of clinics and the cursor of the next: by name or, near a point, the nearest first.

    `near` is longitude and latitude, in degrees; clinics without a location are not near anything. Raises
    `NearRequired`, `BadCursor`.
    """
    conditions: list[Mapping[str, Any]] = [where or {}, {"is_active": is_active}]
    if city is not None:
        conditions.append({"city_key": fold(city)})
    if q is not None:
        conditions.append(starting_with("search_words", q))
    if near is not None:
        return await _nearest(conditions, near, max_distance_m, page)
    if max_distance_m is not None:
        raise NearRequired
    rows, next_cursor = await page_by_name(_clinics(), conditions, page)
    return [FoundClinic(Clinic.model_validate(row)) for row in rows], next_cursor


async def _nearest(
    conditions: Sequence[Mapping[str, Any]],
    near: tuple[float, float],
    max_distance_m: int | None,
    page: PageRequest,
) -> tuple[list[FoundClinic], str | None]:
    """Clinics at the same distance have a fixed order too, so that no page repeats or loses one."""
    search: dict[str, Any] = {
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
    return [FoundClinic(Clinic.model_validate(row), row["distance_m"]) for row in rows], next_cursor


async def update_clinic(clinic_id: PydanticObjectId, changes: Mapping[str, Any]) -> Clinic:
    """Changes fields in one write; None removes one. Of a policy, rules left out stay, and None ends one.

    The fields are those of `ClinicPatch`, which checks them. Raises `ClinicNotFound`, `ClinicTaken`,
    `EditConflict`.
    """
    new = {**changes, "updated_at": utc_now()}
    if "location" in new:
        point = _point(new["location"])
        new["location"] = point.model_dump() if point else None
    for rule, value in (new.pop("policy", None) or {}).items():
        new[f"policy.{rule}"] = value
    if not any(field in new for field in CLINIC_WORDS):
        return await _write(clinic_id, as_update(new)) or await get_clinic(clinic_id)
    for _ in range(_TRIES):
        old = await get_clinic(clinic_id)
        unchanged = {field: getattr(old, field) for field in CLINIC_WORDS}
        keys = clinic_keys(**{**unchanged, **{field: new[field] for field in CLINIC_WORDS if field in new}})
        if clinic := await _write(clinic_id, as_update({**new, **keys}), where=unchanged):
            return clinic
    raise EditConflict


async def set_active(clinic_id: PydanticObjectId, is_active: bool) -> Clinic:
    """Takes a clinic out of use, or back. Raises `ClinicNotFound`."""
    return await update_clinic(clinic_id, {"is_active": is_active})


async def push_closure(clinic_id: PydanticObjectId, closure: Closure) -> Clinic:
    """Adds a closure. Raises `ClinicNotFound`, `TooManyClosures`."""
    clinic = await _write(
        clinic_id,
        {
            "$push": {
                "closures": {"$each": [closure.model_dump(exclude_none=True)], "$sort": {"start": 1, "id": 1}}
            },
            "$set": {"updated_at": utc_now()},
        },
        where={f"closures.{MOST_CLOSURES - 1}": {"$exists": False}},
    )
    if clinic is None:
        await get_clinic(clinic_id)
        raise TooManyClosures
    return clinic


async def drop_closure(clinic_id: PydanticObjectId, closure_id: PydanticObjectId) -> Clinic | None:
    """Deletes a closure; None where there is no such closure any more."""
    return await _write(
        clinic_id,
        {"$pull": {"closures": {"id": closure_id}}, "$set": {"updated_at": utc_now()}},
        where={"closures.id": closure_id},
    )


async def pull_closure(clinic_id: PydanticObjectId, closure_id: PydanticObjectId) -> Clinic:
    """Deletes a closure. Raises `ClinicNotFound`, `ClosureNotFound`."""
    clinic = await drop_closure(clinic_id, closure_id)
    if clinic is None:
        await get_clinic(clinic_id)
        raise ClosureNotFound
    return clinic


async def read_clinics(clinic_ids: Iterable[PydanticObjectId]) -> dict[PydanticObjectId, Clinic]:
    """Clinics by id, active or not; ids that nothing has are left out."""
    found = await Clinic.find({"_id": {"$in": list(set(clinic_ids))}}).to_list()
    return {clinic.clinic_id: clinic for clinic in found}


@clinics_assigned.connect
async def require_active_clinics(clinic_ids: list[PydanticObjectId]) -> None:
    """Raises `UnknownClinic`, naming those that don't exist or are not active."""
    found = await read_clinics(clinic_ids)
    unknown = [each for each in clinic_ids if each not in found or not found[each].is_active]
    if unknown:
        raise UnknownClinic(f"There is no active clinic {', '.join(map(str, unknown))}.")


async def _write(
    clinic_id: PydanticObjectId, update: Mapping[str, Any], *, where: Mapping[str, Any] | None = None
) -> Clinic | None:
    try:
        raw = await _clinics().find_one_and_update(
            {**(where or {}), "_id": clinic_id}, update, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:
        raise ClinicTaken from None
    return None if raw is None else Clinic.model_validate(raw)


def _point(location: Mapping[str, float] | None) -> GeoPoint | None:
    if location is None:
        return None
    return GeoPoint(coordinates=(location["longitude"], location["latitude"]))


def _clinics() -> Any:
    return Clinic.get_pymongo_collection()
