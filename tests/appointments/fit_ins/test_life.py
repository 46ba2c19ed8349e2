"""Through its life a fit-in is an appointment like any other; rescheduled to a slot, it is an ordinary one."""

from typing import Any

import pytest
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.fit_ins.support import EVENING, WHY, fitted_in, free_seats, read
from tests.appointments.support import (
    HOUR,
    MINUTE,
    NOBODY,
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
    try_booking,
    visiting,
)
from tests.factories import Person, Run
from tests.support.book import check_book

Db = Database[dict[str, Any]]
Row = dict[str, Any]


@pytest.fixture
def urgent(book: Book, nurse: Person, patient: Person) -> Row:
    """A fit-in at ten, where the only seat is another patient's."""
    booked(make_patients(book.run, 1)[0], book.slot())
    return fitted_in(nurse, book, patient)


@pytest.mark.parametrize(
    "transitions",
    [
        ["confirm", "cancel"],
        ["check-in", "undo-check-in", "check-in", "complete"],
        ["check-in", "left"],
        ["no-show", "correct-no-show:checked_in", "complete"],
    ],
    ids=" ".join,
)
def test_every_transition_is_open_to_a_fit_in(
    book: Book, urgent: Row, admin: Person, db: Db, transitions: list[str]
) -> None:
    at = TEN - HOUR if "cancel" in transitions else TEN
    for transition in transitions:
        name, _, status = transition.partition(":")
        changed = done(
            make_transition(book.run, admin, urgent, name, at=at, **({"status": status} if status else {}))
        )
        assert (changed["overbooked"], changed["overbook_why"], changed["slot_id"]) == (True, WHY, None)
    check_book(db)


def test_a_patient_confirms_and_cancels_a_fit_in(book: Book, urgent: Row, patient: Person) -> None:
    for transition in ("confirm", "cancel"):
        changed = done(make_transition(book.run, patient, urgent, transition, at=TEN - HOUR))
        assert (changed["overbooked"], changed["overbook_why"]) == (True, None)
        assert {entry["overbook_why"] for entry in changed["history"]} == {None}


def test_jobs_remind_of_a_fit_in_and_mark_its_no_show(
    book: Book, urgent: Row, nurse: Person, run: Run[Any], db: Db
) -> None:
    late = fitted_in(nurse, book, make_patients(run, 1)[0], EVENING)
    with clock.stopped(EVENING - HOUR):
        run(enqueue_due_reminders())
    assert [kind for kind, *_ in pending_messages(db, late)] == ["booked", "reminder"]
    with clock.stopped(TEN + 15 * MINUTE):
        assert run(mark_no_shows()) == 2
    assert stored(db, urgent)["status"] == "no_show"


def test_a_fit_in_becomes_ordinary_in_a_slot(book: Book, urgent: Row, patient: Person, nurse: Person, db: Db) -> None:
    slot = book.slot(TEN + HOUR)
    body = {"slot_id": str(slot.id)}
    moved = done(patient.client.post(f"/appointments/{urgent['id']}/reschedule", json=body))
    assert (moved["overbooked"], moved["slot_id"], moved["slot_ids"]) == (False, str(slot.id), [str(slot.id)])
    assert history_of(moved)[-1] == ("reschedule", "scheduled", "patient")
    assert not {"overbooked", "overbook_why", "overbooked_slots", "recheck_at"} & stored(db, urgent).keys()
    assert [entry["overbook_why"] for entry in read(nurse, urgent)["history"]] == [WHY, None]
    check_book(db)


def test_a_fit_in_becomes_ordinary_in_the_slot_whose_seat_it_has(
    book: Book, nurse: Person, patient: Person, db: Db
) -> None:
    slot = book.slot()
    half = fitted_in(nurse, book, patient, TEN + 10 * MINUTE, 10)
    assert half["slot_ids"] == [str(slot.id)]
    body = {"slot_id": str(slot.id)}
    moved = done(nurse.client.post(f"/appointments/{half['id']}/reschedule", json=body))
    assert (moved["start"], moved["slot_id"]) == ("2037-06-01T14:00:00Z", str(slot.id))
    refused(nurse.client.post(f"/appointments/{half['id']}/reschedule", json=body), 422, "SAME_SLOT")
    check_book(db)


def new_time(start: Any = EVENING, minutes: int = 20, **over: Any) -> Row:
    """The body that reschedules to a fit-in."""
    return {"start": start.isoformat(), "minutes": minutes, "overbook": True, "why": "Bleeding again", **over}


