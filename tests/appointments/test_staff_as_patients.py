"""Staff who are patients: with `as_patient` they do what patients may; their staff powers are for other people."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.core import clock
from backend.directory.documents import Clinic
from backend.scheduling.documents import Slot
from tests import factories
from tests.appointments.support import (
    HOUR,
    NOW,
    TEN,
    Book,
    booked,
    done,
    history_of,
    make_transition,
    refused,
    stored,
    try_booking,
    visiting,
)
from tests.appointments.test_allowed_actions import actions
from tests.appointments.visits import starts, visit_type
from tests.directory.support import made
from tests.factories import Person, Run
from tests.scheduling.test_dry_runs import contents

Db = Database[dict[str, Any]]
HAT = {"as_patient": True}


def linked(staff: Person, account: Person, relation: str, name: str) -> str:
    """A new patient for whom the account acts; the patient's id."""
    patient = made(staff.client, "/patients", {"name": name, "date_of_birth": "2030-05-12", "confirm_new": True})
    body = {"user_id": account.account_id, "relation": relation}
    made(staff.client, f"/patients/{patient['id']}/links", body)
    return str(patient["id"])


@pytest.fixture
def me(admin: Person, nurse: Person) -> str:
    """The nurse as a patient."""
    return linked(admin, nurse, "self", "Florence N.")


@pytest.fixture
def child(admin: Person, nurse: Person, me: str) -> str:
    """A child of the nurse."""
    return linked(admin, nurse, "parent", "Byron N.")


@pytest.fixture
def colleague(run: Run[Any], clinic: Clinic) -> Person:
    """Another nurse of the clinic."""
    return factories.make_nurse(run, clinic)


@pytest.fixture
def other_doctor(run: Run[Any], clinic: Clinic) -> Person:
    """A doctor without weekly hours."""
    return factories.make_doctor(run, clinic, weekly_hours=[])


def ids(answer: httpx.Response) -> list[str]:
    return [row["id"] for row in done(answer)["items"]]


def in_hat(
    run: Run[Any], person: Person, row: dict[str, Any], path: str, at: Any = NOW, **body: Any
) -> httpx.Response:
    """A transition by a member of staff as a patient."""
    with visiting(run, person, at) as client:
        return client.post(f"/appointments/{row['id']}/{path}", json=body, params=HAT)


def test_a_nurse_books_and_changes_as_a_patient(
    book: Book, nurse: Person, me: str, child: str, run: Run[Any], db: Db
) -> None:
    first, second, third = book.slots(3)

    own = booked(nurse, first, as_patient=True)
    assert (own["patient_id"], own["created_by"]) == (me, nurse.account_id)
    assert booked(nurse, third, as_patient=True, patient_id=child)["patient_id"] == child

    moved = done(in_hat(run, nurse, own, "reschedule", slot_id=str(second.id)))
    confirmed = done(in_hat(run, nurse, moved, "confirm", at=TEN - HOUR))
    path = f"/appointments/{own['id']}"
    edited = done(nurse.client.patch(path, json={"reason": "Headaches"}, params=HAT))
    assert edited["status"] == confirmed["status"] == "confirmed"
    cancelled = done(in_hat(run, nurse, own, "cancel", at=TEN - HOUR))

    assert {role for _, _, role in history_of(cancelled)} == {"patient"}
    assert [step for step, _, _ in history_of(cancelled)] == ["book", "reschedule", "confirm", "edit", "cancel"]
    kinds = [message["kind"] for message in stored(db, own)["pending_messages"]]
    assert kinds[-1] == "cancelled_by_patient", "the doctor hears of it as of any patient"


