"""When each job last ran, and how that ended: metrics, and one document per job, so that any process can tell."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import Document
from prometheus_client import Counter, Gauge, Histogram

from backend.core.clock import utc_now

PERIOD_SECONDS = 60
_PERIODS_UNTIL_LATE = 5

_runs = Counter("job_runs_total", "Runs of timed jobs, by result.", ["job", "result"])
_seconds = Histogram("job_duration_seconds", "Time of a run.", ["job"], buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 300))
_last_success = Gauge(
    "job_last_success_timestamp_seconds", "When a job last succeeded.", ["job"], multiprocess_mode="max"
)


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
        limit = timedelta(seconds=_PERIODS_UNTIL_LATE * self.period_seconds)
        return now - (self.last_success or self.first_started) > limit


async def record_run(name: str, *, started: datetime, seconds: float, done: int, failure: str | None) -> None:
    """Records a run and how many items it did. `failure` is the kind of error, without its text; None for success."""
    _runs.labels(name, "failure" if failure else "success").inc()
    _seconds.labels(name).observe(seconds)
    if failure is None:
        _last_success.labels(name).set(utc_now().timestamp())
    duration = round(seconds * 1000, 1)
    run: dict[str, Any] = {"last_started": started, "duration_ms": duration, "period_seconds": PERIOD_SECONDS}
    update: dict[str, Any] = {"$set": run, "$setOnInsert": {"first_started": started}}
    if failure is None:
        run |= {"last_success": utc_now(), "failures_in_a_row": 0, "done": done}
        update["$unset"] = {"last_error": ""}
    else:
        run |= {"last_failure": utc_now(), "last_error": failure}
        update["$inc"] = {"failures_in_a_row": 1}
    await JobRun.get_pymongo_collection().update_one({"_id": name}, update, upsert=True)


async def list_job_runs() -> Sequence[JobRun]:
    """Returns the last runs of all jobs, by name."""
    return await JobRun.find({"_id": {"$gt": ""}}).sort("_id").to_list()
