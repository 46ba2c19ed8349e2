"""Queries that try to be more than filters: operators, patterns, and cursors that no list has made."""

import base64
import json
from typing import Any

import httpx
import pytest

from backend.core.http.pagination import PageRequest, list_id
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
    world.caller = world.person(next(role for role, status in zip(ROLES, expected, strict=True) if status < 400))
    return found


def _ask(operation: Operation, world: World, **query: str) -> httpx.Response:
    valid = ROWS[operation.id][-1](world)
    return call(query=query, **valid.ids).send(operation, world.client())


def test_what_isnt_a_filter_is_refused(operation: Operation, world: World) -> None:
    for name in INJECTED:
        answer = _ask(operation, world, **{name: "x"})
        assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR"), name
        assert answer.json()["errors"][0]["loc"] == ["query", name]


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


ID = {"$oid": "671f0c0e9b1d8a0001a1b2c3"}

NO_JSON = ["", b"\xff\xfe", "[", "[" * 300, "null", "1", '"x"', "{}", "[]", '["\\ud800"]']

KEYS: list[Any] = [
    *([], [1], [None, None], [[], []], [{}, {}], ["a", "b"], ["a", ID], [ID, ID], ["a", ID, ID]),
    *([{"$ne": None}, ID], ["a", {"$ne": None}]),
    *(
        [odd, ID]
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
    [{"$oid": "x"}],
    [{"$ne": None}],
    [True],
]


def _packed(text: str | bytes) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_a_cursor_that_no_list_made_is_refused(operation: Operation, world: World) -> None:
    ids = ROWS[operation.id][-1](world).ids
    path = operation.path.format(**ids)
    tampered = [
        *("x", "=", "====", "a" * 512, "%00", "null", "../..", "é", "-_-_"),
        *(_packed(text) for text in NO_JSON),
        *(_packed(json.dumps([list_id(path), *key])) for key in KEYS),
    ]
    for cursor in tampered:
        answer = _ask(operation, world, cursor=cursor)
        assert faults(operation, answer) == []
        assert (answer.status_code, answer.json()["error_code"]) in {
            (422, "BAD_CURSOR"),
            (422, "VALIDATION_ERROR"),
        }, cursor


def _cursor_of(path: str, *key: Any, **filters: str) -> str:
    return PageRequest(list_id=list_id(f"/api/v1{path}", filters.items())).next_cursor(*key)


def test_a_cursor_belongs_to_its_list_and_filters(world: World) -> None:
    time, someone = world.time(), world.patient.object_id
    get = world.patient.client.get
    mine = _cursor_of("/appointments", time, someone)
    for cursor in (
        mine,
        _cursor_of("/appointments", time, someone, status="scheduled"),
        _cursor_of("/slots", time, someone),
    ):
        expected = 200 if cursor == mine else 422
        assert get("/appointments", params={"cursor": cursor}).status_code == expected
        assert get("/appointments", params={"cursor": cursor, "limit": "7"}).status_code == expected
    refused = get("/appointments", params={"cursor": mine, "status": "confirmed"})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "BAD_CURSOR")
    near = {"near": "-73.98,40.75"}
    for distance in (412.5, float("nan")):
        cursor = _cursor_of("/clinics", distance, someone, **near)
        assert get("/clinics", params={**near, "cursor": cursor}).status_code == 200


def test_a_cursor_holds_no_name(world: World) -> None:
    assert world.patient.id != world.other_patient.id
    cursor = world.admin.client.get("/patients", params={"limit": 1}).json()["next_cursor"]
    unpacked = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert [type(part) for part in unpacked] == [str, dict]
    assert list(unpacked[1]) == ["$oid"]


def test_a_cursor_never_leads_into_what_is_anothers(world: World) -> None:
    theirs = world.appointment(patient=world.other_patient)
    mine = world.appointment(patient=world.patient)
    start = _cursor_of("/appointments", world.time().replace(year=2000), world.patient.object_id)
    answer = world.patient.client.get("/appointments", params={"cursor": start})
    assert [row["id"] for row in answer.json()["items"]] == [mine]
    assert theirs not in answer.text


ODD_VALUES: dict[str, list[Any]] = {
    "limit": ["0", "101", "-1", "1e9", "٣", "0x10", "9" * 400, "NaN", "", "null", "1;2"],
    "from": [
        "now",
        "2030",
        "2030-06-31",
        "2030-06-03T10:00:00",
        "2030-06-03T10:00:00 02:00",
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
