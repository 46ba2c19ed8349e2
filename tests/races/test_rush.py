"""Everybody at once, at two server processes: the indexes decide, and nobody gets what another has."""

from collections import Counter
from typing import Any

import httpx
import pytest

from tests import factories
from tests.factories import Person, Run
from tests.races.rush import all_at_once, post
from tests.races.support import (
    HOUR,
    Db,
    add_slot,
    forget_appointments,
    make_book,
    people,
    said,
    small_clinic,
    tomorrow,
)
from tests.support.book import check_book

pytestmark = pytest.mark.races

Servers = tuple[str, str]


def said_by_all(answers: list[httpx.Response]) -> Counter[str]:
    """How often each answer was given."""
    return Counter(said(answer) for answer in answers)


def test_two_hundred_patients_get_as_many_seats_as_there_are(run: Run[Any], db: Db, two_servers: Servers) -> None:
    crowd = people(run, 200)
    for capacity in (1, 3):
        book = make_book(run, capacity=capacity)
        wanted = {"slot_id": str(book.slot.id)}
        answers = all_at_once(two_servers, [post(person, "/appointments", wanted) for person in crowd])
        assert said_by_all(answers) == {"201": capacity, "SLOT_TAKEN": 200 - capacity}
        granted = {answer.json()["patient_id"] for answer in answers if answer.status_code == 201}
        held = list(db["appointments"].find({"seats.slot": book.slot.id, "active": True}))
        assert {str(row["patient_id"]) for row in held} == granted
        assert len(held) == capacity
        check_book(db)
        forget_appointments(db)


@pytest.mark.long
def test_a_patient_cannot_be_with_two_doctors_at_once(run: Run[Any], db: Db, two_servers: Servers) -> None:
    first = make_book(run)
    second = make_book(run, clinic=first.clinic)
    later = add_slot(run, second.doctor, second.clinic, first.slot.start + 1.5 * HOUR)
    early = add_slot(run, first.doctor, first.clinic, first.slot.start + HOUR)
    for one, other in ((first.slot, second.slot), (early, later)):
        for person in people(run, 10):
            calls = [post(person, "/appointments", {"slot_id": str(slot.id)}) for slot in (one, other) * 2]
            answers = all_at_once(two_servers, calls)
            counts = said_by_all(answers)
            assert counts["201"] == 1, counts
            assert counts["PATIENT_DOUBLE_BOOKED"] >= 2, counts
            check_book(db)
            granted = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
            assert person.client.post(f"/appointments/{granted}/cancel").status_code == 200


@pytest.mark.long
def test_two_overlapping_slots_made_at_once_are_one(
    run: Run[Any], db: Db, two_servers: Servers, admin: Person
) -> None:
    admins = (admin, factories.make_user(run, "admin"))
    book = make_book(run)
    for hour in range(8, 15):
        for minutes in (0, 25):
            starts = (tomorrow(hour), tomorrow(hour) + minutes * HOUR / 60)
            body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "minutes": 30}
            answers = all_at_once(
                two_servers,
                [
                    post(person, "/slots", {**body, "start": start.isoformat()})
                    for person, start in zip(admins, starts, strict=True)
                ],
            )
            assert said_by_all(answers) == {"201": 1, "SLOT_OVERLAPS": 1}
            check_book(db)
            [made] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
            assert admin.client.delete(f"/slots/{made}").status_code == 200


@pytest.mark.long
def test_of_a_hundred_patients_the_daily_limit_takes_five(run: Run[Any], db: Db, two_servers: Servers) -> None:
    crowd = people(run, 100)
    for capacity in (1, 5):
        clinic = small_clinic(run)
        doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=5)
        slots = [
            add_slot(run, doctor, clinic, tomorrow(9) + number * HOUR / 2, capacity, minutes=30)
            for number in range(20)
        ]
        calls = [
            post(person, "/appointments", {"slot_id": str(slots[number % 20].id)})
            for number, person in enumerate(crowd)
        ]
        counts = said_by_all(all_at_once(two_servers, calls))
        assert counts["201"] == 5
        assert counts["DAY_FULL"] + counts["SLOT_TAKEN"] == 95
        # A slot whose only seat is taken may be said to be that. The seats of the others are never all taken.
        assert counts["SLOT_TAKEN"] <= (20 if capacity == 1 else 0)
        check_book(db)
        forget_appointments(db)


@pytest.mark.long
def test_fifty_repeats_at_once_make_one_appointment(run: Run[Any], db: Db, two_servers: Servers) -> None:
    for capacity in (1, 3):
        book = make_book(run, capacity=capacity)
        [person] = people(run, 1)
        wanted = {"slot_id": str(book.slot.id), "reason": "Cough"}
        calls = [post(person, "/appointments", wanted, Idempotency_Key="the-same")] * 50
        answers = all_at_once(two_servers, calls)
        assert said_by_all(answers) == {"201": 50}
        assert len({answer.json()["id"] for answer in answers}) == 1
        replayed = [answer for answer in answers if answer.headers.get("Idempotent-Replayed") == "true"]
        assert len(replayed) == 49
        assert db["appointments"].count_documents({"patient_id": person.object_id}) == 1
        check_book(db)
        # Nor does it make another when the first is no longer in the way.
        made = answers[0].json()["id"]
        assert person.client.post(f"/appointments/{made}/cancel").status_code == 200
        again = all_at_once(two_servers, calls)
        assert {(said(answer), answer.json()["id"]) for answer in again} == {("201", made)}


def test_staff_who_book_one_patient_at_once_make_one_booking(
    run: Run[Any], db: Db, two_servers: Servers, admin: Person
) -> None:
    book = make_book(run, capacity=5)
    nurse = factories.make_nurse(run, book.clinic)
    for person in people(run, 3):
        wanted = {"slot_id": str(book.slot.id), "patient_id": person.id}
        callers = (admin, nurse, book.doctor, admin, nurse)
        counts = said_by_all(all_at_once(two_servers, [post(who, "/appointments", wanted) for who in callers]))
        assert counts == {"201": 1, "PATIENT_DOUBLE_BOOKED": 4}
    check_book(db)
