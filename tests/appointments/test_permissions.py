"""Who may touch whose appointment: what is out of sight is not found, and what a role may not do is refused."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import NOBODY, TEN, Book, booked, done, make_transition, refused, stored
from tests.factories import Person, Run

Db = Database[dict[str, Any]]

TRANSITIONS = ["confirm", "cancel", "reschedule", "check-in", "complete", "no-show", "correct-no-show"]
OF_THE_STAFF = {"check-in", "complete", "no-show", "correct-no-show"}


@pytest.fixture
def appointment(book: Book, patient: Person) -> dict[str, Any]:
    """The patient's, at ten o'clock."""
    return booked(patient, book.slot(), reason="Private")


def body_of(transition: str) -> dict[str, Any]:
    """A body that the transition's schema accepts."""
    return {"reschedule": {"slot_id": NOBODY}, "correct-no-show": {"status": "completed"}}.get(transition, {})


@pytest.fixture
def strangers(run: Run[Any], clinic: Clinic) -> dict[str, Person]:
    """People who have nothing to do with the appointment."""
    elsewhere = factories.make_clinic(run)
    return {
        "another patient": factories.make_user(run, Role.PATIENT),
        "a colleague of the doctor's": factories.make_doctor(run, clinic),
        "a doctor from elsewhere": factories.make_doctor(run, elsewhere),
        "a nurse of another clinic": factories.make_nurse(run, elsewhere),
        "a nurse of no clinic": factories.make_user(run, Role.NURSE),
    }


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_strangers_cannot_make_transitions(
    appointment: dict[str, Any], strangers: dict[str, Person], run: Run[Any], db: Db, transition: str
) -> None:
    before = stored(db, appointment)
    for name, stranger in strangers.items():
        answer = make_transition(run, stranger, appointment, transition, at=TEN, **body_of(transition))
        if name == "another patient" and transition in OF_THE_STAFF:
            refused(answer, 403, "NOT_ALLOWED")
        else:
            refused(answer, 404, "APPOINTMENT_NOT_FOUND")
    assert stored(db, appointment) == before


def test_strangers_cannot_read_or_change_an_appointment(
    appointment: dict[str, Any], strangers: dict[str, Person], db: Db
) -> None:
    before = stored(db, appointment)
    address = f"/appointments/{appointment['id']}"
    for stranger in strangers.values():
        refused(stranger.client.get(address), 404, "APPOINTMENT_NOT_FOUND")
        refused(stranger.client.get(f"{address}/calendar.ics"), 404, "APPOINTMENT_NOT_FOUND")
        answer = stranger.client.patch(address, json={"reason": "Mine"})
        refused(answer, 404, "APPOINTMENT_NOT_FOUND")
    assert stored(db, appointment) == before


def test_what_is_not_visible_looks_like_what_does_not_exist(
    appointment: dict[str, Any], strangers: dict[str, Person]
) -> None:
    for stranger in strangers.values():
        for transition in ("confirm", "cancel", "reschedule"):
            answers = [
                stranger.client.post(
                    f"/appointments/{an_id}/{transition}", json={**body_of(transition), "version": 9}
                )
                for an_id in (appointment["id"], NOBODY)
            ]
            assert answers[0].json() == answers[1].json()
            assert answers[0].status_code == answers[1].status_code == 404


def test_a_withdrawn_seat_is_no_appointment(
    appointment: dict[str, Any], book: Book, admin: Person, nurse: Person, db: Db
) -> None:
    body = {"start": "2037-06-01T14:00:00Z", "end": "2037-06-01T15:00:00Z"}
    done(book.doctor.client.post(f"/doctors/{book.doctor.id}/leaves", json=body), 201)
    (block,) = db["appointments"].find(
        {"active": True, "seats.slot": stored(db, appointment)["seats"][0]["slot"], "seats.seat": 0}
    )
    assert "patient_id" not in block
    for person in (admin, nurse, book.doctor):
        refused(person.client.get(f"/appointments/{block['_id']}"), 404, "APPOINTMENT_NOT_FOUND")
        answer = person.client.post(f"/appointments/{block['_id']}/cancel")
        refused(answer, 404, "APPOINTMENT_NOT_FOUND")


