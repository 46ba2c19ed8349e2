"""Writes a TypeScript program that calls every operation of the OpenAPI document with each generated client.

The program is compiled, never run. Bodies are the document's own examples, which leave optional fields out: a client
that required one would not compile. `satisfies` holds each error to the codes that the operation documents.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ID = "671f0c0e9b1d8a0001a1b2c3"
_METHODS = ("get", "put", "post", "patch", "delete")
_OTHER_VALUES = {"date": "2026-12-02", "date-time": "2026-12-02T09:00:00Z"}


@dataclass(frozen=True)
class Operation:
    """One operation, with an example of each thing it takes."""

    method: str
    path: str
    node: dict[str, Any]
    schemas: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name in the clients of orval and hey-api."""
        return re.sub(r"_(.)", lambda found: found[1].upper(), str(self.node["operationId"]))

    def parameters(self, kind: str) -> dict[str, Any]:
        """Each parameter in the path, in the query or among the headers, with a value."""
        return {
            parameter["name"]: self._example(parameter["schema"])
            for parameter in self.node.get("parameters", [])
            if parameter["in"] == kind
        }

    @property
    def bodies(self) -> dict[str, Any]:
        """The body's example by content type."""
        content = self.node.get("requestBody", {}).get("content", {})
        return {kind: self._example(body["schema"]) for kind, body in content.items()}

    @property
    def codes(self) -> dict[str, list[str]]:
        """The error codes by status."""
        return {
            status: list(response["content"]["application/json"]["examples"])
            for status, response in self.node["responses"].items()
            if status >= "400"
        }

    def _example(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self._example(self.schemas[schema["$ref"].rpartition("/")[2]])
        for key in ("examples", "enum"):
            if key in schema:
                return schema[key][0]
        if "const" in schema:
            return schema["const"]
        if "anyOf" in schema:
            return self._example(schema["anyOf"][0])
        values: dict[str, Any] = {
            "array": lambda: [self._example(schema["items"])],
            "boolean": lambda: True,
            "integer": lambda: 1,
            "number": lambda: 1.5,
            "string": lambda: _OTHER_VALUES.get(schema.get("format", ""), _ID),
        }
        return values[schema["type"]]()


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Every operation of the document."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield Operation(method, path, item[method], document["components"]["schemas"])


def program(document: dict[str, Any]) -> str:
    """The TypeScript program."""
    found = list(operations(document))
    functions = [
        _function(f"{operation.name}{client}", write(operation))
        for operation in found
        for client, write in (("Fetch", _openapi_fetch), ("Orval", _orval), ("HeyApi", _hey_api))
    ]
    return "\n".join([_IMPORTS, *functions])


_IMPORTS = """\
import createClient from "openapi-fetch";
import type { paths } from "./openapi-typescript";
import * as orval from "./orval/client";
import * as heyApi from "./hey-api";

const client = createClient<paths>({ baseUrl: "" });
"""


def _function(name: str, lines: list[str]) -> str:
    return "\n".join([f"export async function {name}() {{", *(f"  {line}" for line in lines), "}\n"])


def _openapi_fetch(operation: Operation) -> list[str]:
    taken = {kind: found for kind in ("path", "query", "header") if (found := operation.parameters(kind))}
    lines = []
    for body in [*operation.bodies.values()] or [None]:
        request = {**({"params": taken} if taken else {}), **({} if body is None else {"body": body})}
        call = f"client.{operation.method.upper()}({json.dumps(operation.path)}, {json.dumps(request)})"
        lines += ["{", f"  const {{ data, error }} = await {call};"]
        if operation.codes:
            lines.append(f"  if (error !== undefined) error.error_code satisfies {_either(_all(operation))};")
        lines += ["  else void data;", "}"] if operation.codes else ["  void [data, error];", "}"]
    return lines


def _orval(operation: Operation) -> list[str]:
    arguments = [*operation.parameters("path").values()]
    arguments += [*operation.bodies.values()][:1]
    if query := operation.parameters("query"):
        arguments.append(query)
    call = f"orval.{operation.name}({', '.join(map(json.dumps, arguments))})"
    lines = [f"const response = await {call};"]
    for status, codes in operation.codes.items():
        lines.append(f"if (response.status === {status}) response.data.error_code satisfies {_either(codes)};")
    return [*lines, "void response;"]


def _hey_api(operation: Operation) -> list[str]:
    request: dict[str, Any] = {
        name: found
        for name, kind in (("path", "path"), ("query", "query"), ("headers", "header"))
        if (found := operation.parameters(kind))
    }
    if operation.bodies:
        request["body"] = [*operation.bodies.values()][-1]
    call = f"heyApi.{operation.name}({json.dumps(request) if request else ''})"
    lines = [f"const {{ data, error }} = await {call};"]
    if operation.codes:
        lines.append(f"if (error !== undefined) error.error_code satisfies {_either(_all(operation))};")
    return [*lines, "void data;" if operation.codes else "void [data, error];"]


def _all(operation: Operation) -> list[str]:
    return [code for codes in operation.codes.values() for code in codes]


def _either(codes: list[str]) -> str:
    return " | ".join(json.dumps(code) for code in codes)
