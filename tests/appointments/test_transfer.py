"""Transferring a doctor's day: to a substitute or to another date, what doesn't fit, and dry runs."""

from datetime import datetime
from typing import Any

import pytest
from pymongo.database import Database

from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import (
    DAY,
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
    visiting,
)
from tests.factories import Person, Run
from tests.scheduling.test_dry_runs import contents

Db = Database[dict[str, Any]]
Row = dict[str, Any]
MONDAY = "2037-06-01"


@pytest.fixture
def substitute(run: Run[Any], clinic: Clinic) -> Book:
    """The book of another doctor at the clinic."""
    return Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))


def path(book: Book, day: str = MONDAY) -> str:
    """The route for a doctor's day."""
    return f"/doctors/{book.doctor.id}/days/{day}/transfer"


def transfer(person: Person, book: Book, db: Db, **body: str) -> Row:
    """Transfers the doctor's Monday. A dry run before it must say the same and change nothing."""
    before = contents(db)
    dry = done(person.client.post(path(book), json=body, params={"dry_run": True}))
    assert contents(db) == before
    real: Row = done(person.client.post(path(book), json=body))
    assert dry == real
    return real


def reasons(report: Row) -> dict[str, str]:
    """Why appointments stayed, by id."""
    return {row["appointment_id"]: row["reason"] for row in report["not_moved"]}


def ids(report: Row) -> list[str]:
    """The appointments that moved, in the order of the report."""
    return [row["appointment_id"] for row in report["moved"]]


def test_a_day_goes_to_a_substitute(book: Book, substitute: Book, nurse: Person, db: Db) -> None:
    visits = [booked(p, slot) for p, slot in zip(make_patients(book.run, 3), book.slots(3), strict=True)]
    targets = substitute.slots(3)
    report = transfer(nurse, book, db, to_doctor_id=substitute.doctor.id)
    assert (ids(report), report["not_moved"]) == ([visit["id"] for visit in visits], [])
    for visit, slot, row in zip(visits, targets, report["moved"], strict=True):
        assert (row["start"], row["to_start"], row["to_slot_id"]) == (visit["start"], visit["start"], str(slot.id))
        assert row["to_doctor_id"] == substitute.doctor.id
        found = done(nurse.client.get(f"/appointments/{visit['id']}"))
        assert (found["doctor_id"], found["slot_id"]) == (substitute.doctor.id, str(slot.id))
        assert history_of(found) == [("book", "scheduled", "patient"), ("reschedule", "scheduled", "nurse")]
        assert pending_messages(db, visit)[1:] == [("rescheduled", "patient", 1)]


def test_a_day_goes_to_another_date(book: Book, admin: Person, db: Db) -> None:
    (one, two) = make_patients(book.run, 2)
    first, second = (booked(p, slot) for p, slot in zip((one, two), book.slots(2), strict=True))
    target = book.slot(TEN + DAY)
    report = transfer(admin, book, db, to_date="2037-06-02")
    assert (ids(report), reasons(report)) == ([first["id"]], {second["id"]: "NO_SLOT"})
    assert stored(db, first)["start"] == target.start
    assert stored(db, second)["start"] == TEN + 30 * MINUTE


def test_the_time_of_day_stays_across_a_change_of_clocks(run: Run[Any], admin: Person, patient: Person) -> None:
    """On 1 November 2037, clocks in New York go back an hour: 10:00 is 14:00 UTC the day before and 15:00 after."""
    clinic = factories.make_clinic(run)
    book = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    with clock.stopped(datetime.fromisoformat("2037-10-30T12:00:00Z")):
        visit = booked(factories.log_in(run, patient.user), book.slot(datetime.fromisoformat("2037-10-31T14:00:00Z")))
        book.slot(datetime.fromisoformat("2037-11-01T15:00:00Z"))
        client = factories.log_in(run, admin.user).client
        report = done(client.post(path(book, "2037-10-31"), json={"to_date": "2037-11-01"}))
    assert [(row["appointment_id"], row["to_start"]) for row in report["moved"]] == [
        (visit["id"], "2037-11-01T15:00:00Z")
    ]


def test_what_does_not_fit_is_listed_with_its_reason(
    book: Book, substitute: Book, nurse: Person, run: Run[Any], db: Db
) -> None:
    patients = make_patients(run, 6)
    slots = [*book.slots(4), book.slot(TEN + 2 * HOUR, minutes=60)]
    visits = [booked(patient, slot) for patient, slot in zip(patients, slots, strict=False)]
    substitute.slot(TEN)
    taken = substitute.slot(TEN + 30 * MINUTE)
    booked(patients[5], taken)
    substitute.slot(TEN + 60 * MINUTE)
    substitute.slot(TEN + 2 * HOUR, minutes=30)
    # The third patient has another doctor's appointment that only their own time of Monday leaves room for.
    other = Book(run=run, clinic=book.clinic, doctor=factories.make_doctor(run, book.clinic, weekly_hours=[]))
    busy = other.slot(TEN + 90 * MINUTE)
    booked(patients[2], busy)
    report = transfer(nurse, book, db, to_doctor_id=substitute.doctor.id)
    assert ids(report) == [visits[0]["id"], visits[2]["id"]]
    assert reasons(report) == {visits[1]["id"]: "SLOT_TAKEN", visits[3]["id"]: "NO_SLOT", visits[4]["id"]: "NO_SLOT"}
    assert stored(db, visits[1])["doctor_id"] == book.doctor.object_id