@pytest.mark.parametrize("transition", sorted(OF_THE_STAFF))
def test_patients_cannot_make_the_staffs_transitions(
    appointment: dict[str, Any], patient: Person, run: Run[Any], transition: str
) -> None:
    refused(
        make_transition(run, patient, appointment, transition, at=TEN, **body_of(transition)),
        403,
        "NOT_ALLOWED",
    )


@pytest.mark.parametrize(
    ("who", "transition", "before"),
    [("doctor", "confirm", []), ("doctor", "reschedule", []), ("nurse", "complete", ["check-in"])],
)
def test_a_role_cannot_make_anothers_transition(
    request: pytest.FixtureRequest,
    appointment: dict[str, Any],
    nurse: Person,
    run: Run[Any],
    who: str,
    transition: str,
    before: list[str],
) -> None:
    for earlier in before:
        done(make_transition(run, nurse, appointment, earlier, at=TEN))
    person = request.getfixturevalue(who)
    answer = make_transition(run, person, appointment, transition, at=TEN, **body_of(transition))
    refused(answer, 403, "TRANSITION_FORBIDDEN")


@pytest.mark.parametrize("transition", TRANSITIONS)
def test_nobody_makes_a_transition_without_logging_in(
    appointment: dict[str, Any], api: httpx.Client, transition: str
) -> None:
    answer = api.post(f"/appointments/{appointment['id']}/{transition}", json=body_of(transition))
    refused(answer, 401, "NOT_AUTHENTICATED")


def test_a_doctor_who_left_a_clinic_keeps_their_appointments(
    appointment: dict[str, Any], book: Book, admin: Person, run: Run[Any]
) -> None:
    elsewhere = factories.make_clinic(run)
    done(admin.client.patch(f"/doctors/{book.doctor.id}", json={"clinic_ids": [str(elsewhere.id)]}))
    done(book.doctor.client.get(f"/appointments/{appointment['id']}"))


def test_a_nurse_who_left_a_clinic_loses_its_appointments(
    appointment: dict[str, Any], nurse: Person, admin: Person, run: Run[Any]
) -> None:
    done(nurse.client.get(f"/appointments/{appointment['id']}"))
    elsewhere = factories.make_clinic(run)
    done(admin.client.patch(f"/users/{nurse.id}", json={"clinic_ids": [str(elsewhere.id)]}))
    refused(nurse.client.get(f"/appointments/{appointment['id']}"), 404, "APPOINTMENT_NOT_FOUND")


def test_only_staff_see_and_change_notes(appointment: dict[str, Any], patient: Person, nurse: Person) -> None:
    address = f"/appointments/{appointment['id']}"
    done(nurse.client.patch(address, json={"notes": "Suspects the worst"}))
    for body in ({"notes": "Mine"}, {"notes": None}, {"reason": "Pain", "notes": "Mine"}):
        refused(patient.client.patch(address, json=body), 403, "NOT_ALLOWED")
    found = patient.client.get(address)
    assert done(found)["notes"] is None
    assert "Suspects" not in found.text
    assert found.json()["reason"] == "Private", "nothing of a refused change is kept"
    for answer in (
        patient.client.patch(address, json={"reason": "Pain"}),
        patient.client.get("/appointments"),
        patient.client.get(f"/patients/{patient.id}/appointments"),
        patient.client.get(f"{address}/calendar.ics"),
        patient.client.post(f"{address}/cancel"),
    ):
        assert answer.status_code == 200
        assert "Suspects" not in answer.text
    assert done(nurse.client.get(address))["notes"] == "Suspects the worst"
