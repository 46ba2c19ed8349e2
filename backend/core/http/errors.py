"""Domain errors, their shape in JSON and OpenAPI, and the handlers that give every failure that shape."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field, create_model
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

log = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """The JSON body of every error. A kind of error that says more extends it."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    detail: str = Field(description="What happened and what to do, in English, for developers.")
    error_code: str = Field(description="The error's stable code, for programs.")


class FieldFault(BaseModel):
    """One fault of a request. It never repeats the value that was sent."""

    loc: list[str | int] = Field(description="Where: `body`, `query`, `path` or `header`, then the field.")
    msg: str = Field(description="What is wrong, in English, for developers.")
    type: str = Field(description="Pydantic's name of this kind of fault, for programs.")


class ValidationErrorBody(ErrorBody):
    """The JSON body of a malformed request's error."""

    errors: list[FieldFault] = Field(description="At most 20 faults.")
    more_errors: int = Field(description="How many more faults there are.")


class DomainError(Exception):
    """The root of all expected failures. A subclass says its status, its code and its usual sentence."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "BAD_REQUEST"
    detail: str = "The request can't be carried out."
    body: ClassVar[type[ErrorBody]] = ErrorBody

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.detail
        self.headers = dict(headers or {})
        super().__init__(self.detail)

    def content(self) -> dict[str, Any]:
        """The JSON body. A subclass with more to say extends it together with `body` and `example`."""
        return {"detail": self.detail, "error_code": self.code}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """The JSON body as the documentation shows it."""
        return {"detail": cls.detail, "error_code": cls.code}

    @classmethod
    @cache
    def schema(cls) -> type[ErrorBody]:
        """The model of the JSON body, for the documentation: `body` with this error's code and no other."""
        code = Literal[cls.code]  # type: ignore[name-defined]  # known at run time only
        return create_model(
            f"{cls.__name__}Error", __base__=cls.body, __doc__=cls.__doc__, error_code=(code, ...)
        )


class BadRequest(DomainError):
    """The body can't even be read as what its content type says."""


class Unauthorized(DomainError):
    """Who is asking is not known."""

    status = 401
    code = "NOT_AUTHENTICATED"
    detail = "Log in first: the access token is missing, expired or no longer valid."

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer", **(headers or {})})


class Forbidden(DomainError):
    """Who is asking is known, and may not do this at all."""

    status = 403
    code = "NOT_ALLOWED"
    detail = "Your role may not do this."


class NotFound(DomainError):
    """Not there, or not there for who is asking."""

    status = 404
    code = "NOT_FOUND"
    detail = "There is nothing here by that id, or not for you."


class Conflict(DomainError):
    """The world has moved on, or is not as the request supposes."""

    status = 409
    code = "CONFLICT"


class EditConflict(DomainError):
    """Somebody else changed the document since it was read."""

    status = 412
    code = "EDIT_CONFLICT"
    detail = "Somebody else changed this meanwhile. Reload it and try again."


class Unprocessable(DomainError):
    """Well-formed, but it can never be carried out as it is."""

    status = 422
    code = "UNPROCESSABLE"


class Malformed(Unprocessable):
    """The request doesn't fit the route's schema; `errors` lists every fault."""

    code = "VALIDATION_ERROR"
    detail = "The request doesn't have the right form."
    body = ValidationErrorBody

    @classmethod
    def example(cls) -> dict[str, Any]:
        """With one fault."""
        fault = {"loc": ["body", "email"], "msg": "Field required", "type": "missing"}
        return {**super().example(), "errors": [fault], "more_errors": 0}


class TooLarge(DomainError):
    """The body is larger than any request of this API needs to be."""

    status = 413
    code = "BODY_TOO_LARGE"
    detail = "The request's body is too large."


class TooManyRequests(DomainError):
    """Too often."""

    status = 429
    code = "TOO_MANY_REQUESTS"
    detail = "Too many attempts. Try again later."


class DatabaseUnavailable(DomainError):
    """The database can't be reached. Nothing is known to be changed; the request may be repeated."""

    status = 503
    code = "DATABASE_UNAVAILABLE"
    detail = "The database can't be reached at the moment. Try again in a few seconds."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


def responses(*errors: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: for each status, the schemas and examples of the errors that it can return."""
    documented: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        document_error(documented, error.status, error)
    return documented


def document_error(
    documented: dict[Any, dict[str, Any]], status: int | str, error: type[DomainError]
) -> None:
    """Adds an error to what a route documents under a status; `error_code` tells it from the others there."""
    response = documented.setdefault(status, {"content": {"application/json": {"examples": {}}}})
    content = response["content"]["application/json"]
    examples: dict[str, Any] = content["examples"]
    if error.code in examples:
        return
    examples[error.code] = {"summary": error.code, "value": error.example()}
    response["description"] = " or ".join(f"`{code}`" for code in examples)
    reference = f"#/components/schemas/{error.schema().__name__}"
    if "schema" not in content:
        content["schema"] = {"$ref": reference}
        return
    references = [*(each["$ref"] for each in content["schema"].get("oneOf", [content["schema"]])), reference]
    content["schema"] = {
        "oneOf": [{"$ref": each} for each in references],
        "discriminator": {
            "propertyName": "error_code",
            "mapping": dict(zip(examples, references, strict=True)),
        },
    }


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
    """FastAPI's list without `input` and `ctx`: they'd repeat passwords, and NaN or half a surrogate pair."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    found = error.errors()
    faults = [
        {"loc": _plain(e["loc"]), "msg": _text(_msg(e)), "type": e["type"]} for e in found[:_MOST_FAULTS]
    ]
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
    routes = (
        route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)
    )
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
