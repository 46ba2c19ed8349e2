"""The API: every package's routes under `/api/v1`, authenticated unless listed as public."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from backend import health
from backend.accounts import access
from backend.accounts import routes as accounts
from backend.accounts.documents import Role
from backend.accounts.login import routes_codes as codes
from backend.appointments import routes as appointments
from backend.directory import routes_clinics, routes_departments, routes_doctors, routes_patients
from backend.messaging import routes as messages
from backend.messaging.twilio import routes as twilio
from backend.reports import routes as reports
from backend.scheduling import routes_directory as changes
from backend.scheduling.hours import routes as hours
from backend.scheduling.slots import routes as slots

PREFIX = "/api/v1"

ROUTERS: list[APIRouter] = [
    # Each package's routers, in the order in which the documentation shows them. A new one is added here.
    accounts.auth_router,
    codes.auth_router,
    accounts.me_router,
    codes.me_router,
    accounts.users_router,
    routes_clinics.router,
    changes.clinics_router,
    routes_departments.router,
    routes_doctors.router,
    changes.doctors_router,
    routes_patients.router,
    hours.router,
    slots.router,
    appointments.router,
    messages.router,
    twilio.router,
    reports.router,
    health.time_router,
]

PUBLIC: set[str] = {
    # Operation ids that need no login. Everything else does, or the application doesn't start.
    "register",
    "login",
    "refresh_tokens",
    "forget_password",
    "reset_password",
    "get_time",
    "list_clinics",
    "get_clinic",
    "list_clinic_doctors",
    "list_closures",
    "list_departments",
    "get_department",
    "list_doctors",
    "get_doctor",
    "search_slots",
    "list_doctor_slots",
    "get_slot_by_id",
    "receive_sms",
    "receive_status",
}


TOKEN_SUFFICES: set[str] = {
    # Operation ids that need a valid access token, but not that its session still lives.
    "logout",
}


def build_router() -> APIRouter:
    """Assembles the API."""
    api = APIRouter(prefix=PREFIX)
    for router in ROUTERS:
        api.include_router(router)
    return api


def require_login_everywhere(app: FastAPI) -> None:
    """Raises `RuntimeError` if a route of the API asks for no login and isn't listed above, or the reverse."""
    unlisted = PUBLIC | TOKEN_SUFFICES
    known = set()
    for route in iter_route_contexts(app.routes):
        if not (route.path or "").startswith(PREFIX):
            continue
        known.add(route.name)
        if (route.name in unlisted) == _asks_for_login(route.dependant):
            raise RuntimeError(
                f"{route.name}: asks for a login, or doesn't, against the lists in backend/api.py"
            )
    if missing := unlisted - known:
        raise RuntimeError(f"listed in backend/api.py, but not there: {', '.join(sorted(missing))}")


def roles_by_operation(app: FastAPI) -> dict[str, Sequence[Role]]:
    """Whom each operation admits that asks for a login, by its id."""
    routes = [
        route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)
    ]
    return {str(route.name): roles for route in routes if (roles := _roles(route.dependant))}


def _roles(dependant: Dependant) -> Sequence[Role]:
    if isinstance(dependant.call, access.Only):
        return dependant.call.roles
    if isinstance(dependant.call, access.LoginNeeded):
        return tuple(Role)
    return next(filter(None, map(_roles, dependant.dependencies)), ())


def _asks_for_login(dependant: Dependant) -> bool:
    return isinstance(dependant.call, access.LoginNeeded) or any(map(_asks_for_login, dependant.dependencies))