def test_the_hat_shows_what_a_patient_sees(
    book: Book, nurse: Person, me: str, child: str, patient: Person, colleague: Person
) -> None:
    first, second, third = book.slots(3)
    mine, theirs = booked(nurse, first, as_patient=True), booked(patient, third)
    childs = booked(colleague, second, patient_id=child)
    done(colleague.client.patch(f"/appointments/{mine['id']}", json={"notes": "Complains a lot"}))
    done(book.doctor.client.delete(f"/slots/{first.id}"))

    for _ in range(2):  # once more, from the cache
        assert ids(nurse.client.get("/appointments", params=HAT)) == [mine["id"], childs["id"]]
        assert ids(nurse.client.get("/appointments")) == [mine["id"], childs["id"], theirs["id"]]
    assert ids(nurse.client.get("/appointments", params={**HAT, "patient_id": child})) == [childs["id"]]
    assert ids(nurse.client.get(f"/patients/{child}/appointments", params=HAT)) == [childs["id"]]
    (row, _) = done(nurse.client.get("/appointments", params=HAT))["items"]
    shown = done(nurse.client.get(f"/appointments/{mine['id']}", params=HAT))
    assert row["needs_decision"] is shown["needs_decision"] is shown["notes"] is None
    refused(nurse.client.get("/appointments", params={**HAT, "needs_decision": True}), 403, "NOT_ALLOWED")
    refused(nurse.client.get(f"/appointments/{theirs['id']}", params=HAT), 404, "APPOINTMENT_NOT_FOUND")
    refused(nurse.client.get(f"/patients/{patient.id}/appointments", params=HAT), 404, "PATIENT_NOT_FOUND")
    notes = nurse.client.patch(f"/appointments/{mine['id']}", json={"notes": "No"}, params=HAT)
    refused(notes, 403, "NOT_ALLOWED")


def test_a_doctor_finds_their_own_visits_in_the_hat_only(book: Book, other_doctor: Person, admin: Person) -> None:
    linked(admin, other_doctor, "self", "Henry J.")
    visit = booked(other_doctor, book.slot(), as_patient=True)
    path = f"/appointments/{visit['id']}"
    for each in (path, f"{path}/calendar.ics"):
        refused(other_doctor.client.get(each), 404, "APPOINTMENT_NOT_FOUND")
        assert other_doctor.client.get(each, params=HAT).status_code == 200
    assert [each["name"] for each in other_doctor.client.get("/users/me/patients").json()] == ["Henry J."]


def test_nobody_uses_staff_powers_for_whom_they_act(
    book: Book, nurse: Person, me: str, child: str, colleague: Person, db: Db
) -> None:
    first, second, free, fourth = book.slots(4)
    visits = [booked(colleague, slot, patient_id=person) for slot, person in ((first, me), (second, child))]
    undecided = booked(colleague, fourth, patient_id=me)
    done(book.doctor.client.delete(f"/slots/{fourth.id}"))

    with visiting(book.run, nurse, TEN) as client:
        before = contents(db)
        for person in (me, child):
            wanted = {"slot_id": str(free.id), "patient_id": person}
            refused(client.post("/appointments", json=wanted), 403, "OWN_APPOINTMENT")
        for visit in visits:
            path = f"/appointments/{visit['id']}"
            asked = {
                **{name: {} for name in ("confirm", "cancel", "check-in", "undo-check-in", "left", "complete")},
                "no-show": {},
                "correct-no-show": {"status": "checked_in"},
                "reschedule": {"slot_id": str(free.id)},
            }
            for name, body in asked.items():
                refused(client.post(f"{path}/{name}", json=body), 403, "OWN_APPOINTMENT")
            refused(client.patch(path, json={"notes": "Be nice"}), 403, "OWN_APPOINTMENT")
            assert done(client.get(path))["allowed_actions"] == []
        refused(client.post(f"/appointments/{undecided['id']}/keep"), 403, "OWN_APPOINTMENT")
        assert contents(db) == before

    with visiting(book.run, colleague, TEN) as client:
        assert done(client.post(f"/appointments/{visits[0]['id']}/check-in"))["status"] == "checked_in"


def test_an_administrator_or_doctor_neither(book: Book, admin: Person, nurse: Person, run: Run[Any]) -> None:
    for person, relation in ((admin, "self"), (book.doctor, "guardian")):
        patient_id = linked(nurse, person, relation, "Somebody")
        visit = booked(nurse, book.slot(TEN if person is admin else TEN + HOUR), patient_id=patient_id)
        refused(make_transition(run, person, visit, "check-in", at=TEN), 403, "OWN_APPOINTMENT")
        done(make_transition(run, nurse, visit, "check-in", at=TEN))
        refused(make_transition(run, person, visit, "complete", at=TEN + HOUR), 403, "OWN_APPOINTMENT")


