"""How updates are built, and how their refusals are read."""

from collections.abc import Mapping
from typing import Any

from pymongo.errors import BulkWriteError, DuplicateKeyError

DUPLICATE_KEY = 11000
"""MongoDB's error code for a refusal by a unique index."""


def changes(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """An update that sets fields and removes those that are None: documents store no nulls."""
    update: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        if value is None:
            update.setdefault("$unset", {})[name] = ""
        else:
            update.setdefault("$set", {})[name] = value
    return update


def duplicates(error: BulkWriteError) -> set[int]:
    """The places of the documents that a unique index refused; raises the error again if anything else failed."""
    faults = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(fault["code"] != DUPLICATE_KEY for fault in faults):
        raise error
    return {fault["index"] for fault in faults}


def breaks_index_on(error: DuplicateKeyError, field: str) -> bool:
    """Whether the unique index that refused the write has this field."""
    return field in ((error.details or {}).get("keyPattern") or {})
