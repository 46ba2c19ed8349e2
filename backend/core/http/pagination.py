"""Lists in pages: stable while rows are added, and as cheap on the last page as on the first."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from bson import ObjectId, json_util
from bson.errors import BSONError
from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field
from pymongo.asynchronous.collection import AsyncCollection

from backend.core.http.errors import Unprocessable

T = TypeVar("T")

BY_START: tuple[tuple[str, type], ...] = (("start", datetime), ("_id", ObjectId))


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last.")


class BadCursor(Unprocessable):
    """The cursor belongs to another list, or to other filters."""

    code = "BAD_CURSOR"
    detail = "This list did not return the cursor, or returned it for other filters. Start with the first page."


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """The page that a caller asks for.

    A cursor packs the sort key of the last row of the page before: times, distances and ids, never names. It works
    only for the list and the filters (`list_id`) that returned it.
    """

    limit: int = 20
    cursor: str | None = None
    list_id: str = ""

    def cut(self, found: Sequence[T], key: Callable[[T], Sequence[Any]]) -> tuple[list[T], str | None]:
        """Returns the page and the next cursor of `limit + 1` rows, or fewer. `key` has the fields of `after`."""
        page = list(found[: self.limit])
        return page, self.next_cursor(*key(page[-1])) if len(found) > self.limit else None

    def next_cursor(self, *key: Any) -> str:
        """Returns the cursor of the rows behind one with this key."""
        return base64.urlsafe_b64encode(json_util.dumps([self.list_id, *key]).encode()).decode().rstrip("=")


async def _requested_page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="How many rows to return at most.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=512, description="`next_cursor` of the page before. Opaque.")
    ] = None,
) -> PageRequest:
    filters = [pair for pair in request.query_params.multi_items() if pair[0] not in ("limit", "cursor")]
    return PageRequest(limit=limit, cursor=cursor, list_id=list_id(request.scope["path"], filters))


def list_id(path: str, filters: Iterable[tuple[str, str]] = ()) -> str:
    """Returns what tells a list, with its filters, from all others."""
    return hashlib.sha256(repr((path, sorted(filters))).encode()).hexdigest()[:12]


RequestedPage = Annotated[PageRequest, Depends(_requested_page)]


def after(page: PageRequest, *fields: tuple[str, type], descending: bool = False) -> dict[str, Any]:
    """Returns the filter for rows behind the page's cursor, by these fields (the last one unique).

    Raises `BadCursor`.
    """
    key = _key(page, *fields)
    return {} if key is None else behind(key, *(name for name, _ in fields), descending=descending)


def _key(page: PageRequest, *fields: tuple[str, type]) -> list[Any] | None:
    """Returns the cursor's sort key, None for the first page."""
    if page.cursor is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(page.cursor + "=" * (-len(page.cursor) % 4))
        unpacked = json_util.loads(packed, json_options=json_util.JSONOptions(tz_aware=True))
        list_id, *key = list(unpacked)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, BSONError):
        # All that `json_util` was seen to raise at shapes which it doesn't expect.
        raise BadCursor from None
    if list_id != page.list_id or [type(value) for value in key] != [kind for _, kind in fields]:
        raise BadCursor
    return key


def behind(key: Sequence[Any], *fields: str, descending: bool = False) -> dict[str, Any]:
    """Returns the filter for rows behind one with this key, by these fields (the last one unique)."""
    operator = "$lt" if descending else "$gt"
    alternatives: list[dict[str, Any]] = []
    for depth, name in enumerate(fields):
        same = {fields[i]: key[i] for i in range(depth)}
        alternatives.append({**same, name: {operator: key[depth]}})
    return {"$or": alternatives} if len(alternatives) > 1 else alternatives[0]


async def page_by_name(
    collection: AsyncCollection[dict[str, Any]],
    conditions: Sequence[Mapping[str, Any]],
    page: PageRequest,
    *,
    projection: Mapping[str, Any] | None = None,
    index: Sequence[tuple[str, int]] | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Returns stored documents that meet all conditions, by name, and the cursor of the next page.

    The order is that of a phone book, by `name_key`: the name without case and accents. The cursor has the id alone,
    because a name is personal data: the name is read again. `index` is the index to use; None lets the database
    choose. Raises `BadCursor`.
    """
    position: Mapping[str, Any] = {}
    if (key := _key(page, ("_id", ObjectId))) is not None:
        last = await collection.find_one({"_id": key[0]}, {"name_key": 1})
        if last is None:
            raise BadCursor
        position = behind((last["name_key"], last["_id"]), "name_key", "_id")
    query = {"$and": [condition for condition in (*conditions, position) if condition] or [{}]}
    order = [("name_key", 1), ("_id", 1)]
    found = collection.find(query, projection, sort=order, limit=page.limit + 1, hint=index)
    return page.cut(await found.to_list(), lambda row: (row["_id"],))
