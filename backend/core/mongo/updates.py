"""How a set of changed fields becomes a MongoDB update."""

from collections.abc import Mapping
from typing import Any


def changes(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """An update that sets fields and removes those that are None: documents store no nulls."""
    update: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if value is None:
            update.setdefault("$unset", {})[name] = ""
        else:
            update.setdefault("$set", {})[name] = value
    return update
