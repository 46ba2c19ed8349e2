"""Who sees what is out of use, and one page of a list by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backend.accounts.documents import Role, User
from backend.core.http.pagination import BY_NAME, after, encode_cursor


def is_staff(viewer: User | None) -> bool:
    """Whether somebody (or nobody) sees what is not for the public."""
    return viewer is not None and viewer.role is not Role.PATIENT


def visible_to(viewer: User | None) -> dict[str, Any]:
    """The filter for what somebody may see: what is deactivated is for the staff."""
    return {} if is_staff(viewer) else {"is_active": True}


class _Collection(Protocol):
    def find(self, query: Mapping[str, Any], projection: Mapping[str, Any] | None = None) -> Any: ...


async def page_by_name(
    collection: _Collection,
    conditions: Sequence[Mapping[str, Any]],
    *,
    limit: int,
    cursor: str | None,
    projection: Mapping[str, Any] | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Raw documents that meet all conditions, by name, and the cursor of the next page."""
    query = {"$and": [condition for condition in (*conditions, after(cursor, *BY_NAME)) if condition]}
    found = collection.find(query, projection).sort([("name", 1), ("_id", 1)])
    rows: list[dict[str, Any]] = await found.limit(limit + 1).to_list()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encode_cursor(last["name"], last["_id"])
