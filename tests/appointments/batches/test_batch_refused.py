"""A batch of which one visit can't be booked: none is, the error says which, and nothing stays behind."""

from datetime import timedelta
from typing import Any

import pytest

from backend.accounts.documents import Role
from tests import factories
from tests.appointments.batches.support import NOTHING, Db, traces, try_batch, visits_in
from tests.appointments.support import (
    NOBODY,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    refused,
)
from tests.appointments.visits import visit_type
from tests.contract.document import OPERATIONS, faults
from tests.factories import Person, Run
from tests.support.book import check_book

QUARTER = timedelta(minutes=15)


def refused_at(answer: Any, index: int, status: int, code: str) -> dict[str, Any]:
    """The body of an error about one of the visits, as the reference describes it."""
    body = refused(answer, status, code)
    assert body["index"] == index
    assert faults(OPERATIONS["book_appointment_batch"], answer) == []
    return body


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_all_is_given_back_if_one_is_taken(book: Book, patient: Person, db: Db, taken: int) -> None:
    *wanted, spare = book.slots(4)
    (other,) = make_patients(book.run, 1)
    booked(other, wanted[taken])
    answer = try_batch(patient, visits_in(*wanted))
    body = refused_at(answer, taken, 409, "SLOT_TAKEN")
    assert str(spare.id) in [slot["id"] for slot in body["alternatives"]]
    assert traces(db) == (1, 1, 0)
    assert done(patient.client.get("/appointments"))["items"] == []
    check_book(db)
    for slot in wanted:
        if slot is not wanted[taken]:
            booked(other, slot)


def test_the_day_of_a_doctor_who_is_full_refuses_all(book: Book, run: Run[Any], patient: Person, db: Db) -> None:
    limited = factories.make_doctor(run, book.clinic, weekly_hours=[], max_patients_per_day=1)
    first, second = Book(run, book.clinic, limited).slots(2)
    refused_at(try_batch(patient, visits_in(first, second)), 1, 409, "DAY_FULL")
    assert traces(db) == NOTHING
    booked(patient, second)


def test_the_limit_of_open_bookings_counts_each(book: Book, patient: Person, nurse: Person, db: Db) -> None:
    slots = book.slots(3)
    limited = visit_type(book, 30, open_bookings_per_patient=2)
    wanted = visits_in(*slots, visit_type_id=limited)
    refused_at(try_batch(patient, wanted), 2, 409, "TOO_MANY_OPEN_BOOKINGS")
    assert traces(db) == NOTHING
    done(try_batch(patient, wanted[:2]), 201)
    refused_at(try_batch(patient, wanted[2:]), 0, 409, "TOO_MANY_OPEN_BOOKINGS")
    done(try_batch(nurse, wanted[2:], patient_id=patient.id), 201)


def test_what_was_given_back_counts_for_no_limit(book: Book, patient: Person, db: Db) -> None:
    slots = book.slots(2)
    (other,) = make_patients(book.run, 1)
    booked(other, slots[1])
    limited = visit_type(book, 30, open_bookings_per_patient=1)
    wanted = [*visits_in(slots[0], visit_type_id=limited), *visits_in(slots[1])]
    refused_at(try_batch(patient, wanted), 1, 409, "SLOT_TAKEN")
    booked(patient, slots[0], visit_type_id=limited)


