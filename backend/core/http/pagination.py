"""Lists by cursor: stable while rows are added, and as cheap on the last page as on the first."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from bson import ObjectId, encode, json_util
from bson.errors import BSONError
from fastapi import Query
from pydantic import BaseModel, Field

from backend.core.http.errors import Unprocessable

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=100, description="How many rows at the most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=512, description="`next_cursor` of the page before. Opaque."),
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page; null on the last.")


class BadCursor(Unprocessable):
    """The cursor was not made by this list."""

    code = "BAD_CURSOR"
    detail = "The cursor is not one that this list returned."


def encode_cursor(*key: Any) -> str:
    """Packs the sort key of a page's last row."""
    return base64.urlsafe_b64encode(json_util.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[Any]:
    """Unpacks a cursor; raises `BadCursor` unless it holds one value of each of `types`."""
    try:
        key = json_util.loads(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)),
            json_options=json_util.JSONOptions(tz_aware=True),
        )
        encode({"key": key})  # half a surrogate pair is text to Python, but not to the database
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, BSONError):
        # All that `json_util` was seen to raise at shapes which it doesn't expect.
        raise BadCursor from None
    if not isinstance(key, list) or len(key) != len(types):
        raise BadCursor
    if not all(type(value) is expected for value, expected in zip(key, types, strict=True)):
        raise BadCursor
    return key


def after(cursor: str | None, *fields: tuple[str, type], descending: bool = False) -> dict[str, Any]:
    """The filter for rows behind the cursor in the order of `fields` (the last one unique)."""
    if cursor is None:
        return {}
    key = decode_cursor(cursor, *(kind for _, kind in fields))
    return behind(key, *(name for name, _ in fields), descending=descending)


def behind(key: Sequence[Any], *fields: str, descending: bool = False) -> dict[str, Any]:
    """The filter for rows behind one with this key in the order of `fields` (the last one unique)."""
    operator = "$lt" if descending else "$gt"
    alternatives: list[dict[str, Any]] = []
    for depth, name in enumerate(fields):
        same = {fields[i]: key[i] for i in range(depth)}
        alternatives.append({**same, name: {operator: key[depth]}})
    return {"$or": alternatives} if len(alternatives) > 1 else alternatives[0]


BY_START: tuple[tuple[str, type], ...] = (("start", datetime), ("_id", ObjectId))
BY_NAME: tuple[tuple[str, type], ...] = (("name", str), ("_id", ObjectId))
