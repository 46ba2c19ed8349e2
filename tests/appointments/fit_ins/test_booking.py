"""Fitting patients in: over taken time and after hours, the seats it takes, how it shows, and what is refused."""

from typing import Any

import pytest
from pymongo.database import Database

from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.fit_ins.support import (
    EVENING,
    WHY,
    fitted_in,
    free_seats,
    read,
    span,
    try_fit_in,
    wanted,
)
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    NOBODY,
    NOW,
    TEN,
    Book,
    at_once,
    booked,
    done,
    history_of,
    make_patients,
    pending_messages,
    refused,
    stored,
    try_booking,
)
from tests.appointments.visits import visit_type
from tests.factories import Person, Run
from tests.support.book import check_book

Db = Database[dict[str, Any]]


def test_a_patient_is_fitted_in_over_taken_time(book: Book, nurse: Person, run: Run[Any], db: Db) -> None:
    first, second, third = make_patients(run, 3)
    slot = book.slot()
    booked(first, slot)
    for urgent in (second, third):  # two without a seat: no index refuses the second
        found = fitted_in(nurse, book, urgent)
        assert (found["slot_id"], found["slot_ids"], found["overbooked"]) == (None, [], True)
        assert (found["start"], found["end"]) == ("2037-06-01T14:00:00Z", "2037-06-01T14:30:00Z")
        assert history_of(found) == [("book", "scheduled", "nurse")]
        assert pending_messages(db, found) == [("booked", "patient", 0)]
        assert "recheck_at" not in stored(db, found)
    check_book(db)


def test_a_patient_is_fitted_in_after_hours(book: Book, admin: Person, patient: Person, db: Db) -> None:
    found = fitted_in(admin, book, patient, EVENING, 45)
    assert (found["start"], found["end"]) == ("2037-06-02T01:30:00Z", "2037-06-02T02:15:00Z")
    assert (found["doctor_name"], found["clinic_name"]) == (book.doctor.user.name, book.clinic.name)
    assert stored(db, found)["clinic_day"] == "2037-06-01"
    check_book(db)


def test_a_fit_in_takes_the_seats_that_are_free(
    book: Book, nurse: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    taken, free, next_free = book.slots(3)
    booked(make_patients(run, 1)[0], taken)
    found = fitted_in(nurse, book, patient, TEN + 10 * MINUTE, 50)
    assert (found["slot_id"], found["slot_ids"]) == (None, [str(free.id)])
    assert stored(db, found)["overbooked_slots"] == [taken.id]
    assert list(free_seats(nurse, book)) == [str(next_free.id)]
    (late,) = make_patients(run, 1)
    refused(try_booking(late, free), 409, "SLOT_TAKEN")
    check_book(db)


def test_a_fit_in_takes_one_seat_of_several(book: Book, nurse: Person, run: Run[Any], db: Db) -> None:
    slot = book.slot(capacity=3)
    people = make_patients(run, 5)
    booked(people[0], slot)
    assert [len(fitted_in(nurse, book, each)["slot_ids"]) for each in people[1:4]] == [1, 1, 0]
    assert free_seats(nurse, book) == {}
    refused(try_booking(people[4], slot), 409, "SLOT_TAKEN")
    check_book(db)


def test_who_leaves_gives_the_seat_to_the_fit_in(book: Book, nurse: Person, patient: Person, db: Db) -> None:
    """Nobody else books what the doctor no longer has."""
    one, other = make_patients(book.run, 2)
    slot = book.slot()
    made = booked(one, slot)
    urgent = fitted_in(nurse, book, patient)
    done(one.client.post(f"/appointments/{made['id']}/cancel"))
    assert read(nurse, urgent)["slot_ids"] == [str(slot.id)]
    assert free_seats(nurse, book) == {}
    refused(try_booking(other, slot), 409, "SLOT_TAKEN")
    done(nurse.client.post(f"/appointments/{urgent['id']}/cancel"))
    assert free_seats(nurse, book) == {str(slot.id): 1}
    booked(other, slot)
    check_book(db)


def test_a_fit_in_is_shown_as_such_and_its_why_to_staff_alone(
    book: Book, nurse: Person, patient: Person, admin: Person
) -> None:
    answer = fitted_in(nurse, book, patient, reason="Fever")
    assert (answer["overbook_why"], answer["history"][0]["overbook_why"]) == (WHY, WHY)
    assert (answer["history"][0]["by"], answer["history"][0]["by_role"]) == (nurse.id, "nurse")
    for person, why in ((nurse, WHY), (admin, WHY), (book.doctor, WHY), (patient, None)):
        found = read(person, answer)
        assert (found["overbooked"], found["overbook_why"], found["slot_id"]) == (True, why, None)
        assert found["history"][0]["overbook_why"] == why
        (row,) = done(person.client.get("/appointments"))["items"]
        assert (row["overbooked"], row["overbook_why"], row["slot_id"]) == (True, why, None)
        ics = person.client.get(f"/appointments/{answer['id']}/calendar.ics").text.replace("\r\n ", "")
        assert ("(fit-in)" in ics, WHY in ics) == (why is not None, False)
    ordinary = booked(patient, book.slot(TEN + HOUR))
    assert (ordinary["overbooked"], ordinary["overbook_why"]) == (False, None)
    rows = done(patient.client.get("/appointments"))["items"]
    assert [row["overbooked"] for row in rows] == [True, False]


def test_a_fit_in_is_returned_as_it_is_read(book: Book, nurse: Person, patient: Person) -> None:
    answer = fitted_in(nurse, book, patient)
    assert {**answer, "allowed_actions": None} == {**read(nurse, answer), "allowed_actions": None}


def test_a_patient_cannot_be_in_two_places(
    book: Book, nurse: Person, patient: Person, clinic: Clinic, db: Db
) -> None:
    elsewhere = Book(run=book.run, clinic=clinic, doctor=factories.make_doctor(book.run, clinic, weekly_hours=[]))
    booked(patient, elsewhere.slot())
    refused(try_fit_in(nurse, book, patient, TEN + 25 * MINUTE), 409, "PATIENT_DOUBLE_BOOKED")
    fitted_in(nurse, book, patient, TEN + 30 * MINUTE)
    refused(try_fit_in(nurse, elsewhere, patient, TEN + 55 * MINUTE), 409, "PATIENT_DOUBLE_BOOKED")
    assert db["appointments"].count_documents({"start": {"$gt": NOW}}) == 2


def test_a_full_day_takes_a_fit_in_and_counts_it(clinic: Clinic, nurse: Person, run: Run[Any], db: Db) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=2)
    book = Book(run=run, clinic=clinic, doctor=doctor)
    one, two, three, four = make_patients(run, 4)
    first, second, third = book.slots(3)
    booked(one, first)
    fitted_in(nurse, book, two, EVENING)
    assert free_seats(nurse, book) == {}
    refused(try_booking(three, second), 409, "DAY_FULL")
    fitted_in(nurse, book, three)
    fitted_in(nurse, book, four, third.start)
    assert "daily_number" not in stored(db, fitted_in(nurse, book, one, EVENING))
    check_book(db)


