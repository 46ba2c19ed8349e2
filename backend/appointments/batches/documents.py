"""The batch: the one document that decides whether its appointments were ever booked."""

from datetime import datetime
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.core.clock import EPOCH, utc_now


class BatchState(StrEnum):
    """What was decided about a batch. Only an open one can still become either of the others."""

    OPEN = "open"  # its appointments are being inserted
    COMMITTED = "committed"  # they are booked
    GIVEN_BACK = "given_back"  # they never were


class Batch(Document):
    """Several visits of one patient. It is stored before its appointments, with their ids.

    `due_at` (UTC) is when a job takes up what a dead process has left. Once all is done, it is absent.
    """

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    appointment_ids: list[PydanticObjectId]  # in the order of the request
    state: BatchState = BatchState.OPEN
    created_by: PydanticObjectId
    idempotency_key: str | None = None
    request_hash: str | None = None  # of the request that `idempotency_key` belongs to
    created_at: datetime = Field(default_factory=utc_now)
    due_at: datetime | None = None

    class Settings:
        name = "batches"
        keep_nulls = False
        indexes = [
            IndexModel(
                [("created_by", ASCENDING), ("idempotency_key", ASCENDING)],
                unique=True,
                partialFilterExpression={"idempotency_key": {"$gt": ""}},
            ),
            # What is still to be done: few at any time.
            IndexModel([("due_at", ASCENDING)], partialFilterExpression={"due_at": {"$gt": EPOCH}}),
        ]
