"""Finding the route of a request without asking every route there is."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_AREA = 3
"""Which part of a path names its area, as in `/api/v1/slots`."""

_CHOSEN = "chosen_route"


class _Known(NamedTuple):
    """A route with what finds it: a `RouteContext` looks its own attributes up anew each time."""

    route: RouteContext
    methods: frozenset[str]
    path_regex: re.Pattern[str]


class RouteIndex(BaseRoute):
    """Stands before all routes of an application and finds a request's route among the few that it can be.

    FastAPI asks one route after the other, through each router that includes them: with eighty routes that was 300
    of the 420 µs that a request took. Here they lie by the area and the length of their paths, in FastAPI's order.
    What isn't found here (no such path, another method) is left to FastAPI, which answers as ever.
    """

    def __init__(self, app: FastAPI) -> None:
        self._routes: dict[tuple[str, int], list[_Known]] = {}
        for route in iter_route_contexts(app.routes):
            if isinstance(route.original_route, APIRoute) and route.path is not None:
                known = _Known(route, frozenset(route.methods or ()), route.path_regex)
                self._routes.setdefault(_place(route.path), []).append(known)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The first route that takes path and method, if there is one."""
        if scope["type"] != "http" or scope.get("root_path"):
            return Match.NONE, {}
        if (route := self.find(scope["method"], scope["path"])) is None:
            return Match.NONE, {}
        return Match.FULL, {
            "endpoint": route.endpoint,
            "path_params": route.path_regex.match(scope["path"]).groupdict(),
            "route": route.original_route,
            _CHOSEN: route.app,
        }

    def find(self, method: str, path: str) -> RouteContext | None:
        """Returns the first route of a method and a path (without the application's root path)."""
        for known in self._routes.get(_place(path), ()):
            if method in known.methods and known.path_regex.match(path):
                return known.route
        return None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to the route that was found."""
        chosen: Callable[[Scope, Receive, Send], Awaitable[Any]] = scope[_CHOSEN]
        await chosen(scope, receive, send)


def _place(path: str) -> tuple[str, int]:
    """Where a path, or a route's template, lies: no parameter is in its area or has a slash in it."""
    parts = path.split("/")
    return parts[_AREA] if len(parts) > _AREA else "", len(parts)


def index_routes(app: FastAPI) -> None:
    """Puts the index before the application's routes, once all of these are there.

    Raises `RuntimeError` at a route that it can't hold: with a parameter in its area, or of another kind than text.
    """
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            area, _ = _place(route.path or "")
            kinds = {type(kind).__name__ for kind in route.param_convertors.values()}
            if "{" in area or kinds - {"StringConvertor"}:
                raise RuntimeError(f"{route.path}: backend/web/route_index.py can't find this route")
    app.router.routes.insert(0, RouteIndex(app))
