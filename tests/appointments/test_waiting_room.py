"""The waiting room: a check-in by mistake, patients who leave unseen, and a doctor who falls ill."""

from typing import Any

import pytest
from pymongo.database import Database

from backend.appointments.no_shows import mark_no_shows
from backend.core import clock
from tests.appointments.support import (
    HOUR,
    MINUTE,
    TEN,
    Book,
    booked,
    done,
    history_of,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    stored,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


@pytest.fixture
def waiting(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> dict[str, Any]:
    """The patient's appointment at ten, checked in five minutes before."""
    return done(make_transition(run, nurse, booked(patient, book.slot()), "check-in", at=TEN - 5 * MINUTE))


@pytest.mark.parametrize("who", ["doctor", "nurse", "admin"])
@pytest.mark.parametrize("before", ["scheduled", "confirmed"])
def test_an_undone_check_in_leads_back_to_what_it_was(
    request: pytest.FixtureRequest, book: Book, patient: Person, run: Run[Any], db: Db, before: str, who: str
) -> None:
    person = request.getfixturevalue(who)
    appointment = booked(patient, book.slot())
    if before == "confirmed":
        done(make_transition(run, patient, appointment, "confirm", at=TEN - HOUR))
    done(make_transition(run, person, appointment, "check-in", at=TEN - 30 * MINUTE))
    messages = pending_messages(db, appointment)
    undone = done(make_transition(run, person, appointment, "undo-check-in", at=TEN - 20 * MINUTE))
    assert undone["status"] == before
    assert history_of(undone)[-2:] == [("check_in", "checked_in", who), ("undo_check_in", before, who)]
    row = stored(db, undone)
    assert row["active"]
    assert ("remind_at" in row) == (before == "scheduled")
    assert pending_messages(db, appointment) == messages
    done(make_transition(run, patient, appointment, "cancel", at=TEN - 10 * MINUTE))


def test_a_check_in_is_undone_and_made_again(waiting: dict[str, Any], nurse: Person, run: Run[Any]) -> None:
    for _ in range(2):
        assert done(make_transition(run, nurse, waiting, "undo-check-in", at=TEN))["status"] == "scheduled"
        assert done(make_transition(run, nurse, waiting, "check-in", at=TEN))["status"] == "checked_in"


def test_an_undone_correction_is_a_no_show_again(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    slot = book.slot()
    appointment = booked(patient, slot)
    for transition, body in (("no-show", {}), ("correct-no-show", {"status": "checked_in"}), ("undo-check-in", {})):
        last = done(make_transition(run, nurse, appointment, transition, at=TEN + MINUTE, **body))
    assert (last["status"], stored(db, last)["active"]) == ("no_show", False)
    kinds = [kind for kind, _, _ in pending_messages(db, appointment)]
    assert kinds == ["booked", "no_show", "no_show"]


def test_after_an_undone_check_in_the_patient_may_be_a_no_show(
    waiting: dict[str, Any], nurse: Person, run: Run[Any], db: Db
) -> None:
    done(make_transition(run, nurse, waiting, "undo-check-in", at=TEN))
    with clock.stopped(TEN + 15 * MINUTE):
        assert run(mark_no_shows()) == 1
    assert stored(db, waiting)["status"] == "no_show"


def test_only_a_check_in_is_undone(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot())
    for transition in ("undo-check-in", "left"):
        refused(make_transition(run, nurse, appointment, transition, at=TEN), 409, "INVALID_TRANSITION")


def test_a_check_in_can_be_undone_for_a_day(waiting: dict[str, Any], nurse: Person, run: Run[Any]) -> None:
    limit = TEN + 30 * MINUTE + 24 * HOUR
    refused(make_transition(run, nurse, waiting, "undo-check-in", at=limit), 409, "TOO_LATE")
    done(make_transition(run, nurse, waiting, "undo-check-in", at=limit - MINUTE))


def test_a_patient_who_left_unseen_is_no_no_show(
    waiting: dict[str, Any], nurse: Person, run: Run[Any], db: Db
) -> None:
    messages = pending_messages(db, waiting)
    gone = done(make_transition(run, nurse, waiting, "left", at=TEN - MINUTE))
    assert (gone["status"], history_of(gone)[-1]) == ("left", ("left", "left", "nurse"))
    assert pending_messages(db, waiting) == messages
    with clock.stopped(TEN + HOUR):
        assert run(mark_no_shows()) == 0
    for status, ids in (("left", [waiting["id"]]), ("no_show", []), ("checked_in", [])):
        found = done(nurse.client.get("/appointments", params={"status": status}))["items"]
        assert [row["id"] for row in found] == ids


def test_the_time_of_a_patient_who_left_is_free(waiting: dict[str, Any], nurse: Person, run: Run[Any]) -> None:
    (other,) = make_patients(run, 1)
    body = {"slot_id": waiting["slot_id"]}
    with visiting(run, other, TEN - 2 * MINUTE) as client:
        refused(client.post("/appointments", json=body), 409, "SLOT_TAKEN")
        done(make_transition(run, nurse, waiting, "left", at=TEN - 2 * MINUTE))
        done(client.post("/appointments", json=body), 201)


def test_the_doctor_falls_ill_and_the_waiting_room_is_full(
    book: Book, nurse: Person, doctor: Person, run: Run[Any], db: Db
) -> None:
    slot, later = book.slot(capacity=4), book.slot(TEN + 6 * HOUR)
    patients = make_patients(run, 4)
    visits = [booked(patient, slot) for patient in patients]
    for visit in visits:
        done(make_transition(run, nurse, visit, "check-in", at=TEN - 5 * MINUTE))
    late = TEN + 40 * MINUTE  # the slot is over, they are still waiting
    for visit, person in zip(visits[:3], (nurse, doctor, nurse), strict=True):
        gone = done(make_transition(run, person, visit, "cancel", at=late, reason="The doctor is ill"))
        assert (gone["status"], stored(db, visit)["active"]) == ("cancelled", False)
        assert pending_messages(db, visit)[-1] == ("cancelled", "patient", 0)
    moved = done(make_transition(run, nurse, visits[3], "reschedule", at=late, slot_id=str(later.id)))
    assert (moved["status"], moved["slot_id"]) == ("scheduled", str(later.id))
    assert stored(db, moved)["remind_at"] == late


def test_patients_in_the_waiting_room_cannot_cancel_or_reschedule(
    waiting: dict[str, Any], book: Book, patient: Person, run: Run[Any]
) -> None:
    later = book.slot(TEN + 6 * HOUR)
    refused(make_transition(run, patient, waiting, "cancel", at=TEN - MINUTE), 409, "INVALID_TRANSITION")
    answer = make_transition(run, patient, waiting, "reschedule", at=TEN - MINUTE, slot_id=str(later.id))
    refused(answer, 409, "INVALID_TRANSITION")