def test_a_patient_in_two_places_stays(book: Book, nurse: Person, run: Run[Any], db: Db, patient: Person) -> None:
    visit = booked(patient, book.slot())
    other = Book(run=run, clinic=book.clinic, doctor=factories.make_doctor(run, book.clinic, weekly_hours=[]))
    booked(patient, other.slot(TEN + DAY))
    book.slot(TEN + DAY)
    report = transfer(nurse, book, db, to_date="2037-06-02")
    assert reasons(report) == {visit["id"]: "PATIENT_DOUBLE_BOOKED"}


def test_a_shared_slot_and_a_limited_day_fill_up(
    book: Book, clinic: Clinic, nurse: Person, run: Run[Any], db: Db
) -> None:
    slot = book.slot(capacity=4)
    visits = [booked(patient, slot) for patient in make_patients(run, 4)]
    two = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    two.slot(capacity=2)
    report = transfer(nurse, book, db, to_doctor_id=two.doctor.id)
    assert ids(report) == [visit["id"] for visit in visits[:2]]
    assert set(reasons(report).values()) == {"SLOT_TAKEN"}
    limited = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=1)
    Book(run=run, clinic=clinic, doctor=limited).slot(capacity=4)
    report = transfer(nurse, book, db, to_doctor_id=limited.id)
    assert (ids(report), reasons(report)) == ([visits[2]["id"]], {visits[3]["id"]: "DAY_FULL"})


def test_a_transfer_after_a_leave_decides_what_it_moves(
    book: Book, substitute: Book, nurse: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    """The doctor falls ill at five past ten: the waiting patient and the next one go to the substitute."""
    (other,) = make_patients(run, 1)
    first, second = (booked(p, slot) for p, slot in zip((patient, other), book.slots(2), strict=True))
    substitute.slot(TEN)
    substitute.slot(TEN + 30 * MINUTE)
    done(make_transition(run, nurse, second, "check-in", at=TEN - MINUTE))
    span = {"start": TEN.isoformat(), "end": (TEN + 8 * HOUR).isoformat()}
    with visiting(run, nurse, TEN + 5 * MINUTE) as client:
        done(client.post(f"/doctors/{book.doctor.id}/leaves", json=span), 201)
        report = done(client.post(path(book), json={"to_doctor_id": substitute.doctor.id}))
        assert ids(report) == [second["id"]]
        assert reasons(report) == {first["id"]: "NO_SLOT"}
        left = done(client.get("/appointments", params={"needs_decision": True}))["items"]
    assert [row["id"] for row in left] == [first["id"]]


def test_a_repeated_transfer_moves_nothing_more(book: Book, substitute: Book, nurse: Person, patient: Person) -> None:
    booked(patient, book.slot())
    substitute.slot()
    body = {"to_doctor_id": substitute.doctor.id}
    assert len(done(nurse.client.post(path(book), json=body))["moved"]) == 1
    assert done(nurse.client.post(path(book), json=body)) == {"moved": [], "not_moved": []}


def test_what_has_ended_is_not_part_of_the_day(
    book: Book, substitute: Book, nurse: Person, patient: Person, run: Run[Any]
) -> None:
    visit = booked(patient, book.slot())
    substitute.slot()
    done(make_transition(run, nurse, visit, "cancel"))
    report = done(nurse.client.post(path(book), json={"to_doctor_id": substitute.doctor.id}))
    assert report == {"moved": [], "not_moved": []}


def test_a_nurse_moves_only_what_lies_at_their_clinics(run: Run[Any], clinic: Clinic, patient: Person) -> None:
    there = factories.make_clinic(run)
    ids_ = [clinic.clinic_id, there.clinic_id]
    doctor, target = (factories.make_doctor(run, clinic, weekly_hours=[], clinic_ids=ids_) for _ in range(2))
    here, away = (Book(run=run, clinic=each, doctor=doctor) for each in (clinic, there))
    visit = booked(patient, here.slot())
    elsewhere = booked(patient, away.slot(TEN + HOUR))
    for each, start in ((clinic, TEN), (there, TEN + HOUR)):
        Book(run=run, clinic=each, doctor=target).slot(start)
    nurse = factories.make_nurse(run, clinic)
    report = done(nurse.client.post(path(here), json={"to_doctor_id": target.id}))
    assert (ids(report), reasons(report)) == ([visit["id"]], {})
    assert elsewhere["id"] not in str(report)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_bad_transfer_is_a_clear_error(
    book: Book, substitute: Book, nurse: Person, patient: Person, db: Db, dry_run: bool
) -> None:
    booked(patient, book.slot())
    before, params = contents(db), {"dry_run": dry_run}

    def post(day: str = MONDAY, **body: str) -> Any:
        return nurse.client.post(path(book, day), json=body, params=params)

    refused(post(to_doctor_id=book.doctor.id), 422, "TRANSFER_ONTO_ITSELF")
    refused(post(to_date=MONDAY), 422, "TRANSFER_ONTO_ITSELF")
    refused(post(to_date="2037-05-30"), 422, "IN_THE_PAST")
    refused(post(to_doctor_id=NOBODY), 404, "DOCTOR_NOT_FOUND")
    refused(post(to_doctor_id=patient.id), 404, "DOCTOR_NOT_FOUND")
    for body in ({}, {"to_doctor_id": substitute.doctor.id, "to_date": "2037-06-02"}, {"to_date": "soon"}):
        refused(post(**body), 422, "VALIDATION_ERROR")
    refused(post("someday", to_date="2037-06-02"), 422, "VALIDATION_ERROR")
    assert contents(db) == before
