"""The OpenAPI document as a product: complete, in step with the code, and saying nothing that must not be said."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from backend import api
from backend.app import app, create_app
from backend.core.http.errors import DomainError
from backend.web import api_description
from tests.contract.document import DOCUMENT, OPERATIONS, Operation, validator
from tests.support.servers import launch

API = [operation for operation in OPERATIONS.values() if operation.path.startswith("/api/")]
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]

NEVER_SHOWN = {
    *("password_hash", "sessions", "search_words", "token_hash", "used_hashes", "request_hash"),
    *(
        "ticks",
        "seat",
        "seats",
        "reserved",
        "daily_number",
        "first_seat",
        "revision",
        "pending_messages",
        "idempotency_key",
        "active",
    ),
    *("specialty_key", "city_key", "name_key", "slots_due_at", "slots_claimed_until", "_id", "revision_id"),
}
"""Fields of documents that are nobody's business but the database's."""


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return SCHEMAS[name] if name else schema


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and those within it."""
    if isinstance(schema, list):
        for each in schema:
            yield from _parts(each)
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key not in ("examples", "default", "enum"):
                yield from _parts(value)


def _within(schema: Any, seen: set[str] | None = None) -> Iterator[dict[str, Any]]:
    """A schema and all that it is made of, by reference too."""
    seen = set() if seen is None else seen
    for part in _parts(schema):
        yield part
        if (reference := part.get("$ref")) is not None and reference not in seen:
            seen.add(reference)
            yield from _within(_resolved(part), seen)


def _answers(operation: Operation) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each documented status with its node."""
    for status, node in operation.node["responses"].items():
        yield int(status), node


def _bodies() -> Iterator[tuple[Operation, str, dict[str, Any]]]:
    """Each request's body: operation, content type and node."""
    for operation in OPERATIONS.values():
        for kind, node in operation.node.get("requestBody", {}).get("content", {}).items():
            yield operation, kind, node


