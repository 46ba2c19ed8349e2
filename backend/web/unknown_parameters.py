"""Refuses query parameters that a route doesn't have: a misspelt filter must not return everything."""

from collections.abc import Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

_known: dict[Any, set[str]] = {}


async def refuse_unknown_parameters(request: Request) -> None:
    """A dependency of every route of the API. Raises `RequestValidationError`, which names all of them."""
    if not request.scope["query_string"]:
        return
    endpoint = request.scope["endpoint"]
    if endpoint not in _known:
        _known[endpoint] = set(_parameters(request.scope["route"].dependant))
    faults = [
        {"loc": ("query", name), "msg": "There is no such query parameter", "type": "extra_forbidden"}
        for name in dict.fromkeys(request.query_params)
        if name not in _known[endpoint]
    ]
    if faults:
        raise RequestValidationError(faults)


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _parameters(dependency)
