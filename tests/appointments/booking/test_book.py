"""Booking: who may book for whom and into whose book, and what is then written down."""

from typing import Any

import httpx
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.accounts.users import update_user
from backend.directory.documents import Clinic
from backend.patients.records import deactivate_patient
from tests import factories
from tests.appointments.support import (
    NOBODY,
    NOW,
    TEN,
    Book,
    booked,
    done,
    history_of,
    instant,
    pending_messages,
    refused,
    stored,
    try_booking,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def test_a_patient_books_a_seat(book: Book, patient: Person) -> None:
    slot = book.slot()
    answer = try_booking(patient, slot, reason="Yearly check-up")
    appointment = done(answer, 201)
    shown = {
        "patient_id": patient.id,
        "patient_name": patient.user.name,
        "doctor_id": book.doctor.id,
        "doctor_name": book.doctor.user.name,
        "specialty": "Cardiology",
        "clinic_id": str(book.clinic.id),
        "clinic_name": book.clinic.name,
        "time_zone": "America/New_York",
        "slot_id": str(slot.id),
        "start": "2037-06-01T14:00:00Z",
        "end": "2037-06-01T14:30:00Z",
        "status": "scheduled",
        "reason": "Yearly check-up",
        "notes": None,
        "version": 1,
        "cancelled_at": None,
        "created_by": patient.account_id,
        "created_at": "2037-06-01T10:00:00Z",
    }
    assert {name: appointment[name] for name in shown} == shown
    found = done(patient.client.get(f"/appointments/{appointment['id']}"))
    assert {**found, "allowed_actions": None} == appointment


def test_the_answer_says_where_the_appointment_is(book: Book, patient: Person, base_url: str) -> None:
    answer = try_booking(patient, book.slot())
    assert answer.headers["Location"] == f"/api/v1/appointments/{answer.json()['id']}"
    found = httpx.get(base_url + answer.headers["Location"], headers=dict(patient.client.headers))
    assert done(found)["id"] == answer.json()["id"]
    assert "Idempotent-Replayed" not in answer.headers


def test_the_history_begins_with_the_booking(book: Book, patient: Person, nurse: Person) -> None:
    first, second = book.slots(2)
    by_patient = booked(patient, first)
    assert by_patient["history"] == [
        {
            "transition": "book",
            "status": "scheduled",
            "at": "2037-06-01T10:00:00Z",
            "by": patient.account_id,
            "by_name": patient.user.name,
            "by_role": "patient",
            "reason": None,
            "start": "2037-06-01T14:00:00Z",
            "exempt_from": None,
            "overbook_why": None,
        }
    ]
    by_nurse = booked(nurse, second, patient_id=patient.id)
    assert history_of(by_nurse) == [("book", "scheduled", "nurse")]
    assert by_nurse["history"][0]["by"] == by_nurse["created_by"] == nurse.id


def test_a_booking_adds_a_pending_message_to_the_patient(book: Book, patient: Person, db: Db) -> None:
    appointment = booked(patient, book.slot())
    assert pending_messages(db, appointment) == [("booked", "patient", 0)]
    assert stored(db, appointment)["pending_messages"][0]["pending_since"] == NOW


def test_patients_may_name_themselves(book: Book, patient: Person) -> None:
    assert booked(patient, book.slot(), patient_id=patient.id)["patient_id"] == patient.id


def test_a_patient_cannot_book_for_another_patient(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    other = factories.make_user(run, Role.PATIENT)
    slot = book.slot()
    for patient_id in (other.id, NOBODY, book.doctor.id):
        refused(try_booking(patient, slot, patient_id=patient_id), 404, "PATIENT_NOT_FOUND")
    assert db["appointments"].count_documents({}, hint=[("_id", 1)]) == 0


def test_the_staff_book_for_a_patient(
    book: Book, patient: Person, nurse: Person, admin: Person, run: Run[Any]
) -> None:
    staff = (book.doctor, nurse, admin)
    for person, slot in zip(staff, book.slots(3), strict=True):
        appointment = booked(person, slot, patient_id=patient.id)
        assert appointment["patient_name"] == patient.user.name
        assert appointment["created_by"] == person.id
        assert done(patient.client.get(f"/appointments/{appointment['id']}"))["id"] == appointment["id"]


def test_the_staff_must_say_for_whom(book: Book, nurse: Person, admin: Person) -> None:
    slot = book.slot()
    for person in (book.doctor, nurse, admin):
        refused(try_booking(person, slot), 422, "PATIENT_REQUIRED")
        refused(try_booking(person, slot, patient_id=None), 422, "PATIENT_REQUIRED")


def test_the_staff_cannot_book_for_somebody_who_is_no_patient(book: Book, nurse: Person, admin: Person) -> None:
    slot = book.slot()
    for person in (book.doctor, nurse, admin):
        for somebody in (NOBODY, book.doctor.id, nurse.id, admin.id, str(slot.id)):
            refused(try_booking(person, slot, patient_id=somebody), 404, "PATIENT_NOT_FOUND")


def test_nobody_books_for_a_patient_who_was_deactivated(
    book: Book, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    slot = book.slot()
    run(deactivate_patient(patient.object_id))
    for person in (nurse, patient):
        refused(try_booking(person, slot, patient_id=patient.id), 404, "PATIENT_NOT_FOUND")
    refused(try_booking(patient, slot), 422, "PATIENT_REQUIRED")


def test_doctors_book_only_their_own_slots(book: Book, patient: Person, clinic: Clinic, run: Run[Any]) -> None:
    colleague = factories.make_doctor(run, clinic, weekly_hours=[])
    slot = book.slot()
    refused(try_booking(colleague, slot, patient_id=patient.id), 403, "OUTSIDE_YOUR_SCOPE")
    booked(book.doctor, slot, patient_id=patient.id)


def test_nurses_book_only_at_their_clinics(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> None:
    elsewhere = factories.make_nurse(run, factories.make_clinic(run))
    of_none = factories.make_user(run, Role.NURSE)
    slot = book.slot()
    for stranger in (elsewhere, of_none):
        refused(try_booking(stranger, slot, patient_id=patient.id), 403, "OUTSIDE_YOUR_SCOPE")
    booked(nurse, slot, patient_id=patient.id)


def test_a_nurse_cannot_book_at_the_doctors_other_clinic(
    patient: Person, nurse: Person, clinic: Clinic, run: Run[Any]
) -> None:
    other = factories.make_clinic(run)
    both = factories.make_doctor(run, clinic, clinic_ids=[clinic.clinic_id, other.clinic_id], weekly_hours=[])
    there = Book(run=run, clinic=other, doctor=both).slot()
    refused(try_booking(nurse, there, patient_id=patient.id), 403, "OUTSIDE_YOUR_SCOPE")
    here = Book(run=run, clinic=clinic, doctor=both).slot(TEN.replace(hour=16))
    booked(nurse, here, patient_id=patient.id)


def test_nobody_books_without_logging_in(book: Book, api: httpx.Client) -> None:
    answer = api.post("/appointments", json={"slot_id": str(book.slot().id)})
    refused(answer, 401, "NOT_AUTHENTICATED")


def test_a_renamed_patient_keeps_the_old_name_in_the_history(book: Book, patient: Person, run: Run[Any]) -> None:
    former = patient.user.name
    appointment = booked(patient, book.slot())
    run(update_user(patient.user.user_id, {"name": "Ada King"}))
    found = done(patient.client.get(f"/appointments/{appointment['id']}"))
    assert found["patient_name"] == "Ada King"
    assert found["history"][0]["by_name"] == former


def test_a_reason_is_kept_as_it_was_written(book: Book, patient: Person) -> None:
    reasons = ["Ünïcödé – 頭痛 🤕", "two\nlines", "x" * 2000, "", None]
    for reason, slot in zip(reasons, book.slots(5), strict=True):
        assert booked(patient, slot, reason=reason)["reason"] == reason


def test_times_in_answers_are_utc(book: Book, patient: Person) -> None:
    appointment = booked(patient, book.slot())
    for name in ("start", "end", "created_at", "updated_at"):
        assert appointment[name].endswith("Z")
        assert instant(appointment[name]).utcoffset() is not None
