"""Work that several processes take at once: each looks in another place, so that they seldom try for the same."""

import random
from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.cursor import AsyncCursor

_PLACES = 3


async def some_of(due: AsyncCursor[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """Up to so many of the items that a query finds: the first ones, or some of the next if there are as many."""
    place = random.randrange(_PLACES)  # noqa: S311 - nothing secret
    found = await due.clone().skip(place * most).limit(most).to_list() if place else []
    return [dict(item) for item in found or await due.limit(most).to_list()]
