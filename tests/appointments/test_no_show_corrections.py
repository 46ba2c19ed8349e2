"""Correcting a no-show: the patient was there after all, whatever has become of the seat meanwhile."""

from typing import Any

import pytest
from pymongo.database import Database

from backend.directory.documents import Clinic
from backend.scheduling.slots.manual_slots import get_slot, remove_slot
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    MS,
    TEN,
    Book,
    booked,
    done,
    history_of,
    instant,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    stored,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
LATER = TEN + 10 * MINUTE


@pytest.fixture
def missed(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> dict[str, Any]:
    """The patient's appointment at ten, half an hour, marked as a no-show at ten."""
    appointment = booked(patient, book.slot())
    return done(make_transition(run, nurse, appointment, "no-show", at=TEN))


@pytest.mark.parametrize("who", ["nurse", "doctor", "admin"])
def test_a_no_show_is_corrected_to_checked_in_and_completed_then(
    request: pytest.FixtureRequest,
    missed: dict[str, Any],
    admin: Person,
    run: Run[Any],
    db: Db,
    who: str,
) -> None:
    assert stored(db, missed)["active"] is False
    person = request.getfixturevalue(who)
    corrected = done(make_transition(run, person, missed, "correct-no-show", at=LATER, status="checked_in"))
    assert corrected["status"] == "checked_in"
    assert stored(db, missed)["active"] is True
    last = done(make_transition(run, admin, missed, "complete", at=LATER))
    assert history_of(last) == [
        ("book", "scheduled", "patient"),
        ("no_show", "no_show", "nurse"),
        ("correct", "checked_in", who),
        ("complete", "completed", "admin"),
    ]
    assert last["history"][2]["at"] == "2037-06-01T14:10:00Z"
    assert [kind for kind, _, _ in pending_messages(db, missed)] == ["booked", "no_show", "no_show"]


@pytest.mark.parametrize("who", ["doctor", "admin"])
def test_a_no_show_is_corrected_to_completed_even_weeks_later(
    request: pytest.FixtureRequest, missed: dict[str, Any], run: Run[Any], db: Db, who: str
) -> None:
    person = request.getfixturevalue(who)
    body = done(make_transition(run, person, missed, "correct-no-show", at=TEN + 30 * DAY, status="completed"))
    assert history_of(body)[-1] == ("correct", "completed", who)
    assert stored(db, missed)["active"] is False


def test_a_nurse_corrects_nothing_to_completed(missed: dict[str, Any], nurse: Person, run: Run[Any]) -> None:
    answer = make_transition(run, nurse, missed, "correct-no-show", at=LATER, status="completed")
    refused(answer, 403, "TRANSITION_FORBIDDEN")


def test_a_patient_corrects_nothing(missed: dict[str, Any], patient: Person, run: Run[Any]) -> None:
    for status in ("checked_in", "completed"):
        answer = make_transition(run, patient, missed, "correct-no-show", at=LATER, status=status)
        refused(answer, 403, "NOT_ALLOWED")


def test_checking_in_is_possible_until_a_day_after_the_end(
    missed: dict[str, Any], nurse: Person, run: Run[Any]
) -> None:
    limit = instant(missed["end"]) + DAY
    for moment in (limit, limit + MS, limit + 30 * DAY):
        answer = make_transition(run, nurse, missed, "correct-no-show", at=moment, status="checked_in")
        refused(answer, 409, "TOO_LATE")
    done(make_transition(run, nurse, missed, "correct-no-show", at=limit - MS, status="checked_in"))


@pytest.mark.parametrize("status", ["scheduled", "confirmed", "cancelled", "no_show"])
def test_a_no_show_is_corrected_to_nothing_else(
    missed: dict[str, Any], admin: Person, run: Run[Any], db: Db, status: str
) -> None:
    before = stored(db, missed)
    answer = make_transition(run, admin, missed, "correct-no-show", at=LATER, status=status)
    refused(answer, 422, "NOT_A_CORRECTION")
    assert stored(db, missed) == before


@pytest.mark.parametrize("before", [[], ["cancel"], ["check-in"], ["check-in", "complete"]], ids=str)
def test_only_a_no_show_is_corrected(
    book: Book, patient: Person, admin: Person, run: Run[Any], before: list[str]
) -> None:
    appointment = booked(patient, book.slot())
    for transition in before:
        done(make_transition(run, admin, appointment, transition, at=TEN - MS if transition == "cancel" else TEN))
    for status in ("checked_in", "completed"):
        answer = make_transition(run, admin, appointment, "correct-no-show", at=LATER, status=status)
        refused(answer, 409, "INVALID_TRANSITION")


def test_a_correction_is_made_once(missed: dict[str, Any], admin: Person, run: Run[Any]) -> None:
    done(make_transition(run, admin, missed, "correct-no-show", at=LATER, status="completed"))
    for status in ("checked_in", "completed"):
        answer = make_transition(run, admin, missed, "correct-no-show", at=LATER, status=status)
        refused(answer, 409, "INVALID_TRANSITION")


def test_a_correction_applies_to_the_version_that_was_read(
    missed: dict[str, Any], admin: Person, run: Run[Any]
) -> None:
    answer = make_transition(run, admin, missed, "correct-no-show", at=LATER, status="checked_in", version=1)
    refused(answer, 409, "APPOINTMENT_CHANGED")
    done(make_transition(run, admin, missed, "correct-no-show", at=LATER, status="checked_in", version=2))


def test_a_check_in_does_not_undo_a_no_show(missed: dict[str, Any], nurse: Person, run: Run[Any]) -> None:
    refused(make_transition(run, nurse, missed, "check-in", at=LATER), 409, "INVALID_TRANSITION")


def test_a_patient_with_another_appointment_is_double_booked(
    book: Book, clinic: Clinic, patient: Person, nurse: Person, admin: Person, run: Run[Any], db: Db
) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    appointment = booked(patient, book.slot(TEN, minutes=60))
    slot = other.slot(TEN + 45 * MINUTE)
    done(make_transition(run, nurse, appointment, "no-show", at=TEN))
    with visiting(run, patient, LATER) as client:
        second = done(client.post("/appointments", json={"slot_id": str(slot.id)}), 201)
    before = stored(db, appointment)
    answer = make_transition(run, nurse, appointment, "correct-no-show", at=LATER, status="checked_in")
    refused(answer, 409, "PATIENT_DOUBLE_BOOKED")
    assert stored(db, appointment) == before
    done(make_transition(run, patient, second, "cancel", at=LATER))
    done(make_transition(run, nurse, appointment, "correct-no-show", at=LATER, status="checked_in"))
    with visiting(run, patient, LATER) as client:
        refused(client.post("/appointments", json={"slot_id": str(slot.id)}), 409, "PATIENT_DOUBLE_BOOKED")
    done(make_transition(run, admin, appointment, "complete", at=LATER))


def test_a_busy_patients_visit_can_still_be_completed(
    book: Book, clinic: Clinic, patient: Person, nurse: Person, admin: Person, run: Run[Any]
) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    appointment = booked(patient, book.slot(TEN, minutes=60))
    slot = other.slot(TEN + 30 * MINUTE)
    done(make_transition(run, nurse, appointment, "no-show", at=TEN))
    with visiting(run, patient, LATER) as client:
        done(client.post("/appointments", json={"slot_id": str(slot.id)}), 201)
    done(make_transition(run, admin, appointment, "correct-no-show", at=LATER, status="completed"))


@pytest.mark.parametrize("withdrawals", [1, 2])
def test_the_patient_is_checked_in_into_a_withdrawn_slot(
    missed: dict[str, Any], book: Book, nurse: Person, run: Run[Any], db: Db, withdrawals: int
) -> None:
    body = {"start": TEN.isoformat(), "end": (TEN + HOUR).isoformat()}
    for _ in range(withdrawals):
        with visiting(run, book.doctor, LATER) as client:
            taken = done(client.post(f"/doctors/{book.doctor.id}/leaves", json=body), 201)
        assert taken["report"]["appointments"] == []
    assert db["appointments"].find_one({"seats.slot": stored(db, missed)["seats"][0]["slot"], "active": True})
    done(make_transition(run, nurse, missed, "correct-no-show", at=LATER, status="checked_in"))
    again = {**body, "reason": "The whole day"}
    with visiting(run, book.doctor, LATER) as client:
        taken = done(client.post(f"/doctors/{book.doctor.id}/leaves", json=again), 201)
    assert [row["appointment_id"] for row in taken["report"]["appointments"]] == [missed["id"]]


def test_the_patient_is_checked_in_into_a_removed_slot(
    missed: dict[str, Any], book: Book, nurse: Person, run: Run[Any], db: Db
) -> None:
    slot = run(get_slot(stored(db, missed)["seats"][0]["slot"]))
    run(remove_slot(slot))
    done(make_transition(run, nurse, missed, "correct-no-show", at=LATER, status="checked_in"))


def test_the_patient_is_checked_in_though_the_seat_is_taken(book: Book, nurse: Person, run: Run[Any], db: Db) -> None:
    slot = book.slot()
    one, two = make_patients(run, 2)
    first = booked(one, slot)
    done(make_transition(run, nurse, first, "no-show", at=TEN))
    booked(two, slot)  # the clock stands at NOW again: as from a process whose clock is behind
    corrected = done(make_transition(run, nurse, first, "correct-no-show", at=LATER, status="checked_in"))
    assert corrected["status"] == "checked_in"
    active = list(db["appointments"].find({"seats.slot": slot.id, "active": True}))
    assert len(active) == 2
    assert len({row["seats"][0]["seat"] for row in active}) == 2


def test_the_patient_is_checked_in_though_the_day_is_full(
    clinic: Clinic, nurse: Person, run: Run[Any], db: Db
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=1)
    slots = Book(run=run, clinic=clinic, doctor=doctor).slots(3)
    one, two, three = make_patients(run, 3)
    first = booked(one, slots[0])
    done(make_transition(run, nurse, first, "no-show", at=TEN))
    with visiting(run, two, LATER) as client:
        done(client.post("/appointments", json={"slot_id": str(slots[1].id)}), 201)
    done(make_transition(run, nurse, first, "correct-no-show", at=LATER, status="checked_in"))
    assert db["appointments"].count_documents({"doctor_id": doctor.object_id, "active": True}) == 2
    with visiting(run, three, LATER) as client:
        answer = client.post("/appointments", json={"slot_id": str(slots[2].id)})
    refused(answer, 409, "DAY_FULL")
