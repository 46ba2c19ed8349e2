"""Slots over a range of days: in given hours, or the missing ones of the weekly hours."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    MORNING,
    NOW,
    Db,
    add_slot,
    at,
    book,
    count_slots,
    done,
    every_day,
    offered,
    opened,
    reconciled,
    refused,
    search,
    slot_at,
    slots_in,
    text,
)

TODAY, TOMORROW, LAST = "2030-06-03", "2030-06-04", "2030-06-05"


def ask(person: Person, doctor: Person, clinic: Clinic, **body: Any) -> httpx.Response:
    whole = {
        "doctor_id": doctor.id,
        "clinic_id": str(clinic.clinic_id),
        "first_day": TODAY,
        "last_day": LAST,
        **body,
    }
    return person.client.post("/slots/generate", json=whole)


def generate(doctor: Person, clinic: Clinic, **body: Any) -> int:
    created: int = done(ask(doctor, doctor, clinic, **body))["created"]
    return created


def test_given_hours_fill_each_day_of_the_range(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> None:
    made = generate(free_doctor, clinic, last_day=TOMORROW, start="13:00", end="14:10", minutes=20, capacity=2)
    assert made == 6
    assert offered(api, free_doctor) == offered(api, free_doctor, days=1) == ["13:00", "13:20", "13:40"]
    assert offered(api, free_doctor, days=2) == []
    assert {slot["capacity"] for slot in search(api)} == {2}


def test_repeating_it_adds_nothing(api: httpx.Client, clinic: Clinic, free_doctor: Person, db: Db) -> None:
    wanted = {"start": "13:00", "end": "15:00"}
    assert generate(free_doctor, clinic, **wanted) == 12
    before = slots_in(db, free_doctor)
    assert generate(free_doctor, clinic, **wanted) == 0
    assert slots_in(db, free_doctor) == before
    # What overlaps is passed over, what lies beside it is added.
    assert generate(free_doctor, clinic, start="12:45", end="15:45") == 3
    assert offered(api, free_doctor) == ["13:00", "13:30", "14:00", "14:30", "15:15"]


def test_only_the_weekdays_asked_for(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> None:
    made = generate(free_doctor, clinic, weekdays=["tuesday", "sunday"], start="09:00", end="10:00")
    assert made == 2
    assert [offered(api, free_doctor, days=days) for days in (0, 1, 2)] == [[], ["09:00", "09:30"], []]


def test_leave_closures_and_closing_time_are_skipped(
    api: httpx.Client, clinic: Clinic, free_doctor: Person, admin: Person
) -> None:
    away = {"start": text(at("18:00")), "end": text(at("18:30"))}
    done(free_doctor.client.post(f"/doctors/{free_doctor.id}/leaves", json=away), 201)
    closed = {"start": text(at("19:15")), "end": text(at("19:20"))}
    done(admin.client.post(f"/clinics/{clinic.clinic_id}/closures", json=closed), 201)
    assert generate(free_doctor, clinic, last_day=TODAY, start="17:30", end="21:00") == 3
    assert offered(api, free_doctor) == ["17:30", "18:30", "19:30"]


def test_slots_that_would_have_started_today_are_skipped(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person
) -> None:
    with clock.stopped(at("09:30")):
        here = factories.log_in(run, free_doctor.user)
        assert generate(here, clinic, first_day="2030-05-01", last_day=TODAY, start="09:00", end="10:30") == 1
        assert offered(api, free_doctor) == ["10:00"]


def test_without_given_hours_the_weekly_hours_are_used(api: httpx.Client, clinic: Clinic, doctor: Person) -> None:
    assert generate(doctor, clinic) == 12
    assert generate(doctor, clinic) == 0
    assert offered(api, doctor) == MORNING


def test_the_weekly_hours_leave_added_slots_in_place(api: httpx.Client, clinic: Clinic, doctor: Person) -> None:
    add_slot(doctor, clinic, "09:15")
    generate(doctor, clinic)
    assert offered(api, doctor) == ["09:15", "10:00", "10:30"]


def test_generating_the_weekly_hours_restores_removed_slots(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    for days in (0, 1):
        done(doctor.client.delete(f"/slots/{slot_at(api, doctor, '09:30', days=days)['id']}"))
    assert reconciled(run, doctor) == (0, 0)
    assert generate(doctor, clinic, first_day=TOMORROW) == 1
    assert [offered(api, doctor, days=days) for days in (0, 1)] == [["09:00", "10:00", "10:30"], MORNING]
    assert generate(doctor, clinic, weekdays=["tuesday"]) == 0
    assert generate(doctor, clinic, weekdays=["monday"]) == 1
    assert offered(api, doctor) == MORNING


def test_a_restored_slot_keeps_its_patient(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=2))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    book(factories.make_user(run, Role.PATIENT), slot)
    done(doctor.client.delete(f"/slots/{slot['id']}"))
    assert generate(doctor, clinic) == 1
    assert slot_at(api, doctor, "09:00")["free"] == 1
    book(factories.make_user(run, Role.PATIENT), slot)
    assert offered(api, doctor) == []


def test_the_range_may_end_on_the_horizon_but_not_later(clinic: Clinic, doctor: Person) -> None:
    assert generate(doctor, clinic, first_day=LAST, last_day=LAST) == 4
    for body in ({}, {"start": "09:00", "end": "10:00"}):
        refused(ask(doctor, doctor, clinic, last_day="2030-06-06", **body), 422, "BEYOND_HORIZON")
        refused(ask(doctor, doctor, clinic, last_day="2199-12-31", **body), 422, "BEYOND_HORIZON")


def test_a_range_from_long_ago_costs_no_more(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> None:
    wanted = {"first_day": "1900-01-01", "last_day": TODAY, "start": "08:00", "end": "20:00", "minutes": 5}
    with clock.stopped(NOW):
        answer = ask(free_doctor, free_doctor, clinic, **wanted)
    assert done(answer) == {"created": 144}
    assert answer.elapsed < timedelta(seconds=10)
    assert generate(free_doctor, clinic, first_day="1900-01-01", last_day="1999-12-31") == 0


def test_a_range_in_the_past_adds_nothing(clinic: Clinic, free_doctor: Person, db: Db) -> None:
    past = {"first_day": "2030-05-01", "last_day": "2030-06-02", "start": "09:00", "end": "10:00"}
    assert generate(free_doctor, clinic, **past) == 0
    assert count_slots(db) == 0


def test_too_many_slots_are_refused(run: Run[Any], db: Db) -> None:
    clinic = factories.make_clinic(run, policy=Policy(horizon_days=40))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    until = str((NOW + 40 * DAY).date())
    wanted = {"last_day": until, "start": "08:00", "end": "20:00", "minutes": 5}
    refused(ask(doctor, doctor, clinic, **wanted), 422, "TOO_MANY_SLOTS")
    assert count_slots(db) == 0


@pytest.mark.long
def test_generating_the_most_slots_delays_no_other_request(run: Run[Any], base_url: str) -> None:
    clinic = factories.make_clinic(run, policy=Policy(horizon_days=60))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    until = str((NOW + 30 * DAY).date())
    answers = 0
    with ThreadPoolExecutor(1) as pool:
        wanted = {"last_day": until, "start": "08:00", "end": "20:00", "minutes": 5}
        making = pool.submit(generate, doctor, clinic, **wanted)
        while not making.done():
            done(httpx.get(f"{base_url}/health", timeout=60))
            answers += 1
    assert making.result() > 4000
    assert answers > 5, "it was done in pieces"


@pytest.mark.parametrize(
    "change",
    [
        {"first_day": LAST, "last_day": TODAY},
        {"start": "09:00"},
        {"end": "10:00"},
        {"start": "24:00", "end": "09:00"},
        {"start": "09:01", "end": "10:00"},
        {"start": "09:00", "end": "24:05"},
        {"weekdays": []},
        {"weekdays": ["someday"]},
        {"weekdays": ["monday"] * 8},
        {"first_day": "2030-02-30"},
        {"first_day": "9999-12-31", "last_day": "9999-12-31"},
        {"first_day": "0001-01-01"},
        {"first_day": 20300603},
        {"first_day": "1906794000"},
        {"last_day": None},
        {"minutes": 3},
        {"capacity": 1000},
    ],
)
def test_malformed_ranges_are_refused(clinic: Clinic, doctor: Person, change: dict[str, Any]) -> None:
    refused(ask(doctor, doctor, clinic, **change), 422, "VALIDATION_ERROR")


def test_a_clinic_where_the_doctor_doesn_t_work_is_refused(run: Run[Any], doctor: Person, admin: Person) -> None:
    other = factories.make_clinic(run)
    refused(ask(admin, doctor, other), 422, "NOT_THE_DOCTORS_CLINIC")
    refused(ask(admin, doctor, other, start="09:00", end="10:00"), 422, "NOT_THE_DOCTORS_CLINIC")


def test_the_response_counts_slots_of_the_clinic_and_range_only(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    assert generate(doctor, clinic, first_day=TODAY, last_day=TODAY) == 4
