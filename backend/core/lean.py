"""Requests taken apart by hand where that is simple, for the routes that are called most."""

import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import HTTPException, Request, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic.fields import FieldInfo

Arguments = dict[str, Any]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _LeaveToFastAPI(Exception):
    """A request that isn't in order, or isn't simple."""


class LeanRoute(APIRoute):
    """A route that looks only at what a request holds. FastAPI looks at all that is declared, some 7 µs for each.

    Every value is checked by FastAPI's own field. Where anything isn't in order, or isn't simple, the request is
    left to FastAPI, so that the errors are FastAPI's too. For functions that answer with a `Response`; any other is
    FastAPI's from the start.
    """

    def get_route_handler(self) -> Handler:
        """The function that answers a request."""
        usual, dependant, call = super().get_route_handler(), self.dependant, self.dependant.call
        if call is None or not _is_simple(dependant, call):
            return usual
        lists = {field.name for field in dependant.query_params if _is_list(field.field_info)}

        async def handle(request: Request) -> Response:
            try:
                arguments = await _arguments(dependant, request, lists)
            except _LeaveToFastAPI:
                return await usual(request)
            for needed in dependant.dependencies:
                assert needed.name is not None and needed.call is not None  # noqa: S101, PT018 - `_is_simple`
                arguments[needed.name] = await needed.call(request)
            answer: Response = await call(**arguments)
            return answer

        return handle


def _is_simple(dependant: Dependant, call: Callable[..., Any]) -> bool:
    """Whether a function answers for itself and asks for nothing but logins, parameters and one JSON body."""
    signature = inspect.signature(call, eval_str=True)
    return (
        signature.return_annotation is Response
        and not any(isinstance(each.default, FieldInfo) for each in signature.parameters.values())
        and all(isinstance(each.call, SecurityBase) and each.name for each in dependant.dependencies)
        and len(dependant.body_params) <= 1
        and not any(isinstance(each.field_info, Form) for each in dependant.body_params)
        and len(signature.parameters)
        == sum(
            len(part)
            for part in (
                dependant.dependencies,
                dependant.path_params,
                dependant.query_params,
                dependant.header_params,
                dependant.body_params,
            )
        )
    )


def _is_list(info: FieldInfo) -> bool:
    """Whether a parameter may be given several times."""
    return any(get_origin(each) is list for each in (info.annotation, *get_args(info.annotation)))


async def _arguments(dependant: Dependant, request: Request, lists: set[str]) -> Arguments:
    """The function's arguments but for those with a default that were not given. Raises `_LeaveToFastAPI`."""
    if any(field.alias in request.headers for field in dependant.header_params):
        raise _LeaveToFastAPI
    arguments = {
        field.name: _checked(field, request.path_params[field.alias]) for field in dependant.path_params
    }
    for field in dependant.query_params:
        query = request.query_params
        if field.alias in query:
            given = query.getlist(field.alias) if field.name in lists else query[field.alias]
            arguments[field.name] = _checked(field, given)
        elif field.field_info.is_required():
            raise _LeaveToFastAPI
    for field in dependant.body_params:
        arguments[field.name] = _checked(field, await _json(request))
    return arguments


def _checked(field: ModelField, given: Any) -> Any:
    value, errors = field.validate(given)
    if errors:
        raise _LeaveToFastAPI
    return value


async def _json(request: Request) -> Any:
    """The request's JSON. Raises `_LeaveToFastAPI` if it is none, `HTTPException` if it is too large."""
    if request.headers.get("content-type") != "application/json":
        raise _LeaveToFastAPI
    try:
        body = json.loads(await request.body())
    except HTTPException:
        raise
    except Exception as error:  # whatever it is: FastAPI meets it again and has the answer
        raise _LeaveToFastAPI from error
    if body is None:
        raise _LeaveToFastAPI
    return body