def test_the_staffs_transitions_know_no_hat(book: Book, nurse: Person, me: str, run: Run[Any]) -> None:
    visit = booked(nurse, book.slot(), as_patient=True)
    for name in ("check-in", "undo-check-in", "left", "complete", "no-show", "keep"):
        refused(in_hat(run, nurse, visit, name, at=TEN), 422, "VALIDATION_ERROR")


def test_allowed_actions_are_those_of_a_patient(book: Book, nurse: Person, me: str) -> None:
    visit = booked(nurse, book.slot(), as_patient=True)
    path = f"/appointments/{visit['id']}"
    assert set(actions(done(nurse.client.get(path, params=HAT)))) == {"confirm", "cancel", "reschedule"}
    assert actions(done(nurse.client.get(path))) == {}


def test_the_rules_for_patients_bind(book: Book, nurse: Person, me: str, run: Run[Any], db: Db) -> None:
    first, second, third, begun = book.slots(4)
    staff_only, late = visit_type(book, 30, bookable_by="staff"), visit_type(book, 30, minimum_notice_minutes=300)
    once = visit_type(book, 30, open_bookings_per_patient=1, cancellation_notice_minutes=120)

    def attempt(slot: Slot, kind: str | None) -> httpx.Response:
        body = {} if kind is None else {"visit_type_id": kind}
        return try_booking(nurse, slot, as_patient=True, **body)

    refused(attempt(first, staff_only), 403, "STAFF_ONLY")
    refused(attempt(first, late), 409, "NOTICE_TOO_SHORT")
    visit = done(attempt(second, once), 201)
    assert visit["history"][0]["exempt_from"] is None
    refused(attempt(third, once), 409, "TOO_MANY_OPEN_BOOKINGS")
    refused(in_hat(run, nurse, visit, "cancel", at=second.start - HOUR), 409, "NOTICE_TOO_SHORT")
    db["slots"].update_one({"_id": third.id}, {"$set": {"is_online": False}})
    refused(attempt(third, None), 409, "SLOT_NOT_OPEN")
    with visiting(run, nurse, begun.start + timedelta(minutes=1)) as client:
        refused(client.post("/appointments", json={"slot_id": str(begun.id), **HAT}), 409, "SLOT_NOT_OPEN")


def test_the_search_in_the_hat_is_the_patients(book: Book, nurse: Person, patient: Person) -> None:
    first, second = book.slots(2)
    kind = visit_type(book, 30, minimum_notice_minutes=240)
    assert starts(nurse.client, kind) == [str(first.id), str(second.id)]
    assert starts(nurse.client, kind, as_patient=True) == starts(patient.client, kind) == [str(second.id)]
    with visiting(book.run, nurse, first.start) as client:
        for path in ("/slots", f"/doctors/{book.doctor.id}/slots"):
            assert ids(client.get(path)) == [str(first.id), str(second.id)]
            assert ids(client.get(path, params=HAT)) == [str(second.id)]
        done(client.get(f"/slots/{first.id}"))
        refused(client.get(f"/slots/{first.id}", params=HAT), 404, "SLOT_NOT_FOUND")


def test_no_doctor_books_with_themselves(
    book: Book, other_doctor: Person, clinic: Clinic, admin: Person, run: Run[Any]
) -> None:
    linked(admin, book.doctor, "self", "Henry J.")
    child = linked(admin, book.doctor, "parent", "Edward J.")
    mine = book.slot()
    theirs = Book(run=run, clinic=clinic, doctor=other_doctor).slot()
    for body in ({}, {"patient_id": child}):
        refused(try_booking(book.doctor, mine, as_patient=True, **body), 403, "OWN_SLOT")
        visit = booked(book.doctor, theirs, as_patient=True, **body)
        refused(in_hat(run, book.doctor, visit, "reschedule", slot_id=str(mine.id)), 403, "OWN_SLOT")
        done(in_hat(run, book.doctor, visit, "cancel"))


