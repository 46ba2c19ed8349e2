"""Times, cursors and query parameters that broke the predecessors: each refused with a code, none with a 500."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo.database import Database

from backend.core.http.pagination import encode_cursor
from tests.appointments.support import DAY, HOUR, MINUTE, MS, NOW, TEN, Book, booked, done, refused
from tests.factories import Person

Db = Database[dict[str, Any]]


def add_slot(book: Book, start: str, minutes: int = 30) -> httpx.Response:
    """Asks for a slot in the doctor's book."""
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": start, "minutes": minutes}
    return book.doctor.client.post("/slots", json=body)


@pytest.mark.parametrize(
    "start",
    [
        "2037-06-01T14:00:01Z",
        "2037-06-01T14:00:00.001Z",
        "2037-06-01T14:00:00.000001Z",
        "2037-06-01T13:59:59.999999Z",
        "2037-06-01T14:01:00Z",
        "2037-06-01T14:04:59Z",
        "2037-06-02T12:00:00+23:59",
        "2037-06-01T10:00:00-04:01",
    ],
)
def test_a_start_off_the_grid_is_refused(book: Book, start: str, db: Db) -> None:
    refused(add_slot(book, start), 422, "START_NOT_ALIGNED")
    assert db["slots"].count_documents({"is_active": True}, hint="_id_") == 0


@pytest.mark.parametrize(
    ("start", "same"),
    [
        ("2037-06-01T10:00:00-04:00", "2037-06-01T14:00:00Z"),
        ("2037-06-01T14:00:00+00:00", "2037-06-01T14:00:00Z"),
        ("2037-06-02T13:59:00+23:59", "2037-06-01T14:00:00Z"),
        ("2037-05-31T14:01:00-23:59", "2037-06-01T14:00:00Z"),
        ("2037-06-01T19:45:00+05:45", "2037-06-01T14:00:00Z"),
        ("2037-06-01t14:00:00.000z", "2037-06-01T14:00:00Z"),
    ],
)
def test_an_offset_is_only_another_way_to_say_the_moment(book: Book, start: str, same: str) -> None:
    assert done(add_slot(book, start), 201)["start"] == same


@pytest.mark.parametrize(
    ("start", "minutes"),
    [
        ("2037-06-01T23:45:00Z", 30),  # 19:45 to 20:15; the clinic closes at 20:00
        ("2037-06-01T23:55:00Z", 10),
        ("2037-06-02T00:00:00Z", 30),  # begins when it closes
        ("2037-06-01T11:55:00Z", 30),  # begins five minutes before it opens
        ("2037-06-01T18:00:00Z", 480),
        ("2037-06-02T07:00:00Z", 30),
    ],
)
def test_a_slot_outside_opening_hours_is_refused(book: Book, start: str, minutes: int) -> None:
    refused(add_slot(book, start, minutes), 422, "OUTSIDE_OPENING_HOURS")


def test_the_first_and_the_last_slot_of_the_day_are_not(book: Book) -> None:
    done(add_slot(book, "2037-06-01T12:00:00Z", 5), 201)
    done(add_slot(book, "2037-06-01T23:55:00Z", 5), 201)
    done(add_slot(book, "2037-06-02T16:00:00Z", 480), 201)


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("2037-06-01T10:00:00Z", "IN_THE_PAST"),  # now
        ("2037-06-01T09:55:00Z", "IN_THE_PAST"),
        ("1900-01-01T00:00:00Z", "IN_THE_PAST"),
        ("2037-08-01T14:00:00Z", "BEYOND_HORIZON"),
        ("2199-12-31T23:55:00Z", "BEYOND_HORIZON"),
    ],
)
def test_a_slot_lies_between_now_and_the_horizon(book: Book, start: str, code: str) -> None:
    refused(add_slot(book, start), 422, code)


BAD_MOMENTS = [
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2037-06-01T14:00:00Z"),
    *(
        "1899-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2199-12-31T23:59:59-00:01",
        "1900-01-01T00:00:00+00:01",
    ),
    *("2037-06-01T14:00:00+24:00", "2037-06-01T14:00:00-24:00", "2037-06-01T14:00:00+99:99"),
    *(
        "2037-06-01T14:00:00",
        "2037-06-01",
        "2037-06-01T25:00:00Z",
        "2037-02-29T14:00:00Z",
        "2037-06-31T14:00:00Z",
    ),
    *("1780322400", "2127477600", "1e10", "Infinity", "NaN", "now", "", " ", "2037-W23-1T14:00:00Z"),
]


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_a_moment_that_makes_no_sense_is_refused_everywhere(
    book: Book, admin: Person, moment: str, db: Db
) -> None:
    refused(add_slot(book, moment), 422, "VALIDATION_ERROR")
    good = "2037-06-01T14:00:00Z"
    for body in ({"start": moment, "end": good}, {"start": good, "end": moment}):
        for path in (f"/doctors/{book.doctor.id}/leaves", f"/clinics/{book.clinic.id}/closures"):
            refused(admin.client.post(path, json=body), 422, "VALIDATION_ERROR")
    for name in ("from", "to"):
        for path in ("/appointments", "/slots", f"/doctors/{book.doctor.id}/slots"):
            refused(admin.client.get(path, params={name: moment}), 422, "VALIDATION_ERROR")
    assert db["leaves"].find_one() is None


