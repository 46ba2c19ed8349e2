"""Bodies that no client should send: each is refused with a code and the field's name, and nothing is changed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.appointments.support import NOBODY, TEN, Book, booked, refused
from tests.factories import Person

Db = Database[dict[str, Any]]

START, END = "2037-06-01T16:00:00Z", "2037-06-01T17:00:00Z"

# Every route of appointments, slots and hours that takes a body, with one that its schema accepts.
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "book": ("POST", "/appointments", {"slot_id": "slot", "patient_id": "patient", "reason": "Pain"}),
    "change": ("PATCH", "/appointments/{appointment}", {"reason": "Pain", "notes": "None", "version": 1}),
    "confirm": ("POST", "/appointments/{appointment}/confirm", {"version": 1}),
    "cancel": ("POST", "/appointments/{appointment}/cancel", {"reason": "Away", "version": 1}),
    "reschedule": ("POST", "/appointments/{appointment}/reschedule", {"slot_id": "slot", "version": 1}),
    "check in": ("POST", "/appointments/{appointment}/check-in", {"version": 1}),
    "complete": ("POST", "/appointments/{appointment}/complete", {"version": 1}),
    "no-show": ("POST", "/appointments/{appointment}/no-show", {"version": 1}),
    "correct": ("POST", "/appointments/{appointment}/correct-no-show", {"status": "completed", "version": 1}),
    "add a slot": (
        "POST",
        "/slots",
        {"doctor_id": "doctor", "clinic_id": "clinic", "start": START, "minutes": 30, "capacity": 1},
    ),
    "generate slots": (
        "POST",
        "/slots/generate",
        {
            **{"doctor_id": "doctor", "clinic_id": "clinic", "first_day": "2037-06-01"},
            **{"last_day": "2037-06-02", "weekdays": ["monday"], "start": "09:00", "end": "10:00"},
            **{"minutes": 30, "capacity": 1},
        },
    ),
    "set hours": (
        "PUT",
        "/doctors/{doctor}/working-hours",
        {
            "hours": [
                {
                    **{"clinic_id": "clinic", "weekday": "monday", "start": "09:00", "end": "10:00"},
                    **{"slot_minutes": 30, "capacity": 1},
                }
            ]
        },
    ),
    "take leave": ("POST", "/doctors/{doctor}/leaves", {"start": START, "end": END, "reason": "Away"}),
    "close the clinic": (
        "POST",
        "/clinics/{clinic}/closures",
        {"start": START, "end": END, "reason": "Fire"},
    ),
}

NEVER_RIGHT: dict[str, Any] = {
    "NUL": "a\x00b",
    "a lone surrogate": "a\ud800b",
    "a list": ["a"],
    "a list of lists": [[[]]],
    "an object": {"$gt": ""},
    "beyond 64 bits": 2**64,
    "far beyond": -(10**400),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "a fraction": 0.5,
    "the empty list in a list": [[]],
}


class Requests:
    """Sends the bodies of BODIES, changed, as an administrator about things that exist."""

    def __init__(self, book: Book, patient: Person, admin: Person) -> None:
        self._admin = admin
        booked_slot, free_slot = book.slots(2)
        self.ids = {
            "appointment": booked(patient, booked_slot)["id"],
            "patient": patient.id,
            "slot": str(free_slot.id),
            "doctor": book.doctor.id,
            "clinic": str(book.clinic.id),
        }

    def body(self, name: str) -> dict[str, Any]:
        """The valid body, with the ids of what exists."""
        text = json.dumps(BODIES[name][2])
        for placeholder, an_id in self.ids.items():
            text = text.replace(f'"{placeholder}"', f'"{an_id}"')
        found: dict[str, Any] = json.loads(text)
        return found

    def send(self, name: str, body: Any) -> httpx.Response:
        """Sends whatever it is, as JSON where it can be."""
        method, path, _ = BODIES[name]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._admin.client.request(
            method, path.format(**self.ids), content=content, headers={"Content-Type": "application/json"}
        )


@pytest.fixture
def requests(book: Book, patient: Person, admin: Person) -> Requests:
    """A booked appointment and a free slot to be abused."""
    return Requests(book, patient, admin)


def contents(db: Db) -> dict[str, list[Any]]:
    """Everything that is stored."""
    return {name: list(db[name].find()) for name in db.list_collection_names()}


def leaves(body: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of a body's values."""
    if isinstance(body, dict | list):
        items = body.items() if isinstance(body, dict) else enumerate(body)
        for key, value in items:
            yield from leaves(value, (*path, key))
    if path:
        yield path


