"""Whether the process lives and can work, what it measures, and what time it has."""

from datetime import datetime
from typing import Annotated, Any, Literal

import pymongo
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field
from pymongo.errors import PyMongoError

from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError, ErrorBody, responses
from backend.core.http.fields import Response
from backend.core.mongo.client import Database
from backend.core.settings import settings
from backend.job_runs import list_job_runs
from backend.jobs import NAMES as JOB_NAMES
from backend.worker import TimedWork

router = APIRouter(tags=["operations"])
time_router = APIRouter(prefix="/time", tags=["operations"])

DatabaseState = Annotated[
    Literal["ok", "unreachable"], Field(description="Whether its primary answers within two seconds.")
]
SchedulerState = Annotated[
    Literal["running", "stopped", "disabled"],
    Field(description="`disabled` by SCHEDULER_ENABLED is in order: other processes do the timed work."),
]
CarrierState = Annotated[
    Literal["ok", "unreachable", "simulated", "disabled"],
    Field(description="Whether Twilio answered when last spoken to. While it doesn't, messages wait."),
]


class Health(Response):
    """The process answers."""

    status: Literal["ok"] = "ok"


class JobState(Response):
    """When a timed job last succeeded, in whatever process."""

    name: str
    last_success: datetime | None
    is_late: bool = Field(description="It has not succeeded for five of its periods.")


class Readiness(Response):
    """The process can work."""

    status: Literal["ready"] = "ready"
    database: DatabaseState
    scheduler: SchedulerState
    carrier: CarrierState
    jobs: list[JobState]


class NotReadyBody(ErrorBody):
    """What the process lacks."""

    database: DatabaseState
    scheduler: SchedulerState
    late_jobs: list[str] = Field(description="Jobs of this process that have not succeeded for five periods.")


class NotReady(DomainError):
    """The process lives but can't work."""

    status = 503
    code = "NOT_READY"
    detail = "The database can't be reached, timed work has stopped, or one of its jobs keeps failing."
    body = NotReadyBody

    def __init__(self, database: DatabaseState, scheduler: SchedulerState, late_jobs: list[str]) -> None:
        self.states = {"database": database, "scheduler": scheduler, "late_jobs": late_jobs}
        super().__init__(headers={"Retry-After": "5"})

    def content(self) -> dict[str, Any]:
        """The usual body, and the state of each part."""
        return {**super().content(), **self.states}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """With the usual cause."""
        return {**super().example(), "database": "unreachable", "scheduler": "running", "late_jobs": []}


class Now(Response):
    """The server's time."""

    utc: datetime = Field(examples=["2027-03-14T13:30:00Z"])


@router.get("/health", summary="Whether the process lives")
async def get_health() -> Health:
    """Says nothing of the database; see `/health/ready`."""
    return Health()


async def _database_and_jobs(database: Database) -> tuple[DatabaseState, list[JobState]]:
    """The database's state and, where it can be reached, the jobs'. It may go away between the two reads."""
    try:
        with pymongo.timeout(2):
            await database.ping()
            return "ok", await _job_states()
    except PyMongoError:
        return "unreachable", []


def _scheduler_state(timed_work: TimedWork | None) -> SchedulerState:
    if not settings.SCHEDULER_ENABLED:
        return "disabled"
    return "running" if timed_work and timed_work.scheduler.running else "stopped"


def _carrier_state(timed_work: TimedWork | None) -> CarrierState:
    if timed_work is None:
        return "disabled"
    if not settings.has_carrier:
        return "simulated"
    return "ok" if timed_work.outbox.is_carrier_reachable else "unreachable"


async def _job_states() -> list[JobState]:
    now = utc_now()
    return [
        JobState(name=run.id, last_success=run.last_success, is_late=run.is_late(now))
        for run in await list_job_runs()
        if run.id in JOB_NAMES  # an older version may have had others
    ]


@router.get("/health/ready", summary="Check that the process can work", responses=responses(NotReady))
async def get_readiness(request: Request) -> Readiness:
    """For load balancers. Returns 503 while the database can't be reached, timed work has stopped, or a job that this
    process runs has not succeeded for five of its periods.

    Where other processes do the timed work (`scheduler` is `disabled`), a late job is named and nothing more: one
    broken worker must not take every web process out of the load balancer. A carrier that doesn't respond is named
    too; a process without one can still work."""
    timed_work: TimedWork | None = request.app.state.timed_work
    database, jobs = await _database_and_jobs(request.app.state.database)
    scheduler = _scheduler_state(timed_work)
    late = [job.name for job in jobs if job.is_late] if scheduler == "running" else []
    if database != "ok" or scheduler == "stopped" or late:
        raise NotReady(database, scheduler, late)
    carrier = _carrier_state(timed_work)
    return Readiness(database=database, scheduler=scheduler, carrier=carrier, jobs=jobs)


@router.get("/metrics", include_in_schema=False)
async def get_metrics() -> PlainTextResponse:
    """For Prometheus. Holds no personal data; still, keep it inside your network."""
    return PlainTextResponse(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


@time_router.get("/now", summary="The server's time")
async def get_time() -> Now:
    """For clients whose own clock can't be relied on."""
    return Now(utc=utc_now())
