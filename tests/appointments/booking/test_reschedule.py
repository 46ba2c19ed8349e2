"""Rescheduling: to a time that is free, by whom it may be done, and what it leaves unchanged."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from backend.scheduling.slots.manual_slots import remove_slot
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    MS,
    NOBODY,
    TEN,
    Book,
    at_once,
    booked,
    done,
    history_of,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    stored,
    try_booking,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def reschedule(person: Person, appointment: dict[str, Any], slot: Any, **body: Any) -> httpx.Response:
    """Asks for another slot."""
    body = {"slot_id": str(slot.id), **body}
    return person.client.post(f"/appointments/{appointment['id']}/reschedule", json=body)


def test_an_appointment_is_rescheduled(book: Book, patient: Person) -> None:
    first, second = book.slot(TEN), book.slot(TEN + HOUR, minutes=45)
    appointment = booked(patient, first, reason="Pain")
    rescheduled = done(reschedule(patient, appointment, second))
    assert rescheduled["slot_id"] == str(second.id)
    assert (rescheduled["start"], rescheduled["end"]) == ("2037-06-01T15:00:00Z", "2037-06-01T15:45:00Z")
    unchanged = ("id", "patient_id", "patient_name", "reason", "created_by", "created_at", "status")
    assert {name: rescheduled[name] for name in unchanged} == {name: appointment[name] for name in unchanged}
    assert rescheduled["version"] == 2
    assert done(patient.client.get(f"/appointments/{appointment['id']}")) == rescheduled


def test_rescheduling_to_a_taken_slot_keeps_the_old_booking(book: Book, run: Run[Any], db: Db) -> None:
    first, second, third = book.slots(3)
    one, two, three = make_patients(run, 3)
    appointment = booked(one, first, reason="Pain")
    booked(two, second)
    before = stored(db, appointment)
    body = refused(reschedule(one, appointment, second), 409, "SLOT_TAKEN")
    assert [offer["id"] for offer in body["alternatives"]] == [str(third.id)]
    assert stored(db, appointment) == before
    refused(try_booking(three, first), 409, "SLOT_TAKEN")


def test_rescheduling_frees_the_old_time_for_everybody(book: Book, clinic: Clinic, run: Run[Any]) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    first, second = book.slots(2)
    one, two = make_patients(run, 2)
    appointment = booked(one, first)
    refused(try_booking(one, other.slot(TEN)), 409, "PATIENT_DOUBLE_BOOKED")
    done(reschedule(one, appointment, second))
    booked(two, first)
    booked(one, other.slot(TEN - 30 * MINUTE, minutes=30))
    refused(try_booking(two, second), 409, "SLOT_TAKEN")


def test_a_rescheduled_appointment_must_be_confirmed_again(
    book: Book, patient: Person, run: Run[Any], db: Db
) -> None:
    first, second, third = book.slots(3)
    appointment = booked(patient, first)
    assert done(make_transition(run, patient, appointment, "confirm", at=TEN - HOUR))["status"] == "confirmed"
    rescheduled = done(
        make_transition(run, patient, appointment, "reschedule", at=TEN - HOUR, slot_id=str(second.id))
    )
    assert rescheduled["status"] == "scheduled"
    done(make_transition(run, patient, appointment, "confirm", at=TEN - HOUR))
    done(make_transition(run, patient, appointment, "reschedule", at=TEN - HOUR, slot_id=str(third.id)))
    assert pending_messages(db, appointment) == [
        ("booked", "patient", 0),
        ("confirmed", "doctor", 0),
        ("rescheduled", "patient", 1),
        ("confirmed", "doctor", 1),
        ("rescheduled", "patient", 2),
    ]


def test_the_history_says_who_rescheduled_and_from_when(
    book: Book, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    rescheduled = done(
        make_transition(run, nurse, appointment, "reschedule", at=TEN - 2 * HOUR, slot_id=str(second.id))
    )
    assert history_of(rescheduled) == [("book", "scheduled", "patient"), ("reschedule", "scheduled", "nurse")]
    last = rescheduled["history"][1]
    assert (last["by"], last["by_name"]) == (nurse.id, nurse.user.name)
    assert (last["at"], last["start"]) == ("2037-06-01T12:00:00Z", "2037-06-01T14:30:00Z")
    assert rescheduled["updated_at"] == last["at"]
    assert rescheduled["history"][0]["start"] == "2037-06-01T14:00:00Z"


def test_rescheduling_to_another_doctor_and_clinic(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    elsewhere = factories.make_clinic(run, time_zone="Pacific/Auckland", city="Auckland")
    doctor = factories.make_doctor(run, elsewhere, weekly_hours=[], specialty="Neurology")
    there = Book(run=run, clinic=elsewhere, doctor=doctor)
    slot = there.slot(TEN + 8 * HOUR)  # 10:00 on Tuesday in Auckland
    appointment = booked(patient, book.slot())
    rescheduled = done(reschedule(patient, appointment, slot))
    assert (rescheduled["doctor_id"], rescheduled["doctor_name"]) == (doctor.id, doctor.user.name)
    assert (rescheduled["clinic_id"], rescheduled["clinic_name"]) == (str(elsewhere.id), elsewhere.name)
    assert (rescheduled["specialty"], rescheduled["time_zone"]) == ("Neurology", "Pacific/Auckland")
    assert stored(db, rescheduled)["clinic_day"] == "2037-06-02"
    assert done(doctor.client.get(f"/appointments/{rescheduled['id']}"))["id"] == rescheduled["id"]
    answer = book.doctor.client.get(f"/appointments/{rescheduled['id']}")
    refused(answer, 404, "APPOINTMENT_NOT_FOUND")


def test_doctors_cannot_reschedule(book: Book, patient: Person, admin: Person) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    refused(reschedule(book.doctor, appointment, second), 403, "TRANSITION_FORBIDDEN")
    done(reschedule(admin, appointment, second))


def test_nurses_reschedule_only_to_their_clinics(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> None:
    elsewhere = factories.make_clinic(run)
    doctor = factories.make_doctor(run, elsewhere, weekly_hours=[])
    slot = Book(run=run, clinic=elsewhere, doctor=doctor).slot(TEN + HOUR)
    appointment = booked(patient, book.slot())
    refused(reschedule(nurse, appointment, slot), 403, "OUTSIDE_YOUR_SCOPE")
    done(reschedule(patient, appointment, slot))
    refused(reschedule(nurse, appointment, book.slot(TEN + DAY)), 404, "APPOINTMENT_NOT_FOUND")


def test_somebody_elses_appointment_is_not_found(book: Book, patient: Person, run: Run[Any]) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    colleague = factories.make_doctor(run, book.clinic)
    for stranger in (factories.make_user(run, Role.PATIENT), colleague, factories.make_user(run, Role.NURSE)):
        refused(reschedule(stranger, appointment, second), 404, "APPOINTMENT_NOT_FOUND")


def test_rescheduling_to_the_same_slot_is_refused(book: Book, patient: Person) -> None:
    slot = book.slot(capacity=3)
    appointment = booked(patient, slot)
    refused(reschedule(patient, appointment, slot), 422, "SAME_SLOT")
    assert done(patient.client.get(f"/appointments/{appointment['id']}"))["version"] == 1


def test_rescheduling_to_an_unknown_slot_is_refused(book: Book, patient: Person) -> None:
    appointment = booked(patient, book.slot())
    answer = patient.client.post(f"/appointments/{appointment['id']}/reschedule", json={"slot_id": NOBODY})
    refused(answer, 404, "SLOT_NOT_FOUND")


def test_rescheduling_to_a_withdrawn_or_past_slot_is_refused(book: Book, patient: Person, run: Run[Any]) -> None:
    past, withdrawn, third = book.slots(3)
    later = book.slot(TEN + DAY)
    appointment = booked(patient, later)
    run(remove_slot(withdrawn))
    body = refused(reschedule(patient, appointment, withdrawn), 409, "SLOT_NOT_OPEN")
    assert [offer["id"] for offer in body["alternatives"]] == [str(past.id), str(third.id)]
    answer = make_transition(run, patient, appointment, "reschedule", at=TEN, slot_id=str(past.id))
    refused(answer, 409, "SLOT_NOT_OPEN")


def test_an_appointment_that_has_started_is_not_rescheduled(book: Book, patient: Person, run: Run[Any]) -> None:
    first, *others = book.slots(4)
    appointment = booked(patient, first)
    for moment in (TEN, TEN + MS, TEN + HOUR):
        answer = make_transition(run, patient, appointment, "reschedule", at=moment, slot_id=str(others[-1].id))
        refused(answer, 409, "TOO_LATE")
    done(make_transition(run, patient, appointment, "reschedule", at=TEN - MS, slot_id=str(others[-1].id)))


def test_cancelled_or_checked_in_appointments_stay(book: Book, run: Run[Any], nurse: Person) -> None:
    first, second, third = book.slots(3)
    one, two = make_patients(run, 2)
    cancelled, arrived = booked(one, first), booked(two, second)
    done(make_transition(run, one, cancelled, "cancel"))
    refused(reschedule(one, cancelled, third), 409, "INVALID_TRANSITION")
    done(make_transition(run, nurse, arrived, "check-in", at=TEN - 10 * MINUTE))
    answer = make_transition(run, two, arrived, "reschedule", at=TEN - 10 * MINUTE, slot_id=str(third.id))
    refused(answer, 409, "INVALID_TRANSITION")


def test_a_patient_busy_at_the_new_time_keeps_the_old_one(
    book: Book, patient: Person, clinic: Clinic, run: Run[Any], db: Db
) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    first, second = book.slots(2)
    appointment = booked(patient, first)
    booked(patient, other.slot(TEN + 45 * MINUTE))
    before = stored(db, appointment)
    refused(reschedule(patient, appointment, second), 409, "PATIENT_DOUBLE_BOOKED")
    assert stored(db, appointment) == before


def test_rescheduling_may_overlap_the_old_time(book: Book, patient: Person, clinic: Clinic, run: Run[Any]) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    appointment = booked(patient, book.slot(TEN, minutes=60))
    done(reschedule(patient, appointment, other.slot(TEN + 30 * MINUTE, minutes=60)))


def test_rescheduling_applies_to_the_version_that_was_read(book: Book, patient: Person) -> None:
    first, second, third = book.slots(3)
    appointment = booked(patient, first)
    done(reschedule(patient, appointment, second, version=1))
    refused(reschedule(patient, appointment, third, version=1), 409, "APPOINTMENT_CHANGED")
    assert done(reschedule(patient, appointment, third, version=2))["slot_id"] == str(third.id)


def test_of_many_who_reschedule_to_one_slot_one_succeeds(book: Book, run: Run[Any], db: Db) -> None:
    *slots, wanted = book.slots(7)
    people = make_patients(run, 6)
    appointments = [booked(person, slot) for person, slot in zip(people, slots, strict=True)]
    pairs = list(zip(people, appointments, strict=True))
    answers = at_once(*(lambda p=person, a=appointment: reschedule(p, a, wanted) for person, appointment in pairs))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    for slot, answer in zip(slots, answers, strict=True):
        held = db["appointments"].count_documents({"seats.slot": slot.id, "active": True})
        assert held == (0 if answer.status_code == 200 else 1)
    assert db["appointments"].count_documents({"seats.slot": wanted.id, "active": True}) == 1


def test_rescheduling_and_cancelling_at_once_match_the_state(book: Book, run: Run[Any], db: Db) -> None:
    slots, targets = book.slots(6), book.slots(6, TEN + DAY)
    for patient, slot, target in zip(make_patients(run, 6), slots, targets, strict=True):
        appointment = booked(patient, slot)
        answers = at_once(
            lambda p=patient, a=appointment, t=target: reschedule(p, a, t),  # type: ignore[misc]
            lambda p=patient, a=appointment: p.client.post(f"/appointments/{a['id']}/cancel"),  # type: ignore[misc]
        )
        granted = [answer.json()["status"] for answer in answers if answer.status_code == 200]
        found = stored(db, appointment)
        assert granted
        assert (found["status"], found["active"]) == (
            ("cancelled", False) if "cancelled" in granted else ("scheduled", True)
        )
        assert len(found["history"]) == found["version"] == 1 + len(granted)


def test_an_appointment_leaves_a_withdrawn_slot(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    listed = run(remove_slot(first))
    assert [str(holder.id) for holder in listed] == [appointment["id"]]
    rescheduled = done(reschedule(patient, appointment, second))
    assert rescheduled["slot_id"] == str(second.id)
    (other,) = make_patients(run, 1)
    refused(try_booking(other, first), 409, "SLOT_NOT_OPEN")
    assert stored(db, rescheduled)["seats"][0]["seat"] == 0


def test_two_patients_may_change_places_by_way_of_a_third_slot(book: Book, run: Run[Any]) -> None:
    first, second, third = book.slots(3)
    one, two = make_patients(run, 2)
    a, b = booked(one, first), booked(two, second)
    refused(reschedule(one, a, second), 409, "SLOT_TAKEN")
    for person, appointment, slot in ((one, a, third), (two, b, first), (one, a, second)):
        done(reschedule(person, appointment, slot))


@pytest.mark.parametrize("capacity", [1, 3])
def test_rescheduling_takes_a_seat_and_frees_one(book: Book, run: Run[Any], db: Db, capacity: int) -> None:
    first, second = book.slots(2, capacity=capacity)
    people = make_patients(run, capacity * 2)
    appointments = [booked(person, first) for person in people[:capacity]]
    for person, appointment in zip(people, appointments, strict=False):
        done(reschedule(person, appointment, second))
    for person in people[capacity:]:
        refused(try_booking(person, second), 409, "SLOT_TAKEN")
        booked(person, first)
    for slot in (first, second):
        held = db["appointments"].find({"seats.slot": slot.id, "active": True})
        assert sorted(row["seats"][0]["seat"] for row in held) == list(range(capacity))