def changed(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The body with another value in one place."""
    copy = json.loads(json.dumps(body))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", BODIES)
def test_a_wrong_value_anywhere_is_refused_and_named(name: str, requests: Requests, db: Db) -> None:
    body = requests.body(name)
    before = contents(db)
    for path in leaves(body):
        for kind, value in NEVER_RIGHT.items():
            answer = requests.send(name, changed(body, path, value))
            error = refused(answer, 422, "VALIDATION_ERROR")
            places = [fault["loc"] for fault in error["errors"]]
            assert any(place[: len(path) + 1] == ["body", *path] for place in places), (path, kind, places)
            assert '"input"' not in answer.text
    assert contents(db) == before


@pytest.mark.parametrize("name", BODIES)
def test_an_unknown_field_is_refused_and_named(name: str, requests: Requests, db: Db) -> None:
    before = contents(db)
    for field in ("reasons", "$set", "_id", "a\x00b", "\ud800", "__proto__", "", "x" * 1000):
        error = refused(requests.send(name, {**requests.body(name), field: 1}), 422, "VALIDATION_ERROR")
        assert {fault["type"] for fault in error["errors"]} <= {"extra_forbidden", "string_unicode"}
    assert contents(db) == before


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_json_object_is_refused(name: str, requests: Requests, db: Db) -> None:
    before = contents(db)
    deep = b'{"reason":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    for body in (b"[]", b'"text"', b"1", b"NaN", b"{", b"\xff\xfe", b'{"reason": "\xed\xa0\x80"}', deep):
        answer = requests.send(name, body)
        assert answer.status_code in (400, 422), answer.text
        refused(
            answer, answer.status_code, "VALIDATION_ERROR" if answer.status_code == 422 else "BAD_REQUEST"
        )
    assert contents(db) == before


@pytest.mark.parametrize("body", [b"", b"null", b"{}"])
def test_an_empty_body_is_refused_where_something_must_be_said(
    body: bytes, requests: Requests, db: Db
) -> None:
    before = contents(db)
    for name in ("book", "reschedule", "correct", "add a slot", "generate slots", "set hours", "take leave"):
        refused(requests.send(name, body), 422, "VALIDATION_ERROR")
    assert contents(db) == before


@pytest.mark.parametrize("name", BODIES)
def test_a_form_is_not_read_as_json(name: str, requests: Requests, admin: Person, db: Db) -> None:
    method, path, _ = BODIES[name]
    before = contents(db)
    answer = admin.client.request(
        method,
        path.format(**requests.ids),
        content=b"reason=x&version=1",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code in (400, 415, 422), answer.text
    refused(answer, answer.status_code, answer.json()["error_code"])
    assert contents(db) == before


def test_a_text_may_be_two_thousand_characters_and_no_more(
    requests: Requests, book: Book, patient: Person
) -> None:
    slot = book.slot(TEN.replace(hour=18))
    body = {"slot_id": str(slot.id), "reason": "é" * 2001}
    refused(patient.client.post("/appointments", json=body), 422, "VALIDATION_ERROR")
    assert booked(patient, slot, reason="é" * 2000)["reason"] == "é" * 2000
    for name in ("change", "cancel", "take leave"):
        answer = requests.send(name, {**requests.body(name), "reason": "x" * 2001})
        refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "bad", ["1", "x" * 24, NOBODY[:-1], NOBODY + "0", "６" * 24, f" {NOBODY}", "null", "%00"]
)
def test_an_id_that_is_none_is_refused_everywhere(bad: str, requests: Requests, admin: Person) -> None:
    for path in (
        f"/appointments/{bad}",
        f"/appointments/{bad}/calendar.ics",
        f"/patients/{bad}/appointments",
        f"/slots/{bad}",
        f"/doctors/{bad}/stats",
        f"/doctors/{bad}/slots",
        f"/doctors/{bad}/working-hours",
        f"/appointments?doctor_id={bad}",
        f"/appointments?patient_id={bad}",
        f"/appointments?clinic_id={bad}",
        f"/slots?clinic_id={bad}",
    ):
        refused(admin.client.get(path), 422, "VALIDATION_ERROR")
    for name in ("confirm", "cancel", "reschedule", "check in", "complete", "no-show", "correct"):
        path = BODIES[name][1].format(appointment=bad)
        refused(admin.client.post(path, json=requests.body(name)), 422, "VALIDATION_ERROR")
