"""Refuses query parameters that a route doesn't have: a misspelt filter must not return everything."""

from collections.abc import Collection, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.web.error_handlers import malformed
from backend.web.route_index import RouteIndex


class KnownParameters:
    """Answers requests with an unknown query parameter 422, and names all of them.

    A middleware, because a dependency of every route costs each request a tenth of its time. `exempt` are names of
    routes that may get others.
    """

    def __init__(self, app: ASGIApp, exempt: Collection[str]) -> None:
        self.app = app
        self._exempt = exempt
        self._index: RouteIndex | None = None
        self._known: dict[Any, set[bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on everything else."""
        if scope["type"] == "http" and scope["query_string"] and (unknown := self._unknown(scope)):
            faults = [
                {"loc": ("query", name), "msg": "There is no such query parameter", "type": "extra_forbidden"}
                for name in unknown
            ]
            await malformed(faults)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _unknown(self, scope: Scope) -> list[str]:
        if self._index is None:
            self._index = RouteIndex(scope["app"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route = self._index.find(scope["method"], path)
        if route is None or route.name in self._exempt or not path.startswith("/api/"):
            return []
        if route.endpoint not in self._known:
            self._known[route.endpoint] = {name.encode() for name in _parameters(route.dependant)}
        known = self._known[route.endpoint]
        if all(pair.partition(b"=")[0] in known for pair in scope["query_string"].split(b"&")):
            return []  # nearly always; reading them as `QueryParams` would take longer than finding the route
        given = dict.fromkeys(QueryParams(scope["query_string"]))
        unknown = [name for name in given if name.encode() not in known]
        if unknown:
            scope["endpoint"] = route.endpoint  # log and metrics name the route by it
        return unknown


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)
