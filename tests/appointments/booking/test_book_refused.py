"""Slots that can't be booked: which error each is, that nothing is written, and what is offered instead."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from backend.scheduling.directory_changes import deactivate_doctor
from backend.scheduling.slots.manual_slots import remove_slot
from backend.scheduling.slots.withdrawal import withdraw
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    MS,
    NOBODY,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    make_transition,
    refused,
    try_booking,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def offered(answer: httpx.Response) -> list[str]:
    """The ids of the slots that a refusal names."""
    return [slot["id"] for slot in answer.json()["alternatives"]]


def test_a_slot_that_never_was_is_not_found(patient: Person, nurse: Person) -> None:
    body = {"slot_id": NOBODY, "patient_id": patient.id}
    for person in (patient, nurse):
        refused(person.client.post("/appointments", json=body), 404, "SLOT_NOT_FOUND")


def test_the_id_of_something_else_is_no_slot(patient: Person, book: Book) -> None:
    answer = patient.client.post("/appointments", json={"slot_id": book.doctor.id})
    refused(answer, 404, "SLOT_NOT_FOUND")


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_withdrawn_slot_cannot_be_booked(
    book: Book, patient: Person, run: Run[Any], db: Db, *, by_hand: bool
) -> None:
    slot, *others = book.slots(3)
    run(remove_slot(slot) if by_hand else withdraw([slot.id]))
    answer = try_booking(patient, slot)
    refused(answer, 409, "SLOT_NOT_OPEN")
    assert offered(answer) == [str(other.id) for other in others]
    assert db["appointments"].count_documents({"patient_id": patient.object_id}) == 0


def test_a_deactivated_doctors_slots_cannot_be_booked(book: Book, patient: Person, run: Run[Any]) -> None:
    slot, _ = book.slots(2)
    run(deactivate_doctor(book.doctor.user))
    answer = try_booking(patient, slot)
    refused(answer, 409, "SLOT_NOT_OPEN")
    assert offered(answer) == []


def test_a_slot_can_be_booked_until_a_moment_before_it_begins(book: Book, run: Run[Any]) -> None:
    slot, late, later = book.slots(3)
    for person, moment in zip(make_patients(run, 3), (TEN, TEN + MS, TEN + DAY), strict=True):
        with visiting(run, person, moment) as client:
            answer = client.post("/appointments", json={"slot_id": str(slot.id)})
        refused(answer, 409, "SLOT_NOT_OPEN")
        assert offered(answer) == ([str(late.id), str(later.id)] if moment < TEN + HOUR else [])
    (person,) = make_patients(run, 1)
    with visiting(run, person, TEN - MS) as client:
        done(client.post("/appointments", json={"slot_id": str(slot.id)}), 201)


def test_a_second_patient_cannot_take_the_seat(book: Book, run: Run[Any], db: Db) -> None:
    slot, *others = book.slots(5)
    first, second = make_patients(run, 2)
    booked(first, slot)
    answer = try_booking(second, slot)
    refused(answer, 409, "SLOT_TAKEN")
    assert offered(answer) == [str(other.id) for other in others[:3]]
    assert db["appointments"].count_documents({"seats.slot": slot.id, "active": True}) == 1


def test_alternatives_look_like_search_results_and_are_bookable(book: Book, run: Run[Any], api: httpx.Client) -> None:
    slot, *_ = book.slots(5)
    first, *others = make_patients(run, 4)
    booked(first, slot)
    answer = try_booking(others[0], slot)
    found = api.get("/slots", params={"doctor_id": book.doctor.id, "limit": 3}).json()["items"]
    assert answer.json()["alternatives"] == found
    for person, offer in zip(others, offered(answer), strict=True):
        done(person.client.post("/appointments", json={"slot_id": offer}), 201)


def test_alternatives_are_the_nearest_before_and_after(book: Book, run: Run[Any], clinic: Clinic) -> None:
    """Not the earliest from now, days away from the time that was wanted."""
    book.slots(3, TEN)
    before, wanted, after, later = book.slots(4, TEN + 3 * DAY)
    far = book.slot(TEN + 9 * DAY)
    same = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    others = [same.slot(TEN + 3 * DAY + number * HOUR) for number in (0, 1, 4)]
    skin = factories.make_doctor(run, clinic, weekly_hours=[], specialty="Dermatology", specialty_key="dermatology")
    Book(run=run, clinic=clinic, doctor=skin).slot(TEN + 3 * DAY)
    elsewhere = factories.make_clinic(run, city="Boston", city_key="boston")
    Book(run=run, clinic=elsewhere, doctor=factories.make_doctor(run, elsewhere, weekly_hours=[])).slot(TEN + 3 * DAY)
    one, two = make_patients(run, 2)
    booked(one, wanted)

    answer = try_booking(two, wanted)

    refused(answer, 409, "SLOT_TAKEN")
    own, theirs = offered(answer)[:3], offered(answer)[3:]
    assert own == [str(slot.id) for slot in (before, after, later)]
    assert sorted(theirs) == sorted(str(slot.id) for slot in others[:2])
    appointment = booked(two, far)
    answer = two.client.post(f"/appointments/{appointment['id']}/reschedule", json={"slot_id": str(wanted.id)})
    assert set(offered(answer)[:3]) == set(own)


def test_alternatives_of_the_same_doctor_are_free(book: Book, run: Run[Any]) -> None:
    gone, taken, full, withdrawn, free = book.slots(5)
    one, two, three = make_patients(run, 3)
    for person, slot in ((one, gone), (two, taken), (one, full)):
        booked(person, slot)
    run(remove_slot(withdrawn))
    with visiting(run, three, TEN + 10 * MINUTE) as client:
        answer = client.post("/appointments", json={"slot_id": str(taken.id)})
    refused(answer, 409, "SLOT_TAKEN")
    assert offered(answer) == [str(free.id)]


def test_a_patient_cannot_be_in_two_places_at_once(book: Book, patient: Person, clinic: Clinic, db: Db) -> None:
    other = Book(run=book.run, clinic=clinic, doctor=factories.make_doctor(book.run, clinic, weekly_hours=[]))
    booked(patient, book.slot(TEN, minutes=60))
    overlapping = [
        other.slot(TEN - 25 * MINUTE, minutes=30),  # ends 5 minutes into it
        other.slot(TEN + 5 * MINUTE, minutes=50),  # lies inside
        other.slot(TEN + 55 * MINUTE, minutes=5),  # its last tick
    ]
    for slot in overlapping:
        body = refused(try_booking(patient, slot), 409, "PATIENT_DOUBLE_BOOKED")
        assert "alternatives" not in body
    booked(patient, other.slot(TEN - 30 * MINUTE, minutes=5))
    booked(patient, other.slot(TEN + HOUR))
    assert db["appointments"].count_documents({"patient_id": patient.object_id}) == 3


def test_the_staff_cannot_put_a_patient_in_two_places_either(
    book: Book, patient: Person, admin: Person, clinic: Clinic
) -> None:
    other = Book(run=book.run, clinic=clinic, doctor=factories.make_doctor(book.run, clinic, weekly_hours=[]))
    booked(patient, book.slot())
    refused(try_booking(admin, other.slot(), patient_id=patient.id), 409, "PATIENT_DOUBLE_BOOKED")


def test_a_patient_cannot_hold_two_seats_of_a_slot(book: Book, patient: Person, db: Db) -> None:
    slot = book.slot(capacity=3)
    booked(patient, slot)
    for _ in range(3):
        refused(try_booking(patient, slot), 409, "PATIENT_DOUBLE_BOOKED")
    assert db["appointments"].count_documents({"seats.slot": slot.id, "active": True}) == 1


def test_a_cancelled_time_can_be_booked_again_by_anybody(book: Book, run: Run[Any]) -> None:
    slot = book.slot()
    first, second = make_patients(run, 2)
    for person in (first, second, first):
        appointment = booked(person, slot)
        done(make_transition(run, person, appointment, "cancel"))
    booked(second, slot)
    refused(try_booking(first, slot), 409, "SLOT_TAKEN")


def test_a_cancelled_time_is_free_for_the_patient_elsewhere(
    book: Book, patient: Person, clinic: Clinic, run: Run[Any]
) -> None:
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    appointment = booked(patient, book.slot())
    done(make_transition(run, patient, appointment, "cancel"))
    booked(patient, other.slot())


def test_a_refusal_by_scope_reveals_nothing_about_seats(book: Book, patient: Person, run: Run[Any]) -> None:
    slot = book.slot()
    booked(patient, slot)
    stranger = factories.make_nurse(run, factories.make_clinic(run))
    body = refused(try_booking(stranger, slot, patient_id=patient.id), 403, "OUTSIDE_YOUR_SCOPE")
    assert set(body) == {"detail", "error_code"}
    somebody = factories.make_user(run, Role.PATIENT)
    refused(try_booking(somebody, slot, patient_id=patient.id), 404, "PATIENT_NOT_FOUND")
