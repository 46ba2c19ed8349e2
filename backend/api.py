"""The API: every package's routes under `/api/v1`, authenticated unless listed as public."""

from fastapi import APIRouter

from backend import health
from backend.accounts import routes as accounts

ROUTERS: list[APIRouter] = [
    # Each package's routers, in the order in which the documentation shows them. A new one is added here.
    accounts.auth_router,
    accounts.me_router,
    accounts.users_router,
    health.time_router,
]

PUBLIC: set[str] = {
    # Operation ids that need no login. Everything else does, or the application doesn't start.
    "get_time",
}


def build_router() -> APIRouter:
    """Assembles the API."""
    api = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        api.include_router(router)
    return api
