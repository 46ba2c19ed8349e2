"""Slots that staff remove: they stay removed until somebody restores them."""

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
    done,
    every_day,
    listed,
    offered,
    opened,
    reconciled,
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
    """Monday's slot at 9:30, removed."""
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    assert remove(doctor, slot) == {"slots_opened": 0, "slots_withdrawn": 1, **NOBODY_MET}
    return slot


def test_a_removed_slot_stays_out_when_the_hours_are_synced(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    assert reconciled(run, doctor) == (0, 0)
    same = as_json(every_day(clinic, "09:00", "11:00"))
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=same))
    assert offered(api, doctor) == WITHOUT_HALF_PAST
    refused(api.get(f"/slots/{removed['id']}"), 404, "SLOT_NOT_FOUND")


def test_a_removed_slot_stays_out_after_leave(
    run: Run[Any], api: httpx.Client, doctor: Person, removed: dict[str, Any]
) -> None:
    away = {"start": text(at("09:00")), "end": text(at("10:00"))}
    leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_removed_slot_stays_out_after_a_closure(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    nurse = factories.make_nurse(run, clinic)
    closed = {"start": text(at("09:00")), "end": text(at("10:00"))}
    closure = done(nurse.client.post(f"/clinics/{clinic.clinic_id}/closures", json=closed), 201)
    done(nurse.client.delete(f"/clinics/{clinic.clinic_id}/closures/{closure['id']}"))
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_removed_slot_doesn_t_block_other_hours(
    api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    """The slot was removed, not its time for ever."""
    other = as_json(every_day(clinic, "09:00", "10:00", slot_minutes=20))
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=other))
    assert offered(api, doctor) == ["09:00", "09:20", "09:40"]


@pytest.mark.parametrize(("wall_time", "length"), [("09:30", 30), ("09:35", 20), ("09:30", 5)])
def test_a_new_slot_can_replace_a_removed_one(
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


def test_a_refused_slot_doesn_t_bring_a_removed_one_back(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    """An hour from 9:30 would run into 10:00."""
    answer = ask_for_slot(doctor, clinic, text(at("09:30")), minutes=60)
    refused(answer, 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_slot_over_a_removed_but_booked_one_is_refused(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=2))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    book(factories.make_user(run, Role.PATIENT), slot)
    remove(doctor, slot)
    refused(ask_for_slot(doctor, clinic, text(at("09:30"))), 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00"]


def test_a_refused_slot_over_two_removed_ones_changes_neither(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    booked = slot_at(api, doctor, "10:00")
    book(factories.make_user(run, Role.PATIENT), booked)
    remove(doctor, booked)
    answer = ask_for_slot(doctor, clinic, text(at("09:30")), minutes=60)
    refused(answer, 409, "SLOT_OVERLAPS")
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00", "10:30"]


def test_appointments_of_a_removed_slot_stay_valid(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
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


def test_an_added_slot_is_gone_once_removed(run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person) -> None:
    opened(run, doctor)
    slot = add_slot(doctor, clinic, "15:00")
    remove(doctor, slot)
    opened(run, doctor)
    assert offered(api, doctor) == MORNING
    again = add_slot(doctor, clinic, "15:00")
    assert again["id"] != slot["id"]


def test_removing_a_replacement_leaves_the_time_empty(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, removed: dict[str, Any]
) -> None:
    remove(doctor, add_slot(doctor, clinic, "09:30"))
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST
    add_slot(doctor, clinic, "09:30")
    assert offered(api, doctor) == MORNING


def test_a_removed_slot_can_t_be_removed_again(doctor: Person, removed: dict[str, Any]) -> None:
    refused(doctor.client.delete(f"/slots/{removed['id']}"), 404, "SLOT_NOT_FOUND")
    refused(doctor.client.delete(f"/slots/{NOBODY}"), 404, "SLOT_NOT_FOUND")


def test_two_removals_of_a_slot_at_once_leave_it_removed(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    answers = at_once(*[lambda: doctor.client.delete(f"/slots/{slot['id']}")] * 6)
    assert {answer.status_code for answer in answers} <= {200, 404}
    opened(run, doctor)
    assert offered(api, doctor) == WITHOUT_HALF_PAST


def test_a_slot_that_is_over_can_t_be_removed(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("09:30")):
        here = factories.log_in(run, doctor.user)
        refused(here.client.delete(f"/slots/{slot['id']}"), 404, "SLOT_NOT_FOUND")
