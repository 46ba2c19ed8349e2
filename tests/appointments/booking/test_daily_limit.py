"""Who counts among a doctor's patients of the day: who was seen does, who cancelled or stayed away does not."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import (
    HOUR,
    MINUTE,
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


@pytest.fixture
def one_a_day(run: Run[Any], clinic: Clinic) -> Book:
    """The book of a doctor who sees one patient a day."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=1)
    return Book(run=run, clinic=clinic, doctor=doctor)


def offered(api: httpx.Client, book: Book) -> int:
    """How many of the doctor's slots the public finds."""
    return len(done(api.get("/slots", params={"doctor_id": book.doctor.id}))["items"])


def test_a_visit_that_is_over_was_one_of_the_day(
    one_a_day: Book, nurse: Person, run: Run[Any], api: httpx.Client
) -> None:
    first, second = make_patients(run, 2)
    morning, later = one_a_day.slot(TEN), one_a_day.slot(TEN + HOUR)
    visit = booked(first, morning)
    done(make_transition(run, nurse, visit, "check-in", at=TEN))
    done(make_transition(run, one_a_day.doctor, visit, "complete", at=TEN + 20 * MINUTE))
    with visiting(run, second, TEN + 30 * MINUTE) as client:
        assert offered(api, one_a_day) == 0
        refused(client.post("/appointments", json={"slot_id": str(later.id)}), 409, "DAY_FULL")


def test_who_does_not_come_or_cancels_makes_room_for_another(
    one_a_day: Book, nurse: Person, run: Run[Any], api: httpx.Client
) -> None:
    first, second, third = make_patients(run, 3)
    slots = [one_a_day.slot(TEN + number * HOUR) for number in range(3)]
    missed = booked(first, slots[0])
    done(make_transition(run, nurse, missed, "no-show", at=TEN))
    with visiting(run, second, TEN + MINUTE) as client:
        cancelled = done(client.post("/appointments", json={"slot_id": str(slots[1].id)}), 201)
        done(client.post(f"/appointments/{cancelled['id']}/cancel"))
        assert offered(api, one_a_day) == 2
    with visiting(run, third, TEN + MINUTE) as client:
        done(client.post("/appointments", json={"slot_id": str(slots[2].id)}), 201)
        assert offered(api, one_a_day) == 0


def test_a_repeat_never_shows_what_the_caller_may_no_longer_see(
    book: Book, admin: Person, run: Run[Any], clinic: Clinic, patient: Person
) -> None:
    colleague = factories.make_doctor(run, clinic, weekly_hours=[])
    elsewhere = Book(run=run, clinic=clinic, doctor=colleague).slot(TEN)
    slot = book.slot(TEN)
    mine = done(try_booking(book.doctor, slot, key="once", patient_id=patient.id), 201)
    done(admin.client.post(f"/appointments/{mine['id']}/reschedule", json={"slot_id": str(elsewhere.id)}))
    refused(try_booking(book.doctor, slot, key="once", patient_id=patient.id), 403, "OUTSIDE_YOUR_SCOPE")
