"""When each job last ran, and how that ended: one document per job, so that any process can tell."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import Document

from backend.core.clock import utc_now

PERIODS_UNTIL_LATE = 5
"""A job is late when it has not succeeded for so many of its periods."""


class JobRun(Document):
    """The last runs of a job. Its id is the job's name. Times are UTC."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    period_seconds: float
    first_started: datetime
    last_started: datetime
    last_success: datetime | None = None
    last_failure: datetime | None = None
    last_error: str | None = None
    failures_in_a_row: int = 0
    duration_ms: float = 0
    done: int = 0

    class Settings:
        name = "job_runs"
        keep_nulls = False

    def is_late(self, now: datetime) -> bool:
        """Whether it has not succeeded for five of its periods."""
        limit = timedelta(seconds=PERIODS_UNTIL_LATE * self.period_seconds)
        return now - (self.last_success or self.first_started) > limit


async def record_success(
    name: str, *, period_seconds: float, started: datetime, seconds: float, done: int
) -> None:
    """Notes a run that succeeded, and how many items it did."""
    now = {"last_success": utc_now(), "failures_in_a_row": 0, "done": done}
    await _record(name, period_seconds, started, seconds, {"$set": now, "$unset": {"last_error": ""}})


async def record_failure(
    name: str, *, period_seconds: float, started: datetime, seconds: float, error: str
) -> None:
    """Notes a run that failed. `error` is the kind of error, without its text."""
    now = {"last_failure": utc_now(), "last_error": error}
    await _record(name, period_seconds, started, seconds, {"$set": now, "$inc": {"failures_in_a_row": 1}})


async def list_job_runs() -> Sequence[JobRun]:
    """The last runs of all jobs, by name."""
    return await JobRun.find({"_id": {"$gt": ""}}).sort("_id").to_list()


async def _record(
    name: str, period_seconds: float, started: datetime, seconds: float, update: dict[str, Any]
) -> None:
    run = {"last_started": started, "duration_ms": round(seconds * 1000, 1), "period_seconds": period_seconds}
    await JobRun.get_pymongo_collection().update_one(
        {"_id": name},
        {**update, "$set": {**run, **update["$set"]}, "$setOnInsert": {"first_started": started}},
        upsert=True,
    )
