"""A repeated request: the same Idempotency-Key gets the appointment that the first one made."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.patients.records import deactivate_patient
from backend.scheduling.slots.manual_slots import remove_slot
from tests import factories
from tests.appointments.support import (
    DAY,
    TEN,
    Book,
    at_once,
    done,
    history_of,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    try_booking,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
KEY = "3f6f7c1e-once"


def replayed(answer: httpx.Response, first: dict[str, Any]) -> dict[str, Any]:
    """The body of an answer to a repeated request."""
    assert answer.headers.get("Idempotent-Replayed") == "true", answer.text
    body = done(answer, 201)
    assert body["id"] == first["id"]
    assert answer.headers["Location"] == f"/api/v1/appointments/{first['id']}"
    return body


def test_a_repeated_request_gets_the_same_appointment(book: Book, patient: Person, db: Db) -> None:
    slot = book.slot()
    answer = try_booking(patient, slot, key=KEY, reason="Pain")
    assert "Idempotent-Replayed" not in answer.headers
    first = done(answer, 201)
    for _ in range(3):
        assert replayed(try_booking(patient, slot, key=KEY, reason="Pain"), first) == first
    assert db["appointments"].count_documents({"patient_id": patient.object_id}) == 1
    assert pending_messages(db, first) == [("booked", "patient", 0)]


def test_naming_oneself_is_the_same_request(book: Book, patient: Person) -> None:
    slot = book.slot()
    first = done(try_booking(patient, slot, key=KEY), 201)
    replayed(try_booking(patient, slot, key=KEY, patient_id=patient.id, reason=None), first)


@pytest.mark.parametrize("capacity", [1, 3])
def test_repeats_at_once_make_one_appointment(book: Book, patient: Person, db: Db, capacity: int) -> None:
    slot = book.slot(capacity=capacity)
    answers = at_once(*[lambda: try_booking(patient, slot, key=KEY)] * 8)
    assert [answer.status_code for answer in answers] == [201] * 8
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 7
    assert db["appointments"].count_documents({"patient_id": patient.object_id}) == 1


def test_a_repeat_gets_what_has_become_of_the_appointment(
    book: Book, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    slot, other = book.slots(2)
    first = done(try_booking(patient, slot, key=KEY), 201)
    done(make_transition(run, patient, first, "reschedule", slot_id=str(other.id)))
    body = replayed(try_booking(patient, slot, key=KEY), first)
    assert (body["slot_id"], body["version"]) == (str(other.id), 2)
    done(make_transition(run, nurse, first, "cancel", reason="The doctor is ill"))
    body = replayed(try_booking(patient, slot, key=KEY), first)
    assert (body["status"], body["cancel_reason"]) == ("cancelled", "The doctor is ill")
    assert history_of(body)[-1] == ("cancel", "cancelled", "nurse")


def test_a_repeat_does_not_book_again_what_was_cancelled(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot()
    one, two = make_patients(run, 2)
    first = done(try_booking(one, slot, key=KEY), 201)
    done(make_transition(run, one, first, "cancel"))
    assert replayed(try_booking(one, slot, key=KEY), first)["status"] == "cancelled"
    done(try_booking(two, slot, key=KEY), 201)
    assert db["appointments"].count_documents({"seats.slot": slot.id, "active": True}) == 1


def test_a_repeat_works_when_the_slot_is_past_or_gone(book: Book, patient: Person, run: Run[Any]) -> None:
    past, gone = book.slots(2)
    first = done(try_booking(patient, past, key="past"), 201)
    second = done(try_booking(patient, gone, key="gone"), 201)
    run(remove_slot(gone))
    replayed(try_booking(patient, gone, key="gone"), second)
    with visiting(run, patient, TEN + 30 * DAY) as client:
        body = {"slot_id": str(past.id)}
        replayed(client.post("/appointments", json=body, headers={"Idempotency-Key": "past"}), first)


def test_a_repeat_by_staff_works_after_the_patient_has_left(
    book: Book, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    slot = book.slot()
    first = done(try_booking(nurse, slot, key=KEY, patient_id=patient.id), 201)
    run(deactivate_patient(patient.object_id))
    replayed(try_booking(nurse, slot, key=KEY, patient_id=patient.id), first)


def test_a_key_is_not_used_for_another_request(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    slot, other = book.slots(2)
    (somebody,) = make_patients(run, 1)
    done(try_booking(patient, slot, key=KEY, reason="Pain"), 201)
    for body in ({}, {"reason": "Other pain"}, {"reason": "Pain", "slot_id": str(other.id)}):
        refused(try_booking(patient, slot, key=KEY, **body), 422, "IDEMPOTENCY_KEY_REUSED")
    done(try_booking(nurse, other, key=KEY, patient_id=patient.id), 201)
    answer = try_booking(nurse, other, key=KEY, patient_id=somebody.id)
    refused(answer, 422, "IDEMPOTENCY_KEY_REUSED")
    assert db["appointments"].count_documents({"active": True, "seats.slot": {"$in": [slot.id, other.id]}}) == 2


def test_a_used_key_is_refused_for_any_other_request(book: Book, patient: Person, run: Run[Any]) -> None:
    slot, other = book.slots(2)
    first = done(try_booking(patient, slot, key=KEY), 201)
    done(make_transition(run, patient, first, "cancel"))
    refused(try_booking(patient, other, key=KEY), 422, "IDEMPOTENCY_KEY_REUSED")
    done(try_booking(patient, other, key="another"), 201)


def test_keys_belong_to_who_uses_them(book: Book, nurse: Person, run: Run[Any]) -> None:
    slots = book.slots(3)
    one, two = make_patients(run, 2)
    ids = {
        done(try_booking(one, slots[0], key=KEY), 201)["id"],
        done(try_booking(two, slots[1], key=KEY), 201)["id"],
        done(try_booking(nurse, slots[2], key=KEY, patient_id=one.id), 201)["id"],
    }
    assert len(ids) == 3
    other = factories.make_user(run, Role.PATIENT)
    refused(try_booking(other, slots[0], key=KEY), 409, "SLOT_TAKEN")


def test_a_refused_request_uses_no_key_up(book: Book, run: Run[Any]) -> None:
    slot = book.slot()
    one, two = make_patients(run, 2)
    first = done(try_booking(one, slot, key=KEY), 201)
    refused(try_booking(two, slot, key=KEY), 409, "SLOT_TAKEN")
    done(make_transition(run, one, first, "cancel"))
    answer = try_booking(two, slot, key=KEY)
    assert "Idempotent-Replayed" not in answer.headers
    done(answer, 201)


def test_requests_without_a_key_are_each_their_own(book: Book, patient: Person, run: Run[Any]) -> None:
    slot = book.slot()
    first = done(try_booking(patient, slot), 201)
    refused(try_booking(patient, slot), 409, "SLOT_TAKEN")
    done(make_transition(run, patient, first, "cancel"))
    assert done(try_booking(patient, slot), 201)["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "é".encode(), b"\xff", "tab\there"])
def test_a_key_is_up_to_200_visible_ascii_characters(book: Book, patient: Person, key: str | bytes) -> None:
    body = {"slot_id": str(book.slot().id)}
    answer = patient.client.post("/appointments", json=body, headers={"Idempotency-Key": key})
    refused(answer, 422, "VALIDATION_ERROR")
    done(patient.client.post("/appointments", json=body, headers={"Idempotency-Key": "x" * 200}), 201)
