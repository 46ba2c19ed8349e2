"""`max_patients_per_day` set, changed and removed while people are booked."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import at_once
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    Db,
    at,
    book,
    done,
    every_day,
    listed,
    offered,
    opened,
    search,
    slot_at,
    try_booking,
)


def limit(admin: Person, doctor: Person, patients: int | None) -> Any:
    return done(admin.client.patch(f"/doctors/{doctor.id}", json={"max_patients_per_day": patients}))


def patients(run: Run[Any], count: int) -> list[Person]:
    return [factories.make_user(run, Role.PATIENT) for _ in range(count)]


def cancel(person: Person, appointment: dict[str, Any]) -> None:
    done(person.client.post(f"/appointments/{appointment['id']}/cancel", json={}))


def on_monday(db: Db, doctor: Person) -> int:
    """How many active appointments the doctor has on Monday."""
    monday = {"doctor_id": doctor.object_id, "clinic_day": "2030-06-03", "active": True}
    return db["appointments"].count_documents(monday)


def rush(run: Run[Any], slots: list[dict[str, Any]], count: int) -> int:
    """So many ask for the slots in turn; how many get one."""
    people = patients(run, count)
    answers = [try_booking(person, slots[n % len(slots)]) for n, person in enumerate(people)]
    assert {answer.status_code for answer in answers} <= {201, 409}
    return sum(answer.status_code == 201 for answer in answers)


@pytest.fixture
def wide(run: Run[Any], api: httpx.Client, clinic: Clinic) -> Person:
    """A doctor who can see forty patients a day: four slots for ten each."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=10))
    opened(run, doctor)
    return doctor


def monday_s(api: httpx.Client, doctor: Person) -> list[dict[str, Any]]:
    return [slot_at(api, doctor, wall_time) for wall_time in MORNING]


@pytest.mark.parametrize("booked", [0, 1, 4, 5, 7])
def test_a_new_limit_counts_patients_already_booked(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db, booked: int
) -> None:
    slots = monday_s(api, wide)
    assert rush(run, slots, booked) == booked
    report = limit(admin, wide, 5)["report"]
    assert listed(report) == []
    assert offered(api, wide) == (MORNING if booked < 5 else [])
    assert rush(run, slots, 12) == max(0, 5 - booked)
    assert on_monday(db, wide) == max(5, booked)
    assert offered(api, wide) == []
    assert offered(api, wide, days=1) == MORNING


@pytest.mark.parametrize("booked", [3, 5])
def test_a_lowered_limit_admits_nobody_until_the_day_has_room(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db, booked: int
) -> None:
    limit(admin, wide, 5)
    slots = monday_s(api, wide)
    people = patients(run, booked)
    appointments = [book(person, slots[n % 4]) for n, person in enumerate(people)]
    limit(admin, wide, 2)
    while appointments:
        assert on_monday(db, wide) == len(appointments)
        if len(appointments) >= 2:
            assert offered(api, wide) == []
            assert rush(run, slots, 4) == 0
        cancel(people.pop(0), appointments.pop(0))
    assert rush(run, slots, 4) == 2
    assert on_monday(db, wide) == 2


@pytest.mark.parametrize("leaving", [0, 1, 2, 3])
def test_a_cancellation_on_an_overfull_day_frees_nothing(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db, leaving: int
) -> None:
    limit(admin, wide, 4)
    slots = monday_s(api, wide)
    people = patients(run, 4)
    appointments = [book(person, slots[0]) for person in people]
    limit(admin, wide, 3)
    cancel(people[leaving], appointments[leaving])
    assert rush(run, slots, 6) == 0
    assert on_monday(db, wide) == 3


def test_a_limit_that_is_raised_admits_as_many_more(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db
) -> None:
    slots = monday_s(api, wide)
    for most in (1, 3, 8):
        limit(admin, wide, most)
        rush(run, slots, 9)
        assert on_monday(db, wide) == most
        assert offered(api, wide) == []


