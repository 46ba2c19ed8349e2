"""What the tests of the contract share."""

from typing import Any

from pymongo.database import Database


def contents(db: Database[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Everything that is stored, to be compared with what is stored afterwards."""
    return {name: list(db[name].find({}, hint=[("_id", 1)]).sort("_id")) for name in db.list_collection_names()}
