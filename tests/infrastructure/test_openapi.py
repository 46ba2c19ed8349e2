"""The OpenAPI document: complete, stable, and nothing in it that isn't so."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backend import api as assembled
from backend import api_description
from backend.app import create_app
from tests.support.servers import launch

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document(base_url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{base_url}/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def of_the_api(operations: list[Operation]) -> Iterator[Operation]:
    return (each for each in operations if each[1].startswith("/api/v1"))


def test_every_operation_says_what_it_is(operations: list[Operation]) -> None:
    for method, path, operation in operations:
        name = f"{method} {path}"
        assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", operation["operationId"]), name
        assert operation.get("summary"), name
        assert operation.get("description"), name
        assert len(operation["tags"]) == 1, name
        assert operation["tags"][0] in api_description.TAGS, name


def test_operation_ids_are_unique(operations: list[Operation]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))


def test_every_operation_says_whom_it_admits(operations: list[Operation]) -> None:
    found = {operation["operationId"]: operation for _, _, operation in of_the_api(operations)}
    everybody = ["patient", "doctor", "nurse", "admin"]
    for name, roles in {
        "logout": everybody,
        "book_appointment": everybody,
        "close_clinic": ["nurse", "admin"],
        "create_clinic": ["admin"],
    }.items():
        assert found[name]["x-roles"] == roles, name
    for name in assembled.PUBLIC - {"receive_sms", "receive_status"}:
        assert "x-roles" not in found[name], name
        assert found[name]["description"].endswith("**For** anybody, without a login.")
    assert found["close_clinic"]["description"].endswith("**For** nurses, administrators.")


def test_whoever_is_told_to_wait_is_told_of_the_header(operations: list[Operation]) -> None:
    for method, path, operation in operations:
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"], f"{method} {path} {status}"


def test_every_operation_lists_the_errors_that_all_have(operations: list[Operation]) -> None:
    for method, path, operation in of_the_api(operations):
        name = f"{method} {path}"
        responses = operation["responses"]
        assert "503" in responses, name
        if operation["operationId"] not in assembled.PUBLIC:
            assert operation["security"], name
            assert "NOT_AUTHENTICATED" in codes(responses["401"]), name
            assert "403" in responses, name
        if "requestBody" in operation:
            assert "413" in responses, name
        if "requestBody" in operation or "parameters" in operation:
            assert "VALIDATION_ERROR" in codes(responses["422"]), name
            assert "ValidationErrorBody" in json.dumps(responses["422"]), name


def codes(response: dict[str, Any]) -> set[str]:
    return set(response["content"]["application/json"]["examples"])


def test_every_error_has_a_schema_an_example_and_its_codes_in_the_description(
    operations: list[Operation],
) -> None:
    for method, path, operation in operations:
        for status, response in operation["responses"].items():
            if status >= "400":
                name = f"{method} {path} {status}"
                content = response["content"]["application/json"]
                assert "ErrorBody" in json.dumps(content["schema"]) or "$ref" in content["schema"], name
                for code, example in content["examples"].items():
                    assert example["value"]["error_code"] == code, name
                    assert f"`{code}`" in response["description"], name


def test_no_schema_of_the_frameworks_own_is_left(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    assert "ValidationError" not in document["components"]["schemas"]


def test_every_reference_leads_somewhere_and_every_schema_is_needed(document: dict[str, Any]) -> None:
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert set(document["components"]["schemas"]) == referred


def test_swaggers_authorize_works_with_the_password_form(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/login"
    login = document["paths"]["/api/v1/auth/login"]["post"]
    assert "application/x-www-form-urlencoded" in login["requestBody"]["content"]


def test_the_document_does_not_say_where_the_server_is(document: dict[str, Any]) -> None:
    assert "servers" not in document
    assert "127.0.0.1" not in json.dumps(document)


def test_the_command_prints_the_same_document(document: dict[str, Any]) -> None:
    program = launch("-m", "backend", "openapi")
    assert program.wait() == 0
    assert json.loads(program.output) == document


def test_a_route_that_forgets_to_ask_for_a_login_ends_the_start() -> None:
    app = create_app()

    @app.get("/api/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="forgotten"):
        assembled.require_login_everywhere(app)


def test_a_public_route_that_is_gone_ends_the_start() -> None:
    with pytest.raises(RuntimeError, match="get_time"):
        assembled.require_login_everywhere(FastAPI())
