"""Answers made straight from stored documents, where a model for each of them would cost more than all the rest."""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId
from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json


class Rows:
    """Writes stored documents as a response model's JSON, without making models of them and dumping these again.

    A document has its model's fields under the same names (`id` as `_id`); what it doesn't have is null. Nothing is
    checked: what is stored was. A test holds the JSON to what the model itself would have made.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._fields = [(name, "_id" if name == "id" else name) for name in model.model_fields]
        self.projection = dict.fromkeys((stored for _, stored in self._fields), 1)

    def row(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """One document, ready for JSON. Ids are written here: if `to_json` asks for each, a page takes thrice as
        long."""
        return {
            name: str(value) if isinstance(value := document.get(stored), ObjectId) else value
            for name, stored in self._fields
        }

    def page(self, documents: Iterable[Mapping[str, Any]], next_cursor: str | None) -> bytes:
        """A page of a list, as the JSON of `Page[model]`."""
        rows = [self.row(document) for document in documents]
        return to_json({"items": rows, "next_cursor": next_cursor}, fallback=str)  # for ids within a field


def written(json: bytes) -> Response:
    """An answer whose JSON is there already."""
    return Response(json, media_type="application/json")
