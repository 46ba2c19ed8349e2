"""Domain errors, and their shape in JSON and OpenAPI. `backend/web/error_handlers.py` turns them into responses."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model


def _index_may_be_absent(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema["required"] if name != "index"]
    del schema["properties"]["index"]["default"]


class ErrorBody(BaseModel):
    """The JSON body of every error. A kind of error that says more extends it."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True, json_schema_extra=_index_may_be_absent
    )

    detail: str = Field(description="What happened and what to do, in English, for developers.")
    error_code: str = Field(description="The error's stable code, for programs.")
    index: int = Field(
        default=0, ge=0, description="Only in a request for several things: which of them, counted from 0."
    )


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
    index: int | None = None
    """In a request for several things: which of them, counted from 0."""

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail or self.detail
        self.headers = dict(headers or {})
        super().__init__(self.detail)

    def content(self) -> dict[str, Any]:
        """The JSON body. A subclass with more to say extends it together with `body` and `example`."""
        which = {} if self.index is None else {"index": self.index}
        return {"detail": self.detail, "error_code": self.code, **which}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """The JSON body as the documentation shows it."""
        return {"detail": cls.detail, "error_code": cls.code}

    @classmethod
    @cache
    def schema(cls) -> type[ErrorBody]:
        """The model of the JSON body, for the documentation: `body` with this error's code and no other."""
        code = Literal[cls.code]  # type: ignore[name-defined]  # known at run time only
        return create_model(f"{cls.__name__}Error", __base__=cls.body, __doc__=cls.__doc__, error_code=(code, ...))


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


def document_error(documented: dict[Any, dict[str, Any]], status: int | str, error: type[DomainError]) -> None:
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
