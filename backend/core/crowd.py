"""Work that several processes take at once: each looks at other items, so that they seldom try for the same."""

import random
from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.cursor import AsyncCursor

_CROWD = 4
"""How many times what one process takes is read, to draw from."""


async def some_of(due: AsyncCursor[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """Up to so many of the items that a query finds: the first few, as they are urgent, and some of the next."""
    found = [dict(item) for item in await due.limit(most * _CROWD).to_list()]
    urgent = -(-most // 10)
    rest = found[urgent:]
    return found[:urgent] + random.sample(rest, min(most - urgent, len(rest)))