def test_a_visit_type_names_the_fit_in(book: Book, nurse: Person, patient: Person, clinic: Clinic) -> None:
    kind = visit_type(book, 20, minimum_notice_minutes=24 * 60, open_bookings_per_patient=1)
    found = fitted_in(nurse, book, patient, visit_type_id=kind)
    assert (found["visit_type_id"], found["end"]) == (kind, "2037-06-01T14:30:00Z")
    assert found["history"][0]["exempt_from"] == ["minimum_notice"]
    elsewhere = Book(run=book.run, clinic=factories.make_clinic(book.run), doctor=book.doctor)
    other = visit_type(elsewhere, 20)
    refused(try_fit_in(nurse, book, patient, TEN + HOUR, visit_type_id=other), 422, "VISIT_TYPE_NOT_OFFERED")
    refused(try_fit_in(nurse, book, patient, TEN + HOUR, visit_type_id=NOBODY), 404, "VISIT_TYPE_NOT_FOUND")


def test_a_repeated_request_is_the_same_fit_in(book: Book, nurse: Person, patient: Person, db: Db) -> None:
    first = try_fit_in(nurse, book, patient, key="once")
    again = try_fit_in(nurse, book, patient, key="once")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first.json()
    refused(try_fit_in(nurse, book, patient, key="once", why="Else"), 422, "IDEMPOTENCY_KEY_REUSED")
    refused(try_booking(nurse, book.slot(), key="once", patient_id=patient.id), 422, "IDEMPOTENCY_KEY_REUSED")
    at_the_same_moment = at_once(*[lambda: try_fit_in(nurse, book, patient, EVENING, key="twice")] * 4)
    assert len({done(answer, 201)["id"] for answer in at_the_same_moment}) == 1
    assert db["appointments"].count_documents({"start": {"$gt": NOW}}) == 2


