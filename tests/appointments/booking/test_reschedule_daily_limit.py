"""Rescheduling under a limit of patients per day: the daily number is kept, changed, taken or freed."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import (
    DAY,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    refused,
    stored,
    try_booking,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


@pytest.fixture
def limited(run: Run[Any], clinic: Clinic) -> Book:
    """The book of a doctor who sees two patients a day."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=2)
    return Book(run=run, clinic=clinic, doctor=doctor)


def reschedule(person: Person, appointment: dict[str, Any], slot: Any) -> httpx.Response:
    """Asks for another slot."""
    return person.client.post(f"/appointments/{appointment['id']}/reschedule", json={"slot_id": str(slot.id)})


def test_rescheduling_within_a_full_day_keeps_the_number(limited: Book, run: Run[Any], db: Db) -> None:
    slots = limited.slots(4)
    people = make_patients(run, 3)
    appointments = [booked(person, slot) for person, slot in zip(people, slots[:2], strict=False)]
    refused(try_booking(people[2], slots[2]), 409, "DAY_FULL")
    numbers = [stored(db, appointment)["daily_number"] for appointment in appointments]
    assert sorted(numbers) == [0, 1]
    for person, appointment, slot in zip(people, appointments, slots[2:], strict=False):
        done(reschedule(person, appointment, slot))
    assert [stored(db, appointment)["daily_number"] for appointment in appointments] == numbers
    refused(try_booking(people[2], slots[0]), 409, "DAY_FULL")


def test_rescheduling_to_another_day_swaps_daily_numbers(limited: Book, run: Run[Any]) -> None:
    monday, tuesday = limited.slots(3), limited.slots(3, TEN + DAY)
    people = make_patients(run, 4)
    first, _ = (booked(person, slot) for person, slot in zip(people, monday[:2], strict=False))
    booked(people[2], tuesday[0])
    done(reschedule(people[0], first, tuesday[1]))
    refused(try_booking(people[3], tuesday[2]), 409, "DAY_FULL")
    booked(people[3], monday[2])
    refused(try_booking(people[0], monday[0]), 409, "DAY_FULL")


def test_rescheduling_to_a_full_day_keeps_the_old_booking(limited: Book, run: Run[Any], db: Db) -> None:
    monday, tuesday = limited.slots(1), limited.slots(3, TEN + DAY)
    people = make_patients(run, 3)
    appointment = booked(people[0], monday[0])
    for person, slot in zip(people[1:], tuesday, strict=False):
        booked(person, slot)
    before = stored(db, appointment)
    body = refused(reschedule(people[0], appointment, tuesday[2]), 409, "DAY_FULL")
    assert body["alternatives"] == []
    assert stored(db, appointment) == before


def test_an_unlimited_doctor_gives_no_numbers(limited: Book, book: Book, patient: Person, db: Db) -> None:
    appointment = booked(patient, limited.slot())
    assert stored(db, appointment)["daily_number"] in (0, 1)
    done(reschedule(patient, appointment, book.slot(TEN)))
    assert "daily_number" not in stored(db, appointment)
    done(reschedule(patient, appointment, limited.slot(TEN + DAY)))
    assert stored(db, appointment)["daily_number"] in (0, 1)


def test_a_number_of_one_doctor_means_nothing_to_another(limited: Book, clinic: Clinic, run: Run[Any]) -> None:
    other = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=1)
    there = Book(run=run, clinic=clinic, doctor=other).slots(3)
    here = limited.slots(3)
    people = make_patients(run, 3)
    appointments = [booked(person, slot) for person, slot in zip(people, here[:2], strict=False)]
    done(reschedule(people[1], appointments[1], there[0]))
    refused(reschedule(people[0], appointments[0], there[1]), 409, "DAY_FULL")
    booked(people[2], here[1])


def test_patients_booked_before_the_limit_count_too(run: Run[Any], clinic: Clinic, admin: Person) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    book = Book(run=run, clinic=clinic, doctor=doctor)
    monday, tuesday = book.slots(4), book.slots(1, TEN + DAY)
    people = make_patients(run, 4)
    first, *_ = (booked(person, slot) for person, slot in zip(people, monday[:3], strict=False))
    later = booked(people[3], tuesday[0])
    done(admin.client.patch(f"/doctors/{doctor.id}", json={"max_patients_per_day": 2}))
    refused(reschedule(people[3], later, monday[3]), 409, "DAY_FULL")
    done(reschedule(people[0], first, monday[3]))
    refused(reschedule(people[3], later, monday[0]), 409, "DAY_FULL")