def _errors(root: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for error in root.__subclasses__():
        yield error
        yield from _errors(error)


@pytest.fixture(params=OPERATIONS.values(), ids=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Operation:
    """Each operation."""
    found: Operation = request.param
    return found


def test_the_server_serves_this_document(base_url: str) -> None:
    assert httpx.get(f"{base_url}/openapi.json", trust_env=False).json() == json.loads(json.dumps(DOCUMENT))


def test_an_operation_tells_what_it_does(operation: Operation) -> None:
    summary, text = operation.node["summary"], operation.node["description"]
    assert 4 <= len(summary) <= 60
    assert len(text) >= 15
    assert text.rstrip().endswith((".", "…", ")"))
    assert text != summary
    assert len(operation.node["tags"]) == 1
    assert operation.node["tags"][0] in api_description.TAGS


FORMS = {"login", "receive_sms", "receive_status"}
CREATED_UNLESS_DRY_RUN = ("take_leave", "close_clinic")

OTHER_THAN_JSON = {"get_appointment_calendar": "text/calendar", "receive_sms": "application/xml"}


def test_operation_ids_are_the_names_of_the_functions_and_each_one_is_the_only_one() -> None:
    routes = [route for route in iter_route_contexts(app.routes) if hasattr(route, "dependant")]
    functions = {
        route.endpoint.__name__: route.path
        for route in routes
        if route.endpoint.__module__.startswith("backend.") and route.include_in_schema
    }
    assert functions == {operation.id: operation.path for operation in OPERATIONS.values()}
    nodes = [node for item in DOCUMENT["paths"].values() for node in item.values()]
    assert len(OPERATIONS) == len(nodes)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", id) for id in OPERATIONS)


def test_every_tag_is_used_and_explained() -> None:
    used = {tag for operation in OPERATIONS.values() for tag in operation.node["tags"]}
    assert used == {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def test_paths_are_plain() -> None:
    for operation in API:
        path = operation.path.removeprefix("/api/v1")
        assert re.fullmatch(r"(/([a-z-]+(\.ics)?|\{([a-z_]+_id|date)\}))+", path), path


def test_every_body_is_json_of_a_named_schema_that_takes_no_unknown_field() -> None:
    for operation, kind, node in _bodies():
        schema = _resolved(node["schema"])
        schema = next((_resolved(part) for part in schema.get("anyOf", []) if "$ref" in part), schema)
        if operation.id in FORMS:  # as OAuth2 and Twilio ask; both may send more
            continue
        assert kind == "application/json", operation.id
        assert schema["title"] in SCHEMAS, operation.id
        assert schema["additionalProperties"] is False, operation.id


def test_every_body_has_an_example_that_its_schema_accepts() -> None:
    faults = []
    for operation, kind, node in _bodies():
        parts = [_resolved(part) for part in node["schema"].get("anyOf", [node["schema"]])]
        examples = [example for part in parts for example in part.get("examples", [])]
        if not examples:
            faults.append(f"{operation.id} ({kind}) has no example")
        faults += [f"{operation.id}: {fault}" for fault in _misfits(node["schema"], examples)]
    assert faults == []


def test_every_example_of_a_schema_is_one_of_it() -> None:
    faults = []
    for name, root in SCHEMAS.items():
        for schema in _parts(root):
            if isinstance(examples := schema.get("examples"), list):
                faults += [f"{name}: {fault}" for fault in _misfits(schema, examples)]
    assert faults == []


def _misfits(schema: dict[str, Any], examples: list[Any]) -> list[str]:
    return [str(fault) for example in examples for fault in validator(schema).iter_errors(example)]


def test_every_parameter_is_explained_or_speaks_for_itself() -> None:
    for operation in OPERATIONS.values():
        for parameter in operation.node.get("parameters", []):
            name, schema = parameter["name"], parameter["schema"]
            plain = name.endswith("_id") or "description" in parameter or "$ref" in schema
            assert plain or "description" in schema or "enum" in json.dumps(schema), f"{operation.id}: {name}"


def test_every_answer_has_a_description_and_a_schema(operation: Operation) -> None:
    successes = [status for status, _ in _answers(operation) if status < 300]
    # What a dry run would create isn't there: it answers 200 with the report alone.
    assert len(successes) == 1 or (operation.id in CREATED_UNLESS_DRY_RUN and successes == [200, 201])
    for status, node in _answers(operation):
        assert node["description"]
        if status == 204:
            assert "content" not in node
        elif operation.id in OTHER_THAN_JSON and status == 200:
            assert list(node["content"]) == [OTHER_THAN_JSON[operation.id]]
        else:
            [kind] = node["content"]
            assert kind == "application/json"
            assert node["content"][kind]["schema"] not in ({}, {"type": "object"})


def test_every_error_has_the_shape_of_all_errors(operation: Operation) -> None:
    for status, node in _answers(operation):
        if status < 400:
            continue
        schema = node["content"]["application/json"]["schema"]
        examples = node["content"]["application/json"]["examples"]
        codes = set()
        for part in schema.get("oneOf", [schema]):
            fields = _resolved(part)
            assert {"detail", "error_code"} <= set(fields["required"]), operation.id
            codes.add(fields["properties"]["error_code"]["const"])
        assert codes == set(examples), operation.id
        for code, example in examples.items():
            assert example["value"]["error_code"] == code
            assert [str(fault) for fault in validator(schema).iter_errors(example["value"])] == []
            assert code in node["description"]
        if status in (429, 503):
            assert "Retry-After" in node["headers"], operation.id


def test_fastapis_own_validation_errors_are_nowhere() -> None:
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)
    assert not {"HTTPValidationError", "ValidationError"} & set(SCHEMAS)


def test_every_operation_lists_the_errors_that_all_have() -> None:
    for operation in API:
        assert "VALIDATION_ERROR" in operation.codes(422), operation.id
        assert "DATABASE_UNAVAILABLE" in operation.codes(503), operation.id
        if "requestBody" in operation.node:
            assert "BODY_TOO_LARGE" in operation.codes(413), operation.id


def test_every_operation_says_who_may_call_it() -> None:
    everybody = ["patient", "doctor", "nurse", "admin"]
    for id, roles in {
        "logout": everybody,
        "book_appointment": everybody,
        "close_clinic": ["nurse", "admin"],
        "create_clinic": ["admin"],
    }.items():
        assert OPERATIONS[id].node["x-roles"] == roles, id
    for id in api.PUBLIC:
        assert "x-roles" not in OPERATIONS[id].node, id
        assert OPERATIONS[id].node["description"].endswith("**For** anybody, without a login.")
    assert OPERATIONS["close_clinic"].node["description"].endswith("**For** nurses, administrators.")


def test_all_but_the_public_ask_for_the_token() -> None:
    scheme = {"OAuth2PasswordBearer": []}
    for operation in API:
        security = operation.node.get("security", [])
        if operation.id in api.PUBLIC:
            assert security in ([], [{}, scheme]), operation.id
        elif operation.id in api.SIGNED:
            assert security == [], operation.id
        else:
            assert security == [scheme], operation.id
            assert "NOT_AUTHENTICATED" in operation.codes(401), operation.id
    flow = DOCUMENT["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == OPERATIONS["login"].path
    assert flow["refreshUrl"] == OPERATIONS["refresh_tokens"].path


def test_no_answer_shows_what_is_the_databases_own() -> None:
    for operation in OPERATIONS.values():
        for status, node in _answers(operation):
            for part in _within(node.get("content", {})):
                shown = set(part["properties"]) if isinstance(part.get("properties"), dict) else set()
                assert not shown & NEVER_SHOWN, f"{operation.id} {status}"
                assert "password" not in shown, f"{operation.id} {status}"


def test_no_body_takes_what_only_the_system_sets() -> None:
    for operation, _, node in _bodies():
        for part in _within(node):
            taken = set(part["properties"]) if isinstance(part.get("properties"), dict) else set()
            forbidden = NEVER_SHOWN | {
                "id",
                "history",
                "created_at",
                "updated_at",
                "created_by",
                "is_verified",
            }
            assert not taken & forbidden, operation.id


def test_every_error_code_of_the_code_stands_in_the_document_and_the_reverse() -> None:
    documented = {code for operation in OPERATIONS.values() for code in operation.all_codes}
    ours = [error for error in _errors() if error.__module__.startswith("backend.")]
    kinds = {error for error in ours if error.__subclasses__()}  # NotFound, Conflict, …: raised by themselves rarely
    assert {error.code for error in ours if error not in kinds} <= documented
    assert documented <= {error.code for error in [*ours, DomainError]}


def test_no_two_errors_share_a_code() -> None:
    codes: dict[str, list[str]] = {}
    for error in _errors():
        if "code" in vars(error):
            codes.setdefault(error.code, []).append(error.__qualname__)
    assert {code: names for code, names in codes.items() if len(names) > 1} == {}
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


def test_every_error_that_can_be_raised_has_a_code_of_its_own() -> None:
    nameless = [e.__name__ for e in _errors() if "code" not in vars(e) and not e.__subclasses__()]
    assert set(nameless) <= {"BadRequest"}  # the root's own code


def test_every_reference_leads_somewhere_and_every_schema_is_needed() -> None:
    assert set(SCHEMAS) == set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))


def test_the_document_does_not_say_where_the_server_is() -> None:
    assert "servers" not in DOCUMENT
    assert "127.0.0.1" not in json.dumps(DOCUMENT)


@pytest.mark.long
def test_the_command_prints_the_same_document() -> None:
    program = launch("-m", "backend", "openapi")
    assert program.wait() == 0
    assert json.loads(program.output) == json.loads(json.dumps(DOCUMENT))


def test_a_route_that_forgets_to_ask_for_a_login_ends_the_start() -> None:
    app = create_app()

    @app.get("/api/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="forgotten"):
        api.require_login_everywhere(app)


def test_a_public_route_that_is_gone_ends_the_start() -> None:
    with pytest.raises(RuntimeError, match="get_time"):
        api.require_login_everywhere(FastAPI())
