"""A merge of two records: the intention, written first, and what its undoing needs."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.core.clock import EPOCH, utc_now

UNDOABLE = timedelta(days=30)
"""How long after its begin a merge can be undone."""


class MergeState(StrEnum):
    """How far a merge is."""

    BEGUN = "begun"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class Merge(Document):
    """A merge of the record `other_id` into the record `survivor_id`. A record has one current merge at most."""

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    survivor_id: PydanticObjectId
    other_id: PydanticObjectId
    take: list[str] = Field(default=[], description="Fields in which the other record's value is kept.")
    by: PydanticObjectId
    by_name: str
    begun_at: datetime = Field(default_factory=utc_now)
    state: MergeState = MergeState.BEGUN
    is_current: bool = Field(default=True, description="False once it is undone.")
    due_at: datetime | None = Field(default=None, description="When the job looks at it next. UTC.")
    fields_before: dict[str, Any] = Field(default={}, description="The survivor's fields that it changed, as before.")
    fields_given: dict[str, Any] = Field(default={}, description="The same fields, as it wrote them.")
    links_removed: list[dict[str, Any]] = Field(
        default=[], description="Links that the other record's made redundant."
    )

    class Settings:
        name = "patient_merges"
        keep_nulls = False
        indexes = [
            IndexModel([("other_id", ASCENDING)], unique=True, partialFilterExpression={"is_current": True}),
            IndexModel([("due_at", ASCENDING)], partialFilterExpression={"due_at": {"$gt": EPOCH}}),
        ]

    @property
    def undo_until(self) -> datetime:
        """Until when it can be undone. UTC."""
        return self.begun_at + UNDOABLE