def test_without_a_limit_only_the_slots_limit_the_day(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db
) -> None:
    slots = monday_s(api, wide)
    limit(admin, wide, 2)
    assert rush(run, slots, 4) == 2
    limit(admin, wide, None)
    assert offered(api, wide) == MORNING
    assert rush(run, slots, 6) == 6
    # Set again, it counts them all: those with a number of the day and those without.
    limit(admin, wide, 9)
    assert rush(run, slots, 4) == 1
    assert on_monday(db, wide) == 9
    assert offered(api, wide) == []


def test_a_limit_counts_completed_visits_of_the_day(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db
) -> None:
    slots = monday_s(api, wide)
    people = patients(run, 2)
    for person in people:
        book(person, slots[0])
    with clock.stopped(at("09:10")):
        limit(factories.log_in(run, admin.user), wide, 3)
        assert offered(api, wide) == MORNING[1:]
        assert rush(run, slots[1:], 5) == 1
        assert offered(api, wide) == []
    assert on_monday(db, wide) == 3


def test_each_day_is_counted_by_itself(run: Run[Any], api: httpx.Client, admin: Person, wide: Person) -> None:
    limit(admin, wide, 2)
    for days in range(3):
        slots = [slot_at(api, wide, wall_time, days=days) for wall_time in MORNING]
        assert rush(run, slots, 4) == 2
    assert search(api) == []


def test_the_limit_covers_all_clinics_of_the_doctor(run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db) -> None:
    other = factories.make_clinic(run, policy=clinic.policy)
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, other.clinic_id],
        max_patients_per_day=2,
        weekly_hours=[*every_day(clinic, "09:00", "10:00"), *every_day(other, "10:00", "11:00")],
    )
    opened(run, doctor)
    assert rush(run, monday_s(api, doctor), 8) == 2
    assert on_monday(db, doctor) == 2


def test_rescheduling_works_within_a_full_day_but_not_into_one(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db
) -> None:
    limit(admin, wide, 2)
    slots = monday_s(api, wide)
    people = patients(run, 3)
    first = book(people[0], slots[0])
    book(people[1], slots[1])
    elsewhere = book(people[2], slot_at(api, wide, "09:00", days=1))
    done(people[0].client.post(f"/appointments/{first['id']}/reschedule", json={"slot_id": slots[3]["id"]}))
    answer = people[2].client.post(f"/appointments/{elsewhere['id']}/reschedule", json={"slot_id": slots[2]["id"]})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "DAY_FULL")
    assert on_monday(db, wide) == 2


def test_an_overfull_day_keeps_its_patients_through_leave(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db
) -> None:
    slots = monday_s(api, wide)
    rush(run, slots, 4)
    limit(admin, wide, 2)
    away = {"start": "2030-06-03T00:00:00-04:00", "end": "2030-06-04T00:00:00-04:00"}
    leave = done(wide.client.post(f"/doctors/{wide.id}/leaves", json=away), 201)
    assert len(listed(leave["report"])) == 4
    done(wide.client.delete(f"/doctors/{wide.id}/leaves/{leave['id']}"))
    assert offered(api, wide) == []
    assert rush(run, slots, 4) == 0
    assert on_monday(db, wide) == 4


@pytest.mark.parametrize("most", [1, 3])
def test_concurrent_bookings_of_a_limited_day_fill_it_exactly(
    run: Run[Any], api: httpx.Client, admin: Person, wide: Person, db: Db, most: int
) -> None:
    slots = monday_s(api, wide)
    rush(run, slots, 1)
    limit(admin, wide, most)
    asks = [lambda n=n, p=p: try_booking(p, slots[n % 4]) for n, p in enumerate(patients(run, 16))]
    answers = at_once(*asks)
    assert sum(answer.status_code == 201 for answer in answers) == most - 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert on_monday(db, wide) == most
