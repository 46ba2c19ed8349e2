"""The OpenAPI document as a product: what front-end developers read, and what clients are generated from."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend.core.http.errors import (
    BadRequest,
    DatabaseUnavailable,
    DomainError,
    ErrorBody,
    FieldFault,
    Forbidden,
    Malformed,
    TooLarge,
    Unauthorized,
    ValidationErrorBody,
)
from backend.core.http.fields import Request, Response

TITLE = "Clinic appointment book"

DESCRIPTION = """
The back end of a clinic's appointment book: patients book, confirm, move and cancel; doctors and the front desk
keep the day; administrators oversee it.

**Logging in.** `POST /api/v1/auth/login` with e-mail (or phone) and password returns an access token, good for
minutes, and a refresh token, good for days. Send the access token as `Authorization: Bearer …`. When a request
answers `401`, exchange the refresh token at `POST /api/v1/auth/refresh` for a new pair and repeat the request. A
refresh token works once; using it again ends that login.

**Errors** all look alike: `detail` is a sentence for people, `error_code` is for programs and stable. A request that
doesn't fit the schema gets `422 VALIDATION_ERROR` with a list of `errors`, each with its place (`loc`). Every
response carries `X-Request-ID`: quote it when you report a fault. An unknown path answers `404 NOT_FOUND`, an unknown
method `405 METHOD_NOT_ALLOWED`.

**What you may not see is not there:** another patient's appointment answers `404`. `403` means that your role can't
do this, or not with this: the code says which. Each operation names the roles that it admits, for programs as
`x-roles`; what it says of them beyond that stands in its description.

**Ids** are those of users where they name people: a `patient_id` or `doctor_id` is the `id` of that account.

**Lists** come in pages: `limit` rows and a `next_cursor`, to be passed as `cursor` for the next page and null on the
last. A cursor stays good while rows are added, and only for the same list with the same filters.

**Repeating a request.** Send an `Idempotency-Key` of your own with `POST /api/v1/appointments`: after a lost answer
send the same request with the same key again, and it gets the answer of the first with `Idempotent-Replayed: true`.
After `503`, wait as long as `Retry-After` says.

**Times** are RFC 3339: send any offset, receive UTC (`2027-03-14T13:30:00Z`). Wall-clock times of a clinic, such as
opening hours, are `HH:MM` in the clinic's `time_zone`.