def test_a_transfer_leaves_ones_own_to_a_colleague(
    book: Book, other_doctor: Person, clinic: Clinic, nurse: Person, me: str, colleague: Person, run: Run[Any]
) -> None:
    visit = booked(nurse, book.slot(), as_patient=True)
    Book(run=run, clinic=clinic, doctor=other_doctor).slot()
    path, body = f"/doctors/{book.doctor.id}/days/2037-06-01/transfer", {"to_doctor_id": other_doctor.id}
    for dry_run in (True, False):
        report = done(nurse.client.post(path, json=body, params={"dry_run": dry_run}))
        assert [row["reason"] for row in report["not_moved"]] == ["OWN_APPOINTMENT"]
        assert report["moved"] == []
    report = done(colleague.client.post(path, json=body))
    assert [row["appointment_id"] for row in report["moved"]] == [visit["id"]]


def test_nobody_stops_acting_for_a_patient_to_check_them_in(
    book: Book, nurse: Person, me: str, child: str, colleague: Person, db: Db
) -> None:
    before = contents(db)
    for person in (me, child):
        path = f"/patients/{person}"
        (link,) = nurse.client.get(f"{path}/links").json()
        refused(nurse.client.delete(f"{path}/links/{link['id']}"), 403, "OWN_RECORD")
        refused(nurse.client.post(f"{path}/links/{link['id']}/keep"), 403, "OWN_RECORD")
        refused(nurse.client.delete(path), 403, "OWN_RECORD")
    assert contents(db) == before

    (link,) = colleague.client.get(f"/patients/{me}/links").json()
    assert colleague.client.delete(f"/patients/{me}/links/{link['id']}").status_code == 204
    booked(nurse, book.slot(), patient_id=me)


def test_a_link_counts_at_once(book: Book, nurse: Person, admin: Person, patient: Person, run: Run[Any]) -> None:
    visit = booked(patient, book.slot())
    with visiting(run, nurse, TEN) as client:
        done(client.patch(f"/appointments/{visit['id']}", json={"notes": "x"}))
        with clock.stopped(NOW):
            body = {"user_id": nurse.account_id, "relation": "carer"}
            made(admin.client, f"/patients/{patient.id}/links", body)
        refused(client.post(f"/appointments/{visit['id']}/check-in"), 403, "OWN_APPOINTMENT")


@pytest.fixture
def slot(book: Book) -> Slot:
    return book.slot()


def test_a_hat_without_a_patient_books_nobody(
    book: Book, slot: Slot, nurse: Person, admin: Person, patient: Person, db: Db
) -> None:
    before = contents(db)
    refused(try_booking(nurse, slot, as_patient=True), 422, "PATIENT_REQUIRED")
    refused(try_booking(nurse, slot, as_patient=True, patient_id=patient.id), 404, "PATIENT_NOT_FOUND")
    refused(try_booking(nurse, slot, as_patient="perhaps"), 422, "VALIDATION_ERROR")
    refused(nurse.client.get("/appointments", params={"as_patient": "perhaps"}), 422, "VALIDATION_ERROR")
    assert ids(nurse.client.get("/appointments", params=HAT)) == []
    assert contents(db) == before


def test_to_a_patient_the_hat_changes_nothing(book: Book, slot: Slot, patient: Person) -> None:
    visit = booked(patient, slot, as_patient=True)
    assert visit["patient_id"] == patient.id
    for params in ({}, HAT, {"as_patient": False}):
        assert ids(patient.client.get("/appointments", params=params)) == [visit["id"]]


def test_a_repeated_booking_in_the_hat_is_the_same(book: Book, slot: Slot, nurse: Person, me: str) -> None:
    first = try_booking(nurse, slot, key="mine", as_patient=True)
    again = try_booking(nurse, slot, key="mine", as_patient=True)
    assert done(first, 201) == done(again, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
