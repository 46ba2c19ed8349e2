"""Queries that try to be more than filters: operators, patterns, and cursors that no list has made."""

import base64
import json
from typing import Any

import httpx
import pytest

from backend.core.http.pagination import encode_cursor
from tests.contract.document import OPERATIONS, Operation, faults
from tests.contract.test_roles import ROLES, ROWS
from tests.contract.world import World, call

LISTS = [
    id
    for id, operation in OPERATIONS.items()
    if any(parameter["name"] == "cursor" for parameter in operation.node.get("parameters", []))
]

INJECTED = [
    *(
        "status[$ne]",
        "status[]",
        "role[$ne]",
        "q[$regex]",
        "patient_id[$gt]",
        "patient_id.$ne",
        "$where",
        "$or",
    ),
    *("limit[$gt]", "is_active[$ne]", "_id[$ne]", "filter", "sort", "fields", "__proto__[x]", "owner_id"),
]


@pytest.fixture(params=LISTS)
def operation(request: pytest.FixtureRequest, world: World) -> Operation:
    """Each list, asked for by the least who may."""
    found = OPERATIONS[request.param]
    *expected, _ = ROWS[found.id]
    world.caller = world.person(
        next(role for role, status in zip(ROLES, expected, strict=True) if status < 400)
    )
    return found


def _ask(operation: Operation, world: World, **query: str) -> httpx.Response:
    valid = ROWS[operation.id][-1](world)
    return call(query=query, **valid.ids).send(operation, world.client())


def test_what_isnt_a_filter_filters_nothing(operation: Operation, world: World) -> None:
    for mine in (world.patient, world.other_patient):
        world.appointment(patient=mine)
    plain = _ask(operation, world)
    for name in INJECTED:
        answer = _ask(operation, world, **{name: "x"})
        assert (answer.status_code, answer.json()) == (200, plain.json()), name


def test_patients_see_no_more_by_any_filter(world: World) -> None:
    mine = world.appointment(patient=world.patient)
    world.appointment(patient=world.other_patient)
    for name in (*INJECTED, "patient_id", "doctor_id", "clinic_id"):
        for value in ("", "null", "$ne", "[$ne]=1", '{"$ne":null}', "*", world.other_patient.id):
            answer = world.patient.client.get("/appointments", params={name: value})
            assert answer.status_code in (200, 422)
            assert {row["id"] for row in answer.json().get("items", [])} <= {mine}


PATTERNS = [
    *(".*", "^", "$", "(", "[", "\\", "z{99999}", "(z+)+$", "*", "?", "|", ".", "..", "%", "_", '"', "'"),
    *("$where", '{"$gt":""}', "' or 9=9 --", "İ", "ß", "ž", "́", "\u202e", "💩", "\ufdfa" * 6, "a" * 100),
]


@pytest.mark.parametrize("path", ["/users", "/clinics", "/doctors", "/patients"])
def test_a_search_means_its_words_and_no_pattern(path: str, world: World) -> None:
    """Something is there in each list that every pattern would find."""
    assert world.admin.client.get(path).json()["items"]
    for typed in PATTERNS:
        answer = world.admin.client.get(path, params={"q": typed})
        assert answer.status_code == 200, (typed, answer.text)
        assert answer.json()["items"] == [], typed


def test_a_name_is_filtered_by_whole_and_no_pattern(world: World, api: httpx.Client) -> None:
    for path, name in (
        ("/clinics", "city"),
        ("/doctors", "city"),
        ("/doctors", "specialty"),
        ("/slots", "city"),
    ):
        for typed in PATTERNS:
            answer = api.get(path, params={name: typed})
            assert answer.status_code == 200, (typed, answer.text)
            assert answer.json()["items"] == [], typed


def _packed(text: str | bytes) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


ID = {"$oid": "671f0c0e9b1d8a0001a1b2c3"}

