"""Bodies that try to be more than data: operators, other types, other encodings, fields that aren't the caller's."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.contract.document import DOCUMENT, OPERATIONS, Operation
from tests.contract.hostile.support import is_refusal, nothing_changes
from tests.contract.test_roles import ROLES, ROWS
from tests.contract.world import Call, World

pytestmark = pytest.mark.long

WEBHOOKS = {"receive_sms", "receive_status"}
"""Forms with a signature: tests/messaging/twilio/test_webhooks.py sends them all that is wrong."""

WRITING = [id for id, operation in OPERATIONS.items() if "requestBody" in operation.node and id not in WEBHOOKS]

OPERATORS: list[Any] = [
    *(
        {"$ne": None},
        {"$oid": "671f0c0e9b1d8a0001a1b2c3"},
        [{"$where": "sleep(1000)"}],
        10**30,
        "\x00",
        "\ud800",
    ),
]
"""What no field of any body takes."""

SYSTEMS_OWN: dict[str, Any] = {
    **{"_id": "671f0c0e9b1d8a0001a1b2c3", "id": "671f0c0e9b1d8a0001a1b2c3", "revision_id": 1},
    **{"role": "admin", "is_active": False, "is_verified": True, "sms_opted_out": False},
    **{"password_hash": "x", "sessions": ["x"], "last_login": None, "search_words": [], "photo": "x"},
    **{
        "history": [],
        "status": "completed",
        "active": True,
        "seat": 0,
        "daily_number": 0,
        "pending_messages": [],
        "reschedule_count": 0,
    },
    **{"created_by": "x", "created_at": "2030-01-01T00:00:00Z", "updated_at": "2030-01-01T00:00:00Z"},
    **{"doctor": {"specialty": "x"}, "patient": {"notes": "x"}, "nurse": {"clinic_ids": []}},
    **{"patient.notes": "x", "doctor.clinic_ids": [], "closures": [], "first_seat": 0, "capacity_left": 9},
    **{"$set": {"role": "admin"}, "$where": "1", "__proto__": {"role": "admin"}, "constructor": {}},
}
"""Fields of documents, and ways to smuggle them in."""


def _able(operation_id: str) -> str:
    """A role that may do it: the least that may."""
    *expected, _ = ROWS[operation_id]
    return next(role for role, status in zip(ROLES, expected, strict=True) if status < 400)


@pytest.fixture(params=WRITING)
def operation(request: pytest.FixtureRequest) -> Operation:
    """Each operation with a body."""
    return OPERATIONS[request.param]


@pytest.fixture
def valid(operation: Operation, world: World) -> Call:
    """A request that would succeed."""
    world.caller = world.person(_able(operation.id))
    *_, recipe = ROWS[operation.id]
    found = recipe(world)
    return Call(found.ids, {} if found.json is None else found.json, found.query)


def _send(operation: Operation, valid: Call, world: World, content: bytes, kind: str) -> httpx.Response:
    client = world.client()
    url = str(client.base_url).removesuffix("/api/v1/") + operation.url(valid.ids)
    return client.request(operation.method, url, content=content, headers={"Content-Type": kind})


def _send_json(operation: Operation, valid: Call, world: World, body: Any) -> httpx.Response:
    return _send(operation, valid, world, json.dumps(body).encode(), "application/json")


def _schema_of(operation: Operation) -> dict[str, Any]:
    schema: dict[str, Any] = operation.node["requestBody"]["content"]["application/json"]["schema"]
    schema = next((part for part in schema.get("anyOf", []) if "$ref" in part), schema)
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name] if name else schema
    return found


def test_no_field_takes_an_operator_or_what_cant_be_stored(
    operation: Operation, valid: Call, world: World, db: Database[dict[str, Any]]
) -> None:
    fields = _schema_of(operation)["properties"]
    with nothing_changes(db):
        for field in fields:
            for value in OPERATORS:
                answer = _send_json(operation, valid, world, {**valid.json, field: value})
                assert is_refusal(answer), f"{field}: {value!r}: {answer.status_code} {answer.text}"
                assert answer.status_code in (400, 422)


def test_no_body_sets_what_isnt_the_callers(
    operation: Operation, valid: Call, world: World, db: Database[dict[str, Any]]
) -> None:
    known = _schema_of(operation)["properties"]
    extra = {field: value for field, value in SYSTEMS_OWN.items() if field not in known}
    names = sorted(extra)
    with nothing_changes(db):
        for some in (names[at : at + 20] for at in range(0, len(names), 20)):  # no answer lists more faults
            sent = {**valid.json, **{name: extra[name] for name in some}}
            answer = _send_json(operation, valid, world, sent)
            assert is_refusal(answer), answer.text
            found = {(fault["loc"][-1], fault["type"]) for fault in answer.json()["errors"]}
            assert found == {(name, "extra_forbidden") for name in some}


NOT_OBJECTS: list[bytes] = [
    *(b"", b" ", b"[]", b"[{}]", b'""', b"1", b"true", b"null", b"nul", b"{", b"}", b'{"a":}', b"{'a':1}"),
    *(
        b'{"a":1,}',
        b'{"a":1}{}',
        b"NaN",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":-Infinity}',
        b"\xff\xfe",
        b"\x00",
    ),
    *(b'{"a":"\xed\xa0\x80"}', b'{"\xff":1}', b'{"a":"\t"}', b'{"a":' + b"9" * 5000 + b"}", b"//\n{}"),
    *(
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"a":"' + b"a" * 100_000,
    ),
]


def test_what_is_no_object_in_json_is_refused(
    operation: Operation, valid: Call, world: World, db: Database[dict[str, Any]]
) -> None:
    may_be_empty = not operation.node["requestBody"].get("required")
    with nothing_changes(db):
        for content in NOT_OBJECTS:
            if may_be_empty and content in (b"", b"null"):
                continue
            answer = _send(operation, valid, world, content, "application/json")
            assert is_refusal(answer), f"{content[:40]!r}: {answer.status_code} {answer.text}"
            assert answer.status_code in (400, 422)


OTHER_KINDS = {
    "application/xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "text/plain": b'{"name": "x"}',
    "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--\r\n',
    "multipart/form-data": b"no boundary",
    "application/x-www-form-urlencoded": b"name=x&role=admin&username[$ne]=a&password[$ne]=b",
    "application/octet-stream": b"\x00\x01",
    "application/x-yaml": b"!!python/object/apply:os.system ['true']",
    "application/json; charset=utf-7": b"+AHs-+AH0-",
    "nonsense": b"{}",
    "": b"{}",
}


def test_other_content_types_are_refused(
    operation: Operation, valid: Call, world: World, db: Database[dict[str, Any]]
) -> None:
    with nothing_changes(db):
        for kind, content in OTHER_KINDS.items():
            answer = _send(operation, valid, world, content, kind)
            assert is_refusal(answer), f"{kind}: {answer.status_code} {answer.text}"
            assert answer.status_code in (400, 415, 422)


def _ids_within(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a body names things by id."""
    pairs = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in pairs:
        if isinstance(value, str) and len(value) == 24 and all(c in "0123456789abcdef" for c in value):
            yield (*path, key)
        yield from _ids_within(value, (*path, key))


def _with(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = json.loads(json.dumps(body))
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


NO_IDS: list[Any] = [
    *("", "x", "0" * 23, "0" * 25, "g" * 24, " " * 24, "twelve bytes", "0" * 24 + "\n", "٣" * 24, "null"),
    *(None, 0, 24, 1.5, True, [], {}, ["671f0c0e9b1d8a0001a1b2c3"], {"$oid": "671f0c0e9b1d8a0001a1b2c3"}),
]


def test_an_id_is_24_hexadecimal_digits_and_nothing_else(
    operation: Operation, valid: Call, world: World, db: Database[dict[str, Any]]
) -> None:
    places = list(_ids_within(valid.json))
    if operation.id == "book_appointment":
        places.append(("patient_id",))
    with nothing_changes(db):
        for place in places:
            for value in NO_IDS:
                if value is None and place == ("patient_id",):
                    continue  # left out
                answer = _send_json(operation, valid, world, _with(valid.json, place, value))
                assert is_refusal(answer), f"{place}: {value!r}: {answer.status_code} {answer.text}"
                assert answer.status_code == 422
