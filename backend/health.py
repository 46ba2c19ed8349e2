"""Whether the process lives and can work, and what time it has."""

from datetime import datetime

from fastapi import APIRouter

from backend.core.clock import utc_now
from backend.core.types import Response

router = APIRouter(tags=["operations"])
time_router = APIRouter(prefix="/time", tags=["operations"])


class Health(Response):
    """The process answers."""

    status: str


class Now(Response):
    """The server's time."""

    utc: datetime


@router.get("/health", summary="Whether the process lives")
async def get_health() -> Health:
    """Says nothing of the database; see `/health/ready`."""
    return Health(status="ok")


@time_router.get("/now", summary="The server's time")
async def get_time() -> Now:
    """For clients whose own clock can't be relied on."""
    return Now(utc=utc_now())
