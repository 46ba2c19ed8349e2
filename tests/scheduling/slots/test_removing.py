"""Slots taken out by hand: out they stay, whatever happens around them, until somebody puts them back."""

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
    NOBODY,
    NOBODY_MET,
    Db,
    add_slot,
    as_json,
    ask_for_slot,
    at,
    book,
    brought_in_line,
    done,
    every_day,
    listed,
    offered,
    opened,
    refused,
    slot_at,
    status_of,
    text,
    try_booking,
)

WITHOUT_HALF_PAST = ["09:00", "10:00", "10:30"]


def remove(person: Person, slot: dict[str, Any]) -> Any:
    return done(person.client.delete(f"/slots/{slot['id']}"))


@pytest.fixture
def removed(run: Run[Any], api: httpx.Client, doctor: Person) -> dict[str, Any]:
    """Monday's slot at 9:30, taken out by hand."""
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    assert remove(doctor, slot) == {"slots_opened": 0, "slots_withdrawn": 1, **NOBODY_MET}
    return slot


def test_it_stays_out_though_the_hours_want_it(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    assert brought_in_line(run, doctor) == (0, 0)
    same = as_json(every_day(clinic, "09:00", "11:00"))
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=same))
    assert offered(api, doctor) == WITHOUT_HALF_PAST
    refused(api.get(f"/slots/{removed['id']}"), 404, "SLOT_NOT_FOUND")


def test_it_stays_out_though_leave_came_and_went_over_it(
    run: Run[Any], api: httpx.Client, doctor: Person, removed: dict[str, Any]
) -> None:
    away = {"start": text(at("09:00")), "end": text(at("10:00"))}
    leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_it_stays_out_though_the_clinic_was_closed_over_it(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    nurse = factories.make_nurse(run, clinic)
    closed = {"start": text(at("09:00")), "end": text(at("10:00"))}
    closure = done(nurse.client.post(f"/clinics/{clinic.clinic_id}/closures", json=closed), 201)
    done(nurse.client.delete(f"/clinics/{clinic.clinic_id}/closures/{closure['id']}"))
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_other_hours_in_its_time_are_not_held_up_by_it(
    api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    """What was taken out is that slot, not that time for ever."""
    other = as_json(every_day(clinic, "09:00", "10:00", slot_minutes=20))
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=other))
    assert offered(api, doctor) == ["09:00", "09:20", "09:40"]


@pytest.mark.parametrize(("wall_time", "length"), [("09:30", 30), ("09:35", 20), ("09:30", 5)])
def test_a_new_slot_can_be_made_in_its_time(
    run: Run[Any],
    api: httpx.Client,
    clinic: Clinic,
    doctor: Person,
    removed: dict[str, Any],
    wall_time: str,
    length: int,
) -> None:
    made = add_slot(doctor, clinic, wall_time, minutes=length)
    assert made["id"] != removed["id"]
    opened(run, doctor)
    assert offered(api, doctor) == sorted([*WITHOUT_HALF_PAST, wall_time])


def test_a_new_slot_that_is_refused_doesn_t_bring_it_back(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    """An hour from 9:30 would run into 10:00."""
    answer = ask_for_slot(doctor, clinic, text(at("09:30")), minutes=60)
    refused(answer, 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_new_slot_over_a_removed_one_with_a_patient_is_refused_and_doesn_t_bring_it_back(
    run: Run[Any], api: httpx.Client, clinic: Clinic
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=2))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    book(factories.make_user(run, Role.PATIENT), slot)
    remove(doctor, slot)
    refused(ask_for_slot(doctor, clinic, text(at("09:30"))), 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00"]


def test_of_two_removed_slots_the_empty_one_stays_out_when_the_booked_one_stops_a_new_slot(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    booked = slot_at(api, doctor, "10:00")
    book(factories.make_user(run, Role.PATIENT), booked)
    remove(doctor, booked)
    answer = ask_for_slot(doctor, clinic, text(at("09:30")), minutes=60)
    refused(answer, 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00", "10:30"]


def test_its_appointments_are_listed_and_stay_valid(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=3))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    booked = [book(person, slot) for person in people]
    done(people[0].client.post(f"/appointments/{booked[0]['id']}/cancel", json={}))
    report = remove(doctor, slot)
    assert sorted(listed(report)) == sorted([booked[1]["id"], booked[2]["id"]])
    assert status_of(people[1], booked[1]) == status_of(people[2], booked[2]) == "scheduled"
    refused(try_booking(people[0], slot), 409, "SLOT_NOT_OPEN")
    # Still out when all have gone, and after another run.
    for person, appointment in zip(people[1:], booked[1:], strict=True):
        done(person.client.post(f"/appointments/{appointment['id']}/cancel", json={}))
    opened(run, doctor)
    assert offered(api, doctor) == ["09:30"]


def test_a_slot_made_by_hand_is_gone_once_it_is_taken_out(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    slot = add_slot(doctor, clinic, "15:00")
    remove(doctor, slot)
    opened(run, doctor)
    assert offered(api, doctor) == MORNING
    again = add_slot(doctor, clinic, "15:00")
    assert again["id"] != slot["id"]


def test_a_slot_made_by_hand_in_removed_time_leaves_that_time_empty_when_it_is_taken_out(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    remove(doctor, add_slot(doctor, clinic, "09:30"))
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST
    add_slot(doctor, clinic, "09:30")
    assert offered(api, doctor) == MORNING


def test_what_was_taken_out_can_not_be_taken_out_again(doctor: Person, removed: dict[str, Any]) -> None:
    refused(doctor.client.delete(f"/slots/{removed['id']}"), 404, "SLOT_NOT_FOUND")
    refused(doctor.client.delete(f"/slots/{NOBODY}"), 404, "SLOT_NOT_FOUND")


def test_two_who_take_the_same_slot_out_leave_it_out(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    answers = at_once(*[lambda: doctor.client.delete(f"/slots/{slot['id']}")] * 6)
    assert {answer.status_code for answer in answers} <= {200, 404}
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_slot_that_is_over_is_not_there_to_be_taken_out(
    run: Run[Any], api: httpx.Client, doctor: Person
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("09:30")):
        here = factories.log_in(run, doctor.user)
        refused(here.client.delete(f"/slots/{slot['id']}"), 404, "SLOT_NOT_FOUND")
