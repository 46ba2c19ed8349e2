"""Every query and update of visit types."""

from collections.abc import Mapping, Sequence
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.core.clock import utc_now
from backend.core.http.pagination import PageRequest, page_by_name
from backend.core.mongo.updates import changes
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.errors import VisitTypeTaken

Filter = Mapping[str, Any]


def _visit_types() -> AsyncCollection[dict[str, Any]]:
    return VisitType.get_pymongo_collection()


async def insert(visit_type: VisitType) -> None:
    """Inserts a visit type. Raises `VisitTypeTaken`."""
    try:
        await visit_type.insert()
    except DuplicateKeyError:
        raise VisitTypeTaken from None


async def find(visit_type_id: PydanticObjectId, *, where: Filter) -> VisitType | None:
    """Returns a visit type, active or not, if it matches a filter."""
    return await VisitType.find_one({**where, "_id": visit_type_id})


async def find_by_name(conditions: Sequence[Filter], page: PageRequest) -> tuple[list[VisitType], str | None]:
    """Returns a page of the visit types that meet all conditions, by name, and the cursor of the next page."""
    rows, next_cursor = await page_by_name(_visit_types(), conditions, page)
    return [VisitType.model_validate(row) for row in rows], next_cursor


async def update(visit_type_id: PydanticObjectId, fields: Filter, *, where: Filter) -> VisitType | None:
    """Updates a visit type that matches a filter and returns it as it is then; None removes a field.

    Raises `VisitTypeTaken`.
    """
    try:
        raw = await _visit_types().find_one_and_update(
            {**where, "_id": visit_type_id},
            {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}},
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:
        raise VisitTypeTaken from None
    return None if raw is None else VisitType.model_validate(raw)
