"""Whether the process lives and can work, what it measures, and what time it has."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field
from pymongo.errors import PyMongoError

from backend import jobs
from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError, ErrorBody, responses
from backend.core.http.fields import Response
from backend.core.mongo.client import Database
from backend.core.settings import settings
from backend.messaging.outbox.sender import Outbox

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


class Readiness(Response):
    """The process can work."""

    status: Literal["ready"] = "ready"
    database: DatabaseState
    scheduler: SchedulerState
    carrier: CarrierState


class NotReadyBody(ErrorBody):
    """What the process lacks."""

    database: DatabaseState
    scheduler: SchedulerState


class NotReady(DomainError):
    """The process lives but can't work."""

    status = 503
    code = "NOT_READY"
    detail = "The database can't be reached, or timed work has stopped."
    body = NotReadyBody

    def __init__(self, database: DatabaseState, scheduler: SchedulerState) -> None:
        self.states = {"database": database, "scheduler": scheduler}
        super().__init__(headers={"Retry-After": "5"})

    def content(self) -> dict[str, Any]:
        """The usual body, and the state of each part."""
        return {**super().content(), **self.states}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """With the usual cause."""
        return {**super().example(), "database": "unreachable", "scheduler": "running"}


class Now(Response):
    """The server's time."""

    utc: datetime = Field(examples=["2027-03-14T13:30:00Z"])


@router.get("/health", summary="Whether the process lives")
async def get_health() -> Health:
    """Says nothing of the database; see `/health/ready`."""
    return Health()


async def _database_state(request: Request) -> DatabaseState:
    database: Database = request.app.state.database
    try:
        await database.ping()
    except PyMongoError:
        return "unreachable"
    return "ok"


def _scheduler_state(request: Request) -> SchedulerState:
    if not settings.SCHEDULER_ENABLED:
        return "disabled"
    return "running" if jobs.running(request.app.state.scheduler) else "stopped"


def _carrier_state(request: Request) -> CarrierState:
    outbox: Outbox | None = request.app.state.outbox
    if outbox is None:
        return "disabled"
    if not settings.has_carrier:
        return "simulated"
    return "ok" if outbox.is_carrier_reachable else "unreachable"


@router.get("/health/ready", summary="Whether the process can work", responses=responses(NotReady))
async def get_readiness(
    database: Annotated[DatabaseState, Depends(_database_state)],
    scheduler: Annotated[SchedulerState, Depends(_scheduler_state)],
    carrier: Annotated[CarrierState, Depends(_carrier_state)],
) -> Readiness:
    """For load balancers: answers 503 while the database can't be reached or timed work has stopped. A carrier that
    doesn't answer is told too, but a process without one can still work."""
    if database != "ok" or scheduler == "stopped":
        raise NotReady(database, scheduler)
    return Readiness(database=database, scheduler=scheduler, carrier=carrier)


@router.get("/metrics", include_in_schema=False)
async def get_metrics() -> PlainTextResponse:
    """For Prometheus. Holds no personal data; still, keep it inside your network."""
    return PlainTextResponse(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


@time_router.get("/now", summary="The server's time")
async def get_time() -> Now:
    """For clients whose own clock can't be relied on."""
    return Now(utc=utc_now())