def test_an_appointment_is_rescheduled_to_a_fit_in(book: Book, patient: Person, nurse: Person, db: Db) -> None:
    slot = book.slot()
    made = booked(patient, slot)
    path = f"/appointments/{made['id']}/reschedule"
    moved = done(nurse.client.post(path, json=new_time()))
    assert (moved["start"], moved["end"]) == ("2037-06-02T01:30:00Z", "2037-06-02T01:50:00Z")
    assert (moved["overbooked"], moved["overbook_why"], moved["slot_id"]) == (True, "Bleeding again", None)
    assert [entry["overbook_why"] for entry in moved["history"]] == [None, "Bleeding again"]
    assert pending_messages(db, made)[-1] == ("rescheduled", "patient", 1)
    assert free_seats(nurse, book) == {str(slot.id): 1}
    refused(nurse.client.post(path, json=new_time()), 422, "SAME_SLOT")
    again = done(nurse.client.post(path, json=new_time(TEN + 10 * MINUTE, why="Earlier after all")))
    assert (again["slot_ids"], again["overbook_why"]) == ([str(slot.id)], "Earlier after all")
    assert free_seats(nurse, book) == {}
    done(nurse.client.post(path, json=new_time(EVENING + HOUR)))
    assert free_seats(nurse, book) == {str(slot.id): 1}
    check_book(db)


def test_a_reschedule_to_a_fit_in_is_refused(
    book: Book, urgent: Row, patient: Person, nurse: Person, admin: Person, clinic: Clinic, db: Db
) -> None:
    path = f"/appointments/{urgent['id']}/reschedule"
    before = stored(db, urgent)
    refused(patient.client.post(path, json=new_time()), 403, "STAFF_ONLY")
    refused(book.doctor.client.post(path, json=new_time()), 403, "TRANSITION_FORBIDDEN")
    refused(nurse.client.post(path, json=new_time(version=7)), 409, "APPOINTMENT_CHANGED")
    refused(nurse.client.post(f"/appointments/{NOBODY}/reschedule", json=new_time()), 404, "APPOINTMENT_NOT_FOUND")
    refused(nurse.client.post(path, json=new_time(TEN - 10 * HOUR)), 422, "IN_THE_PAST")
    for change in ({"slot_id": NOBODY}, {"why": None}, {"minutes": 0}, {"overbook": False}, {"doctor_id": NOBODY}):
        refused(nurse.client.post(path, json=new_time(**change)), 422, "VALIDATION_ERROR")
    done(
        admin.client.post(
            f"/doctors/{book.doctor.id}/leaves",
            json={"start": EVENING.isoformat(), "end": (EVENING + HOUR).isoformat()},
        ),
        201,
    )
    refused(nurse.client.post(path, json=new_time()), 409, "TIME_NOT_AVAILABLE")
    elsewhere = Book(run=book.run, clinic=clinic, doctor=factories.make_doctor(book.run, clinic, weekly_hours=[]))
    booked(patient, elsewhere.slot(TEN + 3 * HOUR))
    refused(nurse.client.post(path, json=new_time(TEN + 3 * HOUR)), 409, "PATIENT_DOUBLE_BOOKED")
    assert stored(db, urgent) == before


def test_a_day_with_fit_ins_goes_to_a_substitute(
    book: Book, urgent: Row, nurse: Person, run: Run[Any], clinic: Clinic, db: Db
) -> None:
    """Where a slot begins at its time, it is an ordinary appointment there; else it stays."""
    odd = fitted_in(nurse, book, make_patients(run, 1)[0], TEN + 5 * MINUTE)
    substitute = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    slot = substitute.slot(capacity=2)
    path = f"/doctors/{book.doctor.id}/days/2037-06-01/transfer"
    body = {"to_doctor_id": substitute.doctor.id}
    dry = done(nurse.client.post(path, json=body, params={"dry_run": True}))
    report = done(nurse.client.post(path, json=body))
    assert dry == report
    assert urgent["id"] in [row["appointment_id"] for row in report["moved"]]
    assert [(row["appointment_id"], row["reason"]) for row in report["not_moved"]] == [(odd["id"], "NO_SLOT")]
    moved = read(nurse, urgent)
    assert (moved["overbooked"], moved["slot_id"]) == (False, str(slot.id))
    check_book(db)


def test_who_was_marked_a_no_show_takes_no_seat_twice(book: Book, nurse: Person, patient: Person, db: Db) -> None:
    """Their seat may be another's by then; the patient was there all the same."""
    slot = book.slot()
    early = fitted_in(nurse, book, patient)
    with visiting(book.run, nurse, TEN) as client:
        done(client.post(f"/appointments/{early['id']}/no-show"))
        (other,) = make_patients(book.run, 1)
        done(client.post("/appointments", json={"slot_id": str(slot.id), "patient_id": other.id}), 201)
        done(client.post(f"/appointments/{early['id']}/correct-no-show", json={"status": "checked_in"}))
    check_book(db)


def test_a_full_hint_goes_when_a_fit_in_gives_its_seat_back(
    book: Book, nurse: Person, patient: Person, db: Db
) -> None:
    slot = book.slot(capacity=2)
    (one, other) = make_patients(book.run, 2)
    booked(one, slot)
    seated = fitted_in(nurse, book, patient)
    db["slots"].update_one({"_id": slot.id}, {"$set": {"known_full": True}})
    db["appointments"].update_one({"_id": PydanticObjectId(seated["id"])}, {"$set": {"clears_full_hint": True}})
    done(nurse.client.post(f"/appointments/{seated['id']}/cancel"))
    assert free_seats(nurse, book) == {str(slot.id): 1}
    done(try_booking(other, slot), 201)
