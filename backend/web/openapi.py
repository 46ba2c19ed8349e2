"""Completes FastAPI's OpenAPI document: who may call each operation, and the errors that no route lists by itself."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic.json_schema import models_json_schema

from backend.core.http.errors import (
    BadRequest,
    DatabaseUnavailable,
    DomainError,
    Forbidden,
    Malformed,
    TooLarge,
    Unauthorized,
    document_error,
)
from backend.core.http.fields import Request, Response

_Class = TypeVar("_Class")

_RETRIED = {"429", "503"}
_RETRY_AFTER = {
    "description": "Seconds to wait before trying again.",
    "schema": {"type": "integer", "minimum": 0},
}
_LOCATION = {"description": "Where it can be read: a path.", "schema": {"type": "string"}}
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@dataclass(frozen=True)
class Access:
    """Who may call an operation."""

    text: str
    """As the documentation says it: "nurses, administrators"."""
    roles: tuple[str, ...] = ()
    """Empty: the operation needs no login."""
    is_restricted: bool = False
    """Whether a caller who is logged in can be refused because of their role."""


def complete(document: dict[str, Any], access: Mapping[str, Access]) -> None:
    """Completes the document in place. `access` has every operation of the API by its id."""
    for path, operation in _operations(document):
        responses = operation["responses"]
        if _is_frameworks_own(responses.get("422", {})):
            del responses["422"]
        if path.startswith("/api/"):
            admitted = access[operation["operationId"]]
            _describe_access(operation, admitted)
            for error in _common_errors(operation, admitted):
                document_error(responses, str(error.status), error)
        for status in _RETRIED & responses.keys():
            responses[status]["headers"] = {"Retry-After": _RETRY_AFTER}
        if "201" in responses:
            responses["201"].setdefault("headers", {})["Location"] = _LOCATION
        operation["responses"] = dict(sorted(responses.items()))
    schemas = {**_error_schemas(), **document["components"]["schemas"]}
    _restore_nulls(schemas)
    document["components"]["schemas"] = _referenced(schemas, start=document["paths"])


def _describe_access(operation: dict[str, Any], access: Access) -> None:
    operation["description"] += f"\n\n**For** {access.text}."
    if access.roles:
        operation["x-roles"] = [*access.roles]
    elif operation.get("security"):
        operation["security"] = [{}, *operation["security"]]  # possible without a token, shows more with one


def _common_errors(operation: dict[str, Any], access: Access) -> Iterator[type[DomainError]]:
    if operation.get("security"):
        yield Unauthorized
    if access.is_restricted:
        yield Forbidden
    if "requestBody" in operation:
        yield from (BadRequest, TooLarge)
    yield Malformed  # unknown query parameters, at least
    yield DatabaseUnavailable


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _is_frameworks_own(response: dict[str, Any]) -> bool:
    content = response.get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).endswith(_FRAMEWORKS_OWN)


def _error_schemas() -> dict[str, Any]:
    """The schema of every error, and what these are made of, by name."""
    _, schema = models_json_schema(
        [(error.schema(), "serialization") for error in _below(DomainError)],
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = schema["$defs"]
    return found


def _restore_nulls(schemas: dict[str, Any]) -> None:
    """Puts the examples of models back as they are written: FastAPI leaves out every null in them."""
    for model in (*_below(Request), *_below(Response)):
        extra: Any = model.model_config.get("json_schema_extra")
        if model.__name__ not in schemas:
            continue
        if callable(extra):
            extra(schemas[model.__name__], model)
        else:
            schemas[model.__name__].update(extra or {})


def _below(root: type[_Class]) -> Iterator[type[_Class]]:
    for each in root.__subclasses__():
        yield each
        yield from _below(each)


def _referenced(schemas: dict[str, Any], start: Any) -> dict[str, Any]:
    """The schemas that the document uses, directly or through others."""
    found: set[str] = set()
    new = _references(start)
    while new:
        found |= new
        new = set().union(*(_references(schemas[name]) for name in new)) - found
    return {name: schemas[name] for name in sorted(found)}


def _references(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))
