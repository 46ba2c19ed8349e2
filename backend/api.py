"""The API: every package's routes under `/api/v1`, authenticated unless listed as public."""

from fastapi import APIRouter

from backend import health
from backend.accounts import routes as accounts
from backend.appointments import routes as appointments
from backend.reports import routes as reports
from backend.scheduling import routes_hours as hours
from backend.scheduling import routes_slots as slots

ROUTERS: list[APIRouter] = [
    # Each package's routers, in the order in which the documentation shows them. A new one is added here.
    accounts.auth_router,
    accounts.me_router,
    accounts.users_router,
    hours.router,
    slots.router,
    appointments.router,
    reports.router,
    health.time_router,
]

PUBLIC: set[str] = {
    # Operation ids that need no login. Everything else does, or the application doesn't start.
    "get_time",
    "search_slots",
    "list_doctor_slots",
    "get_slot_by_id",
}


def build_router() -> APIRouter:
    """Assembles the API."""
    api = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        api.include_router(router)
    return api
