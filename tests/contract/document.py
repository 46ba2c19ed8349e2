"""The OpenAPI document as tests read it, and answers held against it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from backend.app import app

METHODS = ("get", "put", "post", "patch", "delete")

DOCUMENT: dict[str, Any] = app.openapi()

_NAME = "urn:openapi"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    node: dict[str, Any]

    def url(self, ids: Mapping[str, str]) -> str:
        """The path with its parameters filled in, below the server's root."""
        return self.path.format_map(ids)

    def content(self, status: int) -> dict[str, Any]:
        """What the document says of an answer's body: by content type, schema and examples."""
        content: dict[str, Any] = self.node["responses"].get(str(status), {}).get("content", {})
        return content

    def codes(self, status: int) -> set[str]:
        """The error codes documented for a status."""
        return set(self.content(status).get("application/json", {}).get("examples", {}))

    @property
    def all_codes(self) -> set[str]:
        """The error codes documented for all statuses."""
        return {code for status in self.node["responses"] for code in self.codes(int(status))}


def _operations() -> Iterator[Operation]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(item[method]["operationId"], method.upper(), path, item[method])


OPERATIONS: dict[str, Operation] = {operation.id: operation for operation in _operations()}


@cache
def _registry() -> jsonschema_rs.Registry:
    """The document's components, prepared once: each validator would copy them otherwise, and they are large."""
    return jsonschema_rs.Registry([(_NAME, {"components": DOCUMENT["components"]})])


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of a schema of the document; formats count."""
    elsewhere = json.loads(json.dumps(schema).replace('"#/components', f'"{_NAME}#/components'))
    return jsonschema_rs.Draft202012Validator(elsewhere, validate_formats=True, registry=_registry())


@cache
def _validator_of(operation_id: str, status: int) -> Any:
    return validator(OPERATIONS[operation_id].content(status)["application/json"]["schema"])


def faults(operation: Operation, answer: httpx.Response) -> list[str]:
    """What of an answer the document doesn't say: its status, type, shape or error code. Best empty."""
    status = answer.status_code
    if str(status) not in operation.node["responses"]:
        return [f"{operation.id}: {status} is not documented: {answer.text[:300]}"]
    documented = operation.content(status)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not documented:
        return [f"{operation.id}: {status} has an undocumented body"] if answer.content else []
    if kind not in documented:
        return [f"{operation.id}: {status} is {kind!r}, documented is {sorted(documented)}"]
    if kind != "application/json":
        return []
    body = answer.json()
    found = [f"{operation.id}: {status}: {error}" for error in _validator_of(operation.id, status).iter_errors(body)]
    if status >= 400 and body.get("error_code") not in operation.codes(status):
        found.append(f"{operation.id}: {status} {body.get('error_code')} is not documented")
    return found
