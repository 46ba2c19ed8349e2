"""The index of routes finds exactly what FastAPI would find by asking every route."""

import re
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import Match

from backend.app import create_app
from backend.web.route_index import RouteIndex, index_routes

APP = create_app()
ROUTES: list[RouteContext] = [
    route for route in iter_route_contexts(APP.routes) if isinstance(route.original_route, APIRoute)
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get"]
ID = "671f0c0e9b1d8a0001a1b2c3"
ODD = ["", "/", "//", "/api", "/api/v1", "/api/v1/", "/api/v1/slots/", "/api/v1//slots", "/api/v2/slots"]
ODD += ["/api/v1/time/now\n", "/health/", f"/api/v1/doctors/{ID}/slots/", "/api/v1/doctors//slots", "/docs"]
ODD += ["/api/v1/doctors/\n/slots", "/api/v1/slots/é", "/openapi.json", "api/v1/slots", "/x/api/v1/slots"]


def by_asking_every_route(path: str, method: str) -> tuple[Any, dict[str, str]] | None:
    for route in ROUTES:
        if method in (route.methods or ()) and (found := route.path_regex.match(path)):
            return route.endpoint, found.groupdict()
    return None


@pytest.mark.parametrize("method", METHODS)
def test_the_index_finds_what_asking_every_route_finds(method: str) -> None:
    index = APP.router.routes[0]
    assert isinstance(index, RouteIndex)
    found = 0
    for path in [*(re.sub("{.*?}", ID, route.path or "") for route in ROUTES), *ODD]:
        match, scope = index.matches({"type": "http", "path": path, "method": method, "root_path": ""})
        expected = by_asking_every_route(path, method)
        assert (match is Match.FULL) == (expected is not None), path
        if expected is not None:
            found += 1
            assert (scope["endpoint"], scope["path_params"]) == expected, path
    assert (found > 0) == any(method in (route.methods or ()) for route in ROUTES)


@pytest.mark.parametrize("path", ["/api/v1/{thing}", "/api/v1/files/{name:path}", "/api/v1/files/{n:int}"])
def test_a_route_that_the_index_could_miss_stops_the_start(path: str) -> None:
    router = APIRouter()
    router.add_api_route(path, lambda: None, name="missed")
    app = FastAPI()
    app.include_router(router)
    with pytest.raises(RuntimeError, match="can't find this route"):
        index_routes(app)


def test_what_is_mounted_elsewhere_is_left_to_fastapi() -> None:
    index = APP.router.routes[0]
    mounted = {"type": "http", "path": "/below/api/v1/slots", "method": "GET", "root_path": "/below"}
    for scope in (mounted, {"type": "websocket", "path": "/api/v1/slots"}):
        assert index.matches(scope)[0] is Match.NONE
