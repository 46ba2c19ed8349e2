"""Creating, finding and changing clinics. `scheduling` brings slots in line with the changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.errors import UnknownClinic
from backend.accounts.users import clinics_assigned
from backend.core.http.errors import EditConflict
from backend.core.http.pagination import PageRequest
from backend.core.mongo.text_search import fold, starting_with
from backend.directory import repository
from backend.directory.documents import CLINIC_WORDS, Clinic, Closure, GeoPoint, clinic_keys
from backend.directory.errors import ClinicNotFound, ClosureNotFound, NearRequired, TooManyClosures
from backend.directory.schemas import NewClinic

MOST_CLOSURES = 500

_TRIES = 10


@dataclass(frozen=True, slots=True)
class FoundClinic:
    """A clinic in a list, with its distance in metres if the list is of those near a point."""

    clinic: Clinic
    distance_m: float | None = None


async def create_clinic(new: NewClinic) -> Clinic:
    """Creates an active clinic. Raises `ClinicTaken`."""
    fields = new.model_dump(exclude_none=True)
    clinic = Clinic(**{**fields, "location": _point(fields.get("location"))})
    clinic.updated_at = clinic.created_at
    await repository.insert_clinic(clinic)
    return clinic


async def get_clinic(clinic_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> Clinic:
    """Returns the clinic if it also matches `where` (a MongoDB filter). Raises `ClinicNotFound`."""
    clinic = await repository.find_clinic(clinic_id, where=where)
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
    """Returns a page of clinics and the cursor of the next page: by name or, with `near`, the nearest first.

    `near` is longitude and latitude, in degrees; it excludes clinics without a location. Raises `NearRequired`,
    `BadCursor`.
    """
    conditions: list[Mapping[str, Any]] = [where or {}, {"is_active": is_active}]
    if city is not None:
        conditions.append({"city_key": fold(city)})
    if q is not None:
        conditions.append(starting_with("search_words", q))
    if near is not None:
        nearest, next_cursor = await repository.find_clinics_near(
            conditions, near, page, max_distance_m=max_distance_m
        )
        return [FoundClinic(clinic, distance_m) for clinic, distance_m in nearest], next_cursor
    if max_distance_m is not None:
        raise NearRequired
    found, next_cursor = await repository.find_clinics_by_name(conditions, page)
    return [FoundClinic(clinic) for clinic in found], next_cursor


async def update_clinic(
    clinic_id: PydanticObjectId, changes: Mapping[str, Any], *, version: int | None = None
) -> Clinic:
    """Changes fields of a clinic in one write; None removes a field or a rule. Rules left out of a policy stay.

    The fields are those of `ClinicPatch`, which validates them. Raises `ClinicNotFound`, `ClinicTaken`, and
    `EditConflict` if the clinic has another `version`.
    """
    new = dict(changes)
    if "location" in new:
        point = _point(new["location"])
        new["location"] = point.model_dump() if point else None
    for rule, value in (new.pop("policy", None) or {}).items():
        new[f"policy.{rule}"] = value
    for _ in range(_TRIES):
        old = await get_clinic(clinic_id)
        if version not in (None, old.version):
            raise EditConflict
        unchanged = {field: getattr(old, field) for field in CLINIC_WORDS}
        keys = clinic_keys(**{field: new.get(field, value) for field, value in unchanged.items()})
        where = unchanged if version is None else {**unchanged, "version": version}
        if clinic := await repository.update_clinic(clinic_id, {**new, **keys}, where=where):
            return clinic
    raise EditConflict


async def find_zone_corrected() -> list[Clinic]:
    """Returns the clinics whose corrected time zone not all appointments may show yet."""
    return await repository.find_zone_corrected()


async def complete_zone_correction(clinic: Clinic) -> None:
    """Records that all appointments show the clinic's zone, unless it was corrected once more meanwhile."""
    await repository.complete_zone_correction(clinic)


async def add_closure(clinic_id: PydanticObjectId, closure: Closure) -> Clinic:
    """Adds a closure. Raises `ClinicNotFound`, `TooManyClosures`."""
    clinic = await repository.add_closure(clinic_id, closure, most=MOST_CLOSURES)
    if clinic is None:
        await get_clinic(clinic_id)
        raise TooManyClosures
    return clinic


async def drop_closure(clinic_id: PydanticObjectId, closure_id: PydanticObjectId) -> None:
    """Deletes a closure, if the clinic has it."""
    await repository.delete_closure(clinic_id, closure_id)


async def delete_closure(clinic_id: PydanticObjectId, closure_id: PydanticObjectId) -> Clinic:
    """Deletes a closure. Raises `ClinicNotFound`, `ClosureNotFound`."""
    clinic = await repository.delete_closure(clinic_id, closure_id)
    if clinic is None:
        await get_clinic(clinic_id)
        raise ClosureNotFound
    return clinic


async def read_clinics(clinic_ids: Iterable[PydanticObjectId]) -> dict[PydanticObjectId, Clinic]:
    """Returns clinics by id, active or not. It leaves out unknown ids."""
    return {clinic.clinic_id: clinic for clinic in await repository.find_clinics(clinic_ids)}


@clinics_assigned.connect
async def require_active_clinics(clinic_ids: list[PydanticObjectId]) -> None:
    """Raises `UnknownClinic` with the ids that are not those of an active clinic."""
    found = await read_clinics(clinic_ids)
    unknown = [each for each in clinic_ids if each not in found or not found[each].is_active]
    if unknown:
        raise UnknownClinic(f"No active clinic has the id {', '.join(map(str, unknown))}.")


def _point(location: Mapping[str, float] | None) -> GeoPoint | None:
    if location is None:
        return None
    return GeoPoint(coordinates=(location["longitude"], location["latitude"]))