**Changing** is `PATCH`: fields that you don't send stay as they are; null empties a field that may be empty.
""".strip()

TAGS = {
    "auth": "Registering, logging in and out, renewing tokens, forgotten passwords.",
    "me": "The account of whoever is asking.",
    "users": "Accounts of every role, for administrators.",
    "clinics": "Places, with their opening hours, closures and policy.",
    "departments": "Fields of medicine.",
    "doctors": "Doctors and their profiles.",
    "patients": "Patients and their records.",
    "schedule": "A doctor's weekly hours and leave.",
    "slots": "Time that can be booked.",
    "appointments": "Booking and everything after it.",
    "messages": "What was sent and replied by SMS, and whom to call.",
    "twilio": "Where the carrier tells of replies and deliveries. Signed by it, not by a login.",
    "reports": "Counts for doctors and administrators.",
    "operations": "For monitoring and for clients' clocks.",
}

_EVERYBODY = {"patient": "patients", "doctor": "doctors", "nurse": "nurses", "admin": "administrators"}

_TO_BE_REPEATED = {"429", "503"}
_RETRY_AFTER = {
    "description": "Seconds to wait before trying again.",
    "schema": {"type": "integer", "minimum": 0},
}

_UNNEEDED = ("HTTPValidationError", "ValidationError")
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def tags() -> list[dict[str, str]]:
    """The tags in the order in which they are shown."""
    return [{"name": name, "description": text} for name, text in TAGS.items()]


def complete(document: dict[str, Any], *, public: set[str], roles: Mapping[str, Sequence[str]]) -> None:
    """Adds to FastAPI's document what is true of all routes: whom they admit, by operation id, and the errors that
    no route lists by itself."""
    for path, operation in _operations(document):
        if path.startswith("/api/") and operation["tags"] != ["twilio"]:
            _say_who(operation, roles.get(operation["operationId"], ()), public)
        responses = operation["responses"]
        if _mentions_unneeded(responses.get("422", {})):
            del responses["422"]
        for error in _common_errors(path, operation, public):
            _add(responses, error)
        if operation["operationId"] in public and operation.get("security"):
            operation["security"] = [{}, *operation["security"]]  # better with a token, possible without
        for status in _TO_BE_REPEATED & responses.keys():
            responses[status]["headers"] = {"Retry-After": _RETRY_AFTER}
        operation["responses"] = dict(sorted(responses.items()))
    schemas = document["components"]["schemas"]
    for model in (*_models(Request), *_models(Response)):
        extra = model.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and model.__name__ in schemas:
            # FastAPI leaves out every null, also those that an example means.
            schemas[model.__name__].update(extra)
    models = [(model, "serialization") for model in (ErrorBody, FieldFault, ValidationErrorBody)]
    _, definitions = models_json_schema(
        models,  # type: ignore[arg-type]  # a list of a literal
        ref_template="#/components/schemas/{model}",
    )
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    document["components"]["schemas"] = _referred(schemas, start=document["paths"])


def _say_who(operation: dict[str, Any], roles: Sequence[str], public: set[str]) -> None:
    if operation["operationId"] in public:
        who = "anybody, without a login"
    else:
        admitted = roles or list(_EVERYBODY)  # for logging out, a token is enough
        operation["x-roles"] = [*admitted]
        is_all = len(admitted) == len(_EVERYBODY)
        who = "whoever is logged in" if is_all else ", ".join(_EVERYBODY[role] for role in admitted)
    operation["description"] += f"\n\n**For** {who}."


def _referred(schemas: dict[str, Any], start: Any) -> dict[str, Any]:
    """The schemas that are used. (What replaces a type in our fields leaves its own schema behind.)"""
    found: set[str] = set()
    new = _references(start)
    while new:
        found |= new
        new = set().union(*(_references(schemas[name]) for name in new)) - found
    return {name: schema for name, schema in schemas.items() if name in found}


def _references(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))


def _models(root: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in root.__subclasses__():
        yield model
        yield from _models(model)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, operation


def _mentions_unneeded(response: dict[str, Any]) -> bool:
    content = response.get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).endswith(_UNNEEDED)


def _common_errors(path: str, operation: dict[str, Any], public: set[str]) -> Iterator[type[DomainError]]:
    if not path.startswith("/api/"):
        return
    if operation.get("security"):
        yield Unauthorized
        if operation["operationId"] not in public:
            yield Forbidden
    if "requestBody" in operation:
        yield from (BadRequest, TooLarge)
    if "requestBody" in operation or "parameters" in operation:
        yield Malformed
    yield DatabaseUnavailable


def _add(responses: dict[str, Any], error: type[DomainError]) -> None:
    """Adds an error to those that a route lists under the same status."""
    response = responses.setdefault(str(error.status), {})
    content = response.setdefault("content", {}).setdefault("application/json", {})
    content["schema"] = _either(content.get("schema"), error.body.__name__)
    examples = content.setdefault("examples", {})
    examples.setdefault(error.code, {"summary": error.code, "value": error.example()})
    response["description"] = " or ".join(f"`{code}`" for code in examples)


def _either(schema: dict[str, Any] | None, model: str) -> dict[str, Any]:
    wanted = {"$ref": f"#/components/schemas/{model}"}
    if not schema or schema == wanted:
        return wanted
    choices = schema.get("anyOf", [schema])
    return {"anyOf": choices if wanted in choices else [*choices, wanted]}