def test_visits_that_overlap_are_refused(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    elsewhere = Book(run, book.clinic, factories.make_doctor(run, book.clinic, weekly_hours=[]))
    slots = book.slot(), elsewhere.slot(TEN + QUARTER)
    refused_at(try_batch(patient, visits_in(*slots)), 1, 409, "PATIENT_DOUBLE_BOOKED")
    assert traces(db) == NOTHING


def test_a_patient_who_is_elsewhere_then_is_refused(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    elsewhere = Book(run, book.clinic, factories.make_doctor(run, book.clinic, weekly_hours=[]))
    booked(patient, elsewhere.slot(TEN + QUARTER))
    first, second = book.slots(2)
    refused_at(try_batch(patient, visits_in(second, first)), 1, 409, "PATIENT_DOUBLE_BOOKED")
    assert traces(db) == (1, 1, 0)


@pytest.mark.parametrize("count", [0, 6])
def test_a_batch_has_one_to_five_visits(book: Book, patient: Person, db: Db, count: int) -> None:
    refused(try_batch(patient, visits_in(*book.slots(count))), 422, "VALIDATION_ERROR")
    assert traces(db) == NOTHING


@pytest.mark.parametrize(
    "change",
    [
        {"visits": None},
        {"visits": {}},
        {"visits": [[]]},
        {"visits": [{"slot_id": "x"}]},
        {"visits": [{}]},
        {"visits": [{"slot_id": NOBODY, "patient_id": NOBODY}]},
        {"visits": [{"slot_id": NOBODY, "reason": "x" * 2001}]},
        {"patient_id": "me"},
        {"key": "x"},
    ],
)
def test_a_body_that_makes_no_sense_is_refused(book: Book, patient: Person, db: Db, change: dict[str, Any]) -> None:
    body = {"visits": visits_in(book.slot()), **change}
    refused(patient.client.post("/appointments/batch", json=body), 422, "VALIDATION_ERROR")
    assert traces(db) == NOTHING


def test_the_same_slot_twice_is_refused(book: Book, patient: Person, db: Db) -> None:
    slot = book.slot(capacity=2)
    body = refused(try_batch(patient, visits_in(slot, slot)), 422, "VALIDATION_ERROR")
    assert body["errors"][0]["loc"] == ["body", "visits"]
    assert traces(db) == NOTHING


def test_what_is_not_there_is_not_found(book: Book, patient: Person, nurse: Person, db: Db) -> None:
    slot = book.slot()
    missing = {"slot_id": NOBODY}
    refused_at(try_batch(patient, [*visits_in(slot), missing]), 1, 404, "SLOT_NOT_FOUND")
    unknown_type = visits_in(slot, visit_type_id=NOBODY)
    refused_at(try_batch(patient, unknown_type), 0, 404, "VISIT_TYPE_NOT_FOUND")
    answer = try_batch(nurse, visits_in(slot), patient_id=NOBODY)
    assert "index" not in refused(answer, 404, "PATIENT_NOT_FOUND")
    assert traces(db) == NOTHING


def test_another_accounts_dependant_is_not_found(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    body = {"name": "Byron Lovelace", "date_of_birth": "2030-05-12", "relation": "parent"}
    child = done(patient.client.post("/users/me/patients", json=body), 201)["id"]
    stranger = factories.make_user(run, Role.PATIENT)
    visits = visits_in(*book.slots(2))
    refused(try_batch(stranger, visits, patient_id=child), 404, "PATIENT_NOT_FOUND")
    assert traces(db) == NOTHING
    made = done(try_batch(patient, visits, patient_id=child), 201)
    assert {row["patient_id"] for row in made["items"]} == {child}


def test_staff_book_in_their_own_book_only(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    elsewhere = factories.make_clinic(run)
    theirs = Book(run, elsewhere, factories.make_doctor(run, elsewhere, weekly_hours=[]))
    nurse = factories.make_nurse(run, book.clinic)
    visits = visits_in(book.slot(), theirs.slot(TEN + 4 * QUARTER))
    refused_at(try_batch(nurse, visits, patient_id=patient.id), 1, 403, "OUTSIDE_YOUR_SCOPE")
    assert traces(db) == NOTHING


def test_rules_of_a_visit_type_hold_for_each(book: Book, patient: Person, nurse: Person, db: Db) -> None:
    first, second = book.slots(2)
    by_staff = visit_type(book, 30, bookable_by="staff")
    visits = [*visits_in(first), *visits_in(second, visit_type_id=by_staff)]
    refused_at(try_batch(patient, visits), 1, 403, "STAFF_ONLY")
    assert traces(db) == NOTHING
    done(try_batch(nurse, visits, patient_id=patient.id), 201)
