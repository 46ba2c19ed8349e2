"""An account books, reschedules, confirms and cancels for each patient it acts for, and for nobody else."""

from typing import Any

import pytest

from backend.accounts.documents import Role
from tests import factories
from tests.appointments.support import (
    HOUR,
    TEN,
    Book,
    booked,
    done,
    history_of,
    make_transition,
    refused,
    stored,
    try_booking,
)
from tests.factories import Person, Run


@pytest.fixture
def child(patient: Person) -> str:
    """A child of the patient; its id."""
    body = {"name": "Byron Lovelace", "date_of_birth": "2030-05-12", "relation": "parent"}
    return str(done(patient.client.post("/users/me/patients", json=body), 201)["id"])


def test_a_mother_does_all_that_a_patient_may(
    book: Book, patient: Person, child: str, run: Run[Any], db: Any
) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first, patient_id=child)
    assert (appointment["patient_id"], appointment["patient_name"]) == (child, "Byron Lovelace")
    assert appointment["created_by"] == patient.account_id

    moved = done(make_transition(run, patient, appointment, "reschedule", slot_id=str(second.id)))
    confirmed = done(make_transition(run, patient, moved, "confirm", at=TEN - HOUR))
    cancelled = done(make_transition(run, patient, confirmed, "cancel", at=TEN - HOUR))

    assert [step for step, _, role in history_of(cancelled) if role == "patient"] == [
        *("book", "reschedule", "confirm", "cancel")
    ]
    assert {line["by"] for line in cancelled["history"]} == {patient.account_id}
    assert {line["by_name"] for line in cancelled["history"]} == {patient.user.name}
    assert str(stored(db, cancelled)["patient_id"]) == child


def test_two_children_may_be_at_two_doctors_at_the_same_time(book: Book, patient: Person, child: str) -> None:
    slot = book.slot(capacity=3)
    booked(patient, slot)
    booked(patient, slot, patient_id=child)
    refused(try_booking(patient, slot, patient_id=child), 409, "PATIENT_DOUBLE_BOOKED")


def test_the_own_list_holds_those_of_all_patients(book: Book, patient: Person, child: str, run: Run[Any]) -> None:
    first, second, third = book.slots(3)
    ids = [booked(patient, first)["id"], booked(patient, second, patient_id=child)["id"]]
    booked(factories.make_user(run, Role.PATIENT), third)

    def listed(path: str = "/appointments", **params: str) -> list[str]:
        return [row["id"] for row in done(patient.client.get(path, params=params))["items"]]

    assert listed() == ids
    assert listed(patient_id=child) == listed(f"/patients/{child}/appointments") == ids[1:]
    assert listed(patient_id=patient.id) == ids[:1]


def test_what_a_withdrawn_link_showed_is_gone_at_once(book: Book, patient: Person, child: str, nurse: Person) -> None:
    appointment = booked(patient, book.slot(), patient_id=child)
    assert len(done(patient.client.get("/appointments"))["items"]) == 1

    (link,) = nurse.client.get(f"/patients/{child}/links").json()
    assert nurse.client.delete(f"/patients/{child}/links/{link['id']}").status_code == 204

    assert done(patient.client.get("/appointments"))["items"] == []
    refused(patient.client.get(f"/appointments/{appointment['id']}"), 404, "APPOINTMENT_NOT_FOUND")
    refused(patient.client.post(f"/appointments/{appointment['id']}/cancel"), 404, "APPOINTMENT_NOT_FOUND")


def test_another_accounts_child_is_nobody(book: Book, child: str, patient: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot(), patient_id=child)
    stranger = factories.make_user(run, Role.PATIENT)
    refused(try_booking(stranger, book.slot(TEN + HOUR), patient_id=child), 404, "PATIENT_NOT_FOUND")
    assert done(stranger.client.get("/appointments", params={"patient_id": child}))["items"] == []
    for transition in ("confirm", "cancel"):
        answer = stranger.client.post(f"/appointments/{appointment['id']}/{transition}")
        refused(answer, 404, "APPOINTMENT_NOT_FOUND")
