"""Gives every failure the shape of all errors, so that none leaves in another one."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    NotPrimaryError,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from backend.core.http.errors import (
    BadRequest,
    DatabaseUnavailable,
    DomainError,
    Forbidden,
    Malformed,
    NotFound,
    TooLarge,
    Unauthorized,
)

log = logging.getLogger(__name__)

_UNREACHABLE = (
    ConnectionFailure,
    NotPrimaryError,
    ExecutionTimeout,
    WaitQueueTimeoutError,
    WTimeoutError,
)
_METHOD_NOT_ALLOWED = 405
_MOST_FAULTS = 20
_CODE_OF_STATUS = {
    401: Unauthorized.code,
    403: Forbidden.code,
    404: NotFound.code,
    _METHOD_NOT_ALLOWED: "METHOD_NOT_ALLOWED",
    413: TooLarge.code,
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def _answer(error: DomainError) -> JSONResponse:
    return JSONResponse(error.content(), status_code=error.status, headers=error.headers)


async def _domain_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)  # noqa: S101 - registered for nothing else
    return _answer(error)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    return malformed(error.errors())


def malformed(found: Sequence[Mapping[str, Any]]) -> JSONResponse:
    """Returns FastAPI's list without `input` and `ctx`: they'd repeat passwords, and NaN or half a surrogate pair."""
    faults = [{"loc": _plain(e["loc"]), "msg": _text(_msg(e)), "type": e["type"]} for e in found[:_MOST_FAULTS]]
    content = {**Malformed().content(), "errors": faults, "more_errors": len(found) - len(faults)}
    return JSONResponse(content, status_code=Malformed.status)


def _msg(fault: Mapping[str, Any]) -> str:
    """Pydantic's sentence; where it is one of ours, without what Pydantic puts before it."""
    return str(fault["msg"]).removeprefix("Value error, ")


def _plain(location: tuple[Any, ...]) -> list[str | int]:
    return [part if isinstance(part, int) else _text(str(part)) for part in location]


def _text(text: str) -> str:
    """Text that can always be written as UTF-8: field names come from the request too."""
    return text.encode("utf-8", "replace").decode()


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    code, headers = _CODE_OF_STATUS.get(error.status_code, BadRequest.code), dict(error.headers or {})
    if error.status_code == _METHOD_NOT_ALLOWED:
        # FastAPI names only those of the first of a path's routes.
        headers["Allow"] = ", ".join(sorted(_methods_at(request.app, request.url.path)))
    return JSONResponse(
        {"detail": str(error.detail), "error_code": code},
        status_code=error.status_code,
        headers=headers,
    )


def _methods_at(app: FastAPI, path: str) -> set[str]:
    routes = (route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute))
    return {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}


async def _client_gone(_: Request, __: Exception) -> JSONResponse:
    """The client went away while it was sending. Nobody reads this answer, but it is no fault of ours."""
    return _answer(BadRequest())


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, _UNREACHABLE) or (isinstance(error, PyMongoError) and error.timeout):
        log.warning("database unavailable: %s", type(error).__name__)
        return _answer(DatabaseUnavailable())
    return await unexpected(request, error)


async def unexpected(_: Request, error: Exception) -> JSONResponse:
    """The answer to a fault of ours, which is logged under the same request id."""
    log.error("unexpected error", exc_info=error)
    return JSONResponse(
        {
            "detail": "Something went wrong on our side.",
            "error_code": "INTERNAL_ERROR",
            "request_id": correlation_id.get(),
        },
        status_code=500,
    )


def install(app: FastAPI) -> None:
    """Registers the handlers, so that no failure leaves in another shape."""
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(PyMongoError, _database_error)
    app.add_exception_handler(Exception, unexpected)
