"""The API: every package's routes under `/api/v1`, authenticated unless listed as public."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from backend import health
from backend.accounts import access
from backend.accounts import routes as accounts
from backend.accounts.documents import Role
from backend.accounts.login import routes_codes as codes
from backend.appointments import routes as appointments
from backend.appointments import routes_patients
from backend.appointments.transfer import routes as transfer
from backend.directory import routes_clinics, routes_departments, routes_doctors
from backend.directory.phone_region import use_callers_region
from backend.directory.visit_types import routes as visit_types
from backend.messaging import routes as messages
from backend.messaging.twilio import routes as twilio
from backend.patients import routes as patients
from backend.patients.links import routes as patient_links
from backend.patients.links import routes_joining
from backend.patients.merging import routes as merging
from backend.reports import routes as reports
from backend.scheduling import routes_directory as changes
from backend.scheduling.hours import routes as hours
from backend.scheduling.slots import routes as slots
from backend.web.openapi import Access

PREFIX = "/api/v1"

ROUTERS: list[APIRouter] = [
    # Each package's routers, in the order in which the documentation shows them. A new one is added here.
    accounts.auth_router,
    codes.auth_router,
    accounts.me_router,
    codes.me_router,
    patients.me_router,
    routes_joining.me_router,
    accounts.users_router,
    routes_clinics.router,
    changes.clinics_router,
    routes_departments.router,
    visit_types.router,
    routes_doctors.router,
    changes.doctors_router,
    patients.router,
    routes_patients.router,
    merging.router,
    patient_links.router,
    routes_joining.router,
    hours.router,
    slots.router,
    appointments.router,
    transfer.router,
    messages.router,
    twilio.router,
    reports.router,
    health.time_router,
]

PUBLIC: set[str] = {
    # Operation ids that need no login. All others do, or the application doesn't start.
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
    "get_closure",
    "list_departments",
    "get_department",
    "list_visit_types",
    "get_visit_type",
    "list_doctors",
    "get_doctor",
    "search_slots",
    "list_doctor_slots",
    "get_slot_by_id",
}

SIGNED: set[str] = {
    # Operation ids that need Twilio's signature in place of a login.
    "receive_sms",
    "receive_status",
}

TOKEN_SUFFICES: set[str] = {
    # Operation ids that need a valid access token; its session may have ended.
    "logout",
}

_PLURALS = {
    Role.PATIENT: "patients",
    Role.DOCTOR: "doctors",
    Role.NURSE: "nurses",
    Role.ADMIN: "administrators",
}


def build_router() -> APIRouter:
    """Assembles the API."""
    api = APIRouter(prefix=PREFIX)
    for router in ROUTERS:
        # Staff write numbers as in their clinics' country. Patients lie below clinics, so their routes can't say so.
        region = [Depends(use_callers_region)] if router is patients.router else []
        api.include_router(router, dependencies=region)
    return api


def require_login_everywhere(app: FastAPI) -> None:
    """Raises `RuntimeError` where a route of the API and the lists above disagree about a login."""
    unlisted = PUBLIC | SIGNED | TOKEN_SUFFICES
    known = set()
    for route in iter_route_contexts(app.routes):
        if not (route.path or "").startswith(PREFIX):
            continue
        known.add(route.name)
        if (route.name in unlisted) == _asks_for_login(route.dependant):
            raise RuntimeError(f"{route.name}: the route and the lists in backend/api.py disagree about a login")
    if missing := unlisted - known:
        raise RuntimeError(f"listed in backend/api.py, but no such operation: {', '.join(sorted(missing))}")


def access_by_operation(app: FastAPI) -> dict[str, Access]:
    """Who may call each operation, by its id, for the documentation."""
    return {
        str(route.name): _access(str(route.name), route.dependant)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
    }


def _access(operation_id: str, dependant: Dependant) -> Access:
    if operation_id in SIGNED:
        return Access("Twilio, which signs its requests")
    if operation_id in PUBLIC:
        return Access("anybody, without a login")
    roles = _roles(dependant)
    if not roles or len(roles) == len(Role):
        return Access("every caller who is logged in", roles=tuple(Role))
    return Access(", ".join(_PLURALS[role] for role in roles), roles=tuple(roles), is_restricted=True)


def _roles(dependant: Dependant) -> Sequence[Role]:
    if isinstance(dependant.call, access.Only):
        return dependant.call.roles
    found = [roles for roles in map(_roles, dependant.dependencies) if roles]
    return min(found, key=len, default=())  # a router may ask for a login, and its route for a role


def _asks_for_login(dependant: Dependant) -> bool:
    return isinstance(dependant.call, access.LoginNeeded) or any(map(_asks_for_login, dependant.dependencies))