@pytest.mark.parametrize("moment", [1780322400, 1780322400000, 0, 1.5, True, None, {}, []])
def test_a_moment_is_text(book: Book, moment: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": moment}
    refused(book.doctor.client.post("/slots", json=body), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "moment", ["1900-01-01T00:00:00Z", "2199-12-31T23:59:59Z", "2037-06-01T14:00:00+23:59"]
)
def test_lists_can_be_asked_for_any_sane_moment(admin: Person, moment: str) -> None:
    for name in ("from", "to"):
        for path in ("/appointments", "/slots"):
            assert done(admin.client.get(path, params={name: moment}))["items"] == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (TEN, TEN),
        (TEN, TEN - MS),
        (TEN, TEN + 400 * DAY),
        (NOW - DAY, NOW - HOUR),
    ],
)
def test_a_leave_that_makes_no_sense_is_refused(book: Book, start: Any, end: Any, db: Db) -> None:
    body = {"start": start.isoformat(), "end": end.isoformat()}
    answer = book.doctor.client.post(f"/doctors/{book.doctor.id}/leaves", json=body)
    refused(answer, 422, "IN_THE_PAST" if end < NOW else "VALIDATION_ERROR")
    assert db["leaves"].find_one() is None


def packed(value: Any) -> str:
    """A cursor that holds anything."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


AN_ID = {"$oid": "6b01a5e15cfa6f855f45c9b2"}
MONDAY = {"$date": "2037-06-01T14:00:00Z"}
BAD_CURSORS: dict[str, str] = {
    "text": "garbage",
    "one letter": "x",
    "not base64": "!!!!",
    "empty json": packed(""),
    "no list": packed({"start": MONDAY}),
    "empty list": packed([]),
    "one value": packed([MONDAY]),
    "three values": packed([MONDAY, AN_ID, AN_ID]),
    "in the wrong order": packed([AN_ID, MONDAY]),
    "a name": packed(["Ada", AN_ID]),
    "a filter for an id": packed([MONDAY, {"$gt": ""}]),
    "text for an id": packed([MONDAY, AN_ID["$oid"]]),
    "a bad id": packed([MONDAY, {"$oid": "x"}]),
    "an id of a number": packed([MONDAY, {"$oid": 5}]),
    "an id of a list": packed([MONDAY, {"$oid": []}]),
    "a number for a moment": packed([5, AN_ID]),
    "a moment beyond time": packed([{"$date": {"$numberLong": "9223372036854775807"}}, AN_ID]),
    "a moment before time": packed([{"$date": {"$numberLong": "-9223372036854775808"}}, AN_ID]),
    "a moment beyond 64 bits": packed([{"$date": {"$numberLong": "99999999999999999999"}}, AN_ID]),
    "a moment of a list": packed([{"$date": []}, AN_ID]),
    "a moment of nothing": packed([{"$date": None}, AN_ID]),
    "an empty moment": packed([{"$date": ""}, AN_ID]),
    "a moment of a word": packed([{"$date": "tomorrow"}, AN_ID]),
    "NaN": packed("[NaN, Infinity]"),
    "a moment that is NaN": packed('[{"$date": NaN}, {"$oid": "6b01a5e15cfa6f855f45c9b2"}]'),
    "no decimal": packed([{"$numberDecimal": "x"}, AN_ID]),
    "a signalling decimal": packed([{"$numberDecimal": "sNaN"}, AN_ID]),
    "no binary": packed([{"$binary": {"base64": 5, "subType": 5}}, AN_ID]),
    "a binary of nothing": packed([{"$binary": None, "$type": "00"}, AN_ID]),
    "no uuid": packed([{"$uuid": 5}, AN_ID]),
    "no uuid either": packed([{"$uuid": "x"}, AN_ID]),
    "a pattern": packed([{"$regularExpression": {"pattern": "(" * 50, "options": "zz"}}, AN_ID]),
    "no pattern": packed([{"$regularExpression": {"pattern": 5, "options": 5}}, AN_ID]),
    "a reference": packed([{"$ref": 5, "$id": []}, AN_ID]),
    "a pointer": packed([{"$dbPointer": {}}, AN_ID]),
    "code": packed([{"$code": 5, "$scope": 5}, AN_ID]),
    "a timestamp": packed([{"$timestamp": {"t": -1, "i": "x"}}, AN_ID]),
    "no timestamp": packed([{"$timestamp": 5}, AN_ID]),
    "an undefined": packed([{"$undefined": True}, {"$minKey": 1}]),
    "a whole number too large": packed([{"$numberLong": "9" * 60}, AN_ID]),
    "no int": packed([{"$numberInt": "x"}, AN_ID]),
    "no double": packed([{"$numberDouble": []}, AN_ID]),
    "half a surrogate pair": packed('["\\ud800", "\\udfff"]'),
    "deep": packed("[" * 180 + "]" * 180),
    "bytes": base64.urlsafe_b64encode(b"\xff\xfe\x00").decode(),
    "huge": packed("x" * 2000),
    "NUL": packed("[\x00]"),
    "empty": "",
}


@pytest.mark.parametrize(
    "path",
    [
        "/appointments",
        "/patients/{patient}/appointments",
        "/slots",
        "/doctors/{doctor}/slots",
        "/doctors/{doctor}/leaves",
    ],
)
def test_a_cursor_that_no_list_has_made_is_refused(
    book: Book, admin: Person, patient: Person, path: str
) -> None:
    url = path.format(patient=patient.id, doctor=book.doctor.id)
    for name, cursor in BAD_CURSORS.items():
        answer = admin.client.get(url, params={"cursor": cursor})
        code = "VALIDATION_ERROR" if len(cursor) > 512 else "BAD_CURSOR"
        assert (answer.status_code, answer.json()["error_code"]) == (422, code), f"{name}: {answer.text}"


def test_another_lists_cursor_is_refused(book: Book, admin: Person, patient: Person) -> None:
    by_name = encode_cursor("Ada", ObjectId(AN_ID["$oid"]))
    for path in ("/appointments", "/slots"):
        refused(admin.client.get(path, params={"cursor": by_name}), 422, "BAD_CURSOR")
    for slot in book.slots(2):
        booked(patient, slot)
    by_start = done(admin.client.get("/appointments", params={"limit": 1}))["next_cursor"]
    refused(admin.client.get("/users", params={"cursor": by_start}), 422, "BAD_CURSOR")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", bad) for bad in ("0", "-1", "101", "1.5", "x", "", "9" * 30, "NaN", "1e2", "٣")),
        *(("status", bad) for bad in ("asleep", "", "SCHEDULED", "scheduled,confirmed", "\x00")),
        *(("descending", bad) for bad in ("perhaps", "2", "")),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(admin: Person, name: str, value: str) -> None:
    refused(admin.client.get("/appointments", params={name: value}), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("raw", ["%ED%A0%80", "%00", "%FF", "a%0Ab", "", "%20", "x" * 121])
def test_odd_search_texts_find_nothing_or_are_refused(api: httpx.Client, raw: str) -> None:
    for name in ("specialty", "city"):
        answer = api.get(f"/slots?{name}={raw}")
        if raw in ("%ED%A0%80", "%FF"):  # not UTF-8: read as unknown characters
            assert done(answer)["items"] == []
        else:
            refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("minutes", [0, -5, 4, 7, 485, 2**31, 2**63, 2**64, 10**30, 30.5, "x", None])
def test_a_slot_lasts_whole_ticks_up_to_eight_hours(book: Book, minutes: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": "2037-06-01T14:00:00Z"}
    answer = book.doctor.client.post("/slots", json={**body, "minutes": minutes})
    if minutes is None:
        assert done(answer, 201)["end"] == (TEN + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    else:
        refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("capacity", [0, -1, 101, 2**63, 2**64, 1.5, "many", None])
def test_a_slot_holds_one_to_a_hundred_patients(book: Book, capacity: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": "2037-06-01T14:00:00Z"}
    refused(book.doctor.client.post("/slots", json={**body, "capacity": capacity}), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("version", [0, -1, 2**31 + 1, 2**63, 2**64, 10**400, 1.5, "one", [1]])
def test_a_version_is_a_sane_number(book: Book, patient: Person, version: Any) -> None:
    appointment = booked(patient, book.slot())
    for transition in ("confirm", "cancel"):
        answer = patient.client.post(
            f"/appointments/{appointment['id']}/{transition}", json={"version": version}
        )
        refused(answer, 422, "VALIDATION_ERROR")


def test_two_slots_of_one_doctor_never_overlap(book: Book) -> None:
    book.slot(TEN, minutes=30)
    for start, minutes in ((TEN, 30), (TEN + 25 * MINUTE, 5), (TEN - 55 * MINUTE, 60), (TEN - HOUR, 120)):
        refused(add_slot(book, start.isoformat(), minutes), 409, "SLOT_OVERLAPS")
    done(add_slot(book, (TEN + 30 * MINUTE).isoformat(), 5), 201)
    done(add_slot(book, (TEN - 5 * MINUTE).isoformat(), 5), 201)