def test_staff_fit_in_until_the_end_and_as_far_ahead_as_they_book(
    book: Book, nurse: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    with clock.stopped(TEN + 29 * MINUTE):
        staff = factories.log_in(run, nurse.user)
        found = fitted_in(staff, book, patient)
        assert pending_messages(db, found) == []  # the patient is there
    with clock.stopped(TEN + 30 * MINUTE):
        refused(try_fit_in(factories.log_in(run, nurse.user), book, patient), 422, "IN_THE_PAST")
    fitted_in(nurse, book, patient, TEN + 60 * DAY)
    refused(try_fit_in(nurse, book, patient, TEN + 61 * DAY), 422, "BEYOND_HORIZON")


@pytest.mark.parametrize("absence", ["leave", "closure"])
def test_nobody_is_fitted_in_where_nobody_is(
    book: Book, nurse: Person, admin: Person, patient: Person, db: Db, absence: str
) -> None:
    path = f"/doctors/{book.doctor.id}/leaves" if absence == "leave" else f"/clinics/{book.clinic.id}/closures"
    done(admin.client.post(path, json=span()), 201)
    refused(try_fit_in(nurse, book, patient, TEN + 55 * MINUTE), 409, "TIME_NOT_AVAILABLE")
    assert db["appointments"].count_documents({"start": {"$gt": NOW}}) == 0
    fitted_in(nurse, book, patient, TEN + 60 * MINUTE)


def test_inactive_doctors_and_other_clinics_are_refused(book: Book, admin: Person, patient: Person) -> None:
    elsewhere = Book(run=book.run, clinic=factories.make_clinic(book.run), doctor=book.doctor)
    refused(try_fit_in(admin, elsewhere, patient), 422, "NOT_THE_DOCTORS_CLINIC")
    done(admin.client.delete(f"/doctors/{book.doctor.id}"))
    refused(try_fit_in(admin, book, patient), 409, "TIME_NOT_AVAILABLE")


def test_only_staff_fit_in_and_only_within_their_reach(
    book: Book, nurse: Person, patient: Person, admin: Person, run: Run[Any]
) -> None:
    refused(try_fit_in(patient, book, None), 403, "STAFF_ONLY")
    other_clinic = factories.make_clinic(run)
    for stranger in (factories.make_doctor(run, book.clinic), factories.make_nurse(run, other_clinic)):
        refused(try_fit_in(stranger, book, patient), 403, "OUTSIDE_YOUR_SCOPE")
    for staff, hours in ((nurse, 0), (book.doctor, 1), (admin, 2)):
        fitted_in(staff, book, patient, TEN + hours * HOUR)


@pytest.mark.parametrize(
    ("field", "code"),
    [("doctor_id", "DOCTOR_NOT_FOUND"), ("clinic_id", "CLINIC_NOT_FOUND"), ("patient_id", "PATIENT_NOT_FOUND")],
)
def test_unknown_ids_are_not_found(book: Book, nurse: Person, patient: Person, field: str, code: str) -> None:
    refused(try_fit_in(nurse, book, patient, **{field: NOBODY}), 404, code)
    if field != "clinic_id":  # a clinic's id is nobody's
        refused(try_fit_in(nurse, book, patient, **{field: str(book.clinic.id)}), 404, code)


NONSENSE: list[dict[str, Any]] = [
    *({"minutes": minutes} for minutes in (0, -5, 7, 10_000, 485, "many", None, 12.5)),
    *({"start": start} for start in ("2037-06-01", "tomorrow", "2037-06-01T10:00:00", 5, None)),
    *({"why": why} for why in ("", "  ", None, "x" * 2001, 7)),
    *({"overbook": value} for value in (False, None, "perhaps")),
    {"slot_id": NOBODY},
    {"doctor_id": None},
    {"clinic_id": "x"},
    {"overbooked": True},
]


def test_nonsense_is_refused_and_nothing_written(book: Book, nurse: Person, patient: Person, db: Db) -> None:
    for change in NONSENSE:
        body = {**wanted(book, patient), **change}
        refused(nurse.client.post("/appointments", json=body), 422, "VALIDATION_ERROR")
    assert db["appointments"].count_documents({"start": {"$gt": NOW}}) == 0


def test_a_start_between_ticks_and_a_missing_patient_are_refused(book: Book, nurse: Person, patient: Person) -> None:
    refused(try_fit_in(nurse, book, patient, TEN + MINUTE), 422, "START_NOT_ALIGNED")
    refused(try_fit_in(nurse, book, None), 422, "PATIENT_REQUIRED")


def test_a_slot_takes_no_fields_of_a_fit_in(book: Book, nurse: Person, patient: Person) -> None:
    slot_id = str(book.slot().id)
    for field in ("doctor_id", "clinic_id", "start", "minutes", "why"):
        body = wanted(book, patient)
        both = {"slot_id": slot_id, "patient_id": patient.id, field: body.pop(field)}
        refused(nurse.client.post("/appointments", json=both), 422, "VALIDATION_ERROR")
        refused(nurse.client.post("/appointments", json=body), 422, "VALIDATION_ERROR")