TAMPERED = [
    *(
        "x",
        "=",
        "====",
        "a" * 512,
        "%00",
        "null",
        "../..",
        "é",
        "-_-_",
        _packed(""),
        _packed(b"\xff\xfe"),
        _packed("["),
    ),
    *(
        _packed(json.dumps(key))
        for key in (None, 1, "x", {}, [], [1], [None, None], [[], []], [{}, {}], ["a", "b"])
    ),
    *(_packed(json.dumps([{"$ne": None}, ID])), _packed(json.dumps(["a", {"$ne": None}]))),
    *(_packed(json.dumps(["a", ID, ID])), _packed(json.dumps([ID]))),
    *(
        _packed(json.dumps([odd, ID]))
        for odd in (
            {"$regex": ".*", "$options": ""},
            {"$code": "function(){}"},
            {"$code": "f", "$scope": {}},
            {"$minKey": 1},
            {"$maxKey": 1},
            {"$undefined": True},
            {"$ref": "users", "$id": ID},
            {"$binary": {"base64": "AAAA", "subType": "00"}},
            {"$binary": {"base64": "!", "subType": "zz"}},
            {"$uuid": "x"},
            {"$timestamp": {"t": 1, "i": 1}},
            {"$numberDecimal": "NaN"},
            {"$numberLong": "9" * 40},
            {"$numberDouble": "x"},
            {"$date": "x"},
            {"$date": {"$numberLong": "9" * 18}},
            {"$date": {"$numberLong": "-" + "9" * 18}},
            {"$date": "9999-12-31T23:59:59.999-14:00"},
            {"$oid": "x"},
            {"$oid": 1},
            True,
        )
    ),
    _packed('["\\ud800", {"$oid": "671f0c0e9b1d8a0001a1b2c3"}]'),
    _packed('["a", {"$oid": "671f0c0e9b1d8a0001a1b2c3"}]' + " " * 300),
    _packed("[" * 300),
]


@pytest.mark.parametrize("cursor", TAMPERED, ids=range(len(TAMPERED)))
def test_a_cursor_that_no_list_has_made_is_refused(cursor: str, world: World) -> None:
    """Or means a place in the list, but never anything else."""
    for operation_id in LISTS:
        operation = OPERATIONS[operation_id]
        answer = call(query={"cursor": cursor}, **ROWS[operation_id][-1](world).ids).send(
            operation, world.admin.client
        )
        assert faults(operation, answer) == []
        if answer.status_code == 200:
            assert set(answer.json()) == {"items", "next_cursor"}
        else:
            assert (answer.status_code, answer.json()["error_code"]) in {
                (422, "BAD_CURSOR"),
                (422, "VALIDATION_ERROR"),
            }


def test_another_lists_cursor_is_refused_or_a_place(world: World) -> None:
    by_start = encode_cursor(world.time(), world.patient.object_id)
    by_name = encode_cursor("Ada", world.patient.object_id)
    by_distance = encode_cursor(412.5, world.patient.object_id)
    no_distance = encode_cursor(float("nan"), world.patient.object_id)
    for cursor in (by_name, by_distance, no_distance):
        assert world.patient.client.get("/appointments", params={"cursor": cursor}).status_code == 422
    for cursor in (by_start, by_distance, no_distance):
        assert world.patient.client.get("/doctors", params={"cursor": cursor}).status_code == 422
    near = {"near": "-73.98,40.75"}
    for cursor, status in ((by_start, 422), (by_name, 422), (by_distance, 200), (no_distance, 200)):
        assert world.patient.client.get("/clinics", params={**near, "cursor": cursor}).status_code == status


def test_a_cursor_never_leads_into_what_is_anothers(world: World) -> None:
    theirs = world.appointment(patient=world.other_patient)
    mine = world.appointment(patient=world.patient)
    start = encode_cursor(world.time().replace(year=2000), world.patient.object_id)
    answer = world.patient.client.get("/appointments", params={"cursor": start})
    assert [row["id"] for row in answer.json()["items"]] == [mine]
    assert theirs not in answer.text


ODD_VALUES: dict[str, list[Any]] = {
    "limit": ["0", "101", "-1", "1e9", "٣", "0x10", "9" * 400, "NaN", "", "null", "1;2"],
    "from": [
        "now",
        "2030",
        "2030-06-03",
        "2030-06-03T10:00:00",
        "0000-00-00T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
    "to": ["2030-06-03T10:00:00+99:00", "1e3", "1717408800", "2030-06-03T25:00:00Z", "\x00", "9" * 400],
}


def test_a_bound_that_is_none_is_malformed(world: World, api: httpx.Client) -> None:
    for name, values in ODD_VALUES.items():
        for value in values:
            answer = api.get("/slots", params={name: value})
            assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR"), (
                name,
                value,
            )
            assert faults(OPERATIONS["search_slots"], answer) == []
