"""Staff change how many patients can book one slot."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic
from backend.scheduling.hours.repository import request_sync
from backend.scheduling.slots.horizon import extend_slots
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    HOUR,
    NOBODY,
    Db,
    add_slot,
    as_json,
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
    slots_in,
    stored_slot,
    text,
    try_booking,
)


def set_capacity(person: Person, slot: dict[str, Any], capacity: Any) -> httpx.Response:
    return person.client.patch(f"/slots/{slot['id']}", json={"capacity": capacity})


def patients(run: Run[Any], number: int) -> list[Person]:
    return [factories.make_user(run, Role.PATIENT) for _ in range(number)]


def test_more_patients_can_book_at_once(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    slot, people = slot_at(api, doctor, "09:00"), patients(run, 4)
    booked = book(people[0], slot)
    refused(try_booking(people[1], slot), 409, "SLOT_TAKEN")
    changed = done(set_capacity(doctor, slot, 3))
    assert (changed["id"], changed["capacity"], changed["free"]) == (slot["id"], 3, 2)
    assert changed["report"]["appointments"] == []
    assert done(people[0].client.get(f"/appointments/{booked['id']}"))["slot_id"] == slot["id"]
    for person in people[1:3]:
        book(person, slot)
    refused(try_booking(people[3], slot), 409, "SLOT_TAKEN")


def test_the_slot_keeps_capacity_and_id(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db
) -> None:
    """Reconciling once more, and other seats in the weekly hours, change the other slots only."""
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    done(set_capacity(doctor, slot, 3))
    before = slots_in(db, doctor)
    assert reconciled(run, doctor) == (0, 0)
    assert slots_in(db, doctor) == before
    week = every_day(clinic, "09:00", "11:00", capacity=5)
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(week)))
    assert slot_at(api, doctor, "09:00") == {**slot, "capacity": 3, "free": 3}
    assert slot_at(api, doctor, "09:30")["capacity"] == 5


def test_fewer_seats_than_patients_close_the_slot_until_there_is_room(
    run: Run[Any], api: httpx.Client, clinic: Clinic
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=3))
    opened(run, doctor)
    slot, people = slot_at(api, doctor, "09:00"), patients(run, 4)
    booked = [book(person, slot) for person in people[:2]]
    changed = done(set_capacity(doctor, slot, 1))
    assert (changed["id"], changed["capacity"], changed["free"]) == (slot["id"], 1, 0)
    assert sorted(listed(changed["report"])) == sorted(row["id"] for row in booked)
    refused(try_booking(people[2], slot), 409, "SLOT_NOT_OPEN")
    for row, person in zip(booked, people, strict=False):
        done(person.client.post(f"/appointments/{row['id']}/cancel", json={}))
    opened(run, doctor)
    book(people[2], slot)
    refused(try_booking(people[3], slot), 409, "SLOT_TAKEN")


def test_fewer_seats_than_patients_need_a_decision_until_there_is_room(
    run: Run[Any], api: httpx.Client, clinic: Clinic, nurse: Person
) -> None:
    """Lowered hours do the same. The doctor's next leave changes nothing about it."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=3))
    opened(run, doctor)
    slot, people = slot_at(api, doctor, "09:00"), patients(run, 2)
    booked = [book(person, slot) for person in people]

    def causes() -> list[list[str]]:
        rows = [done(nurse.client.get(f"/appointments/{row['id']}")) for row in booked]
        return [[cause["kind"] for cause in row["needs_decision"] or []] for row in rows]

    done(set_capacity(doctor, slot, 1))
    assert causes() == [["hours"], ["hours"]]
    away = {"start": text(at("10:00")), "end": text(at("11:00"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    assert causes() == [["hours"], ["hours"]]

    done(people[0].client.post(f"/appointments/{booked[0]['id']}/cancel", json={}))
    run(request_sync(doctor.object_id))
    run(extend_slots())
    assert causes() == [[], []]
    refused(try_booking(people[0], slot), 409, "SLOT_TAKEN")


def test_fewer_seats_with_room_left_stay_open(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=5))
    opened(run, doctor)
    slot, people = slot_at(api, doctor, "09:00"), patients(run, 3)
    book(people[0], slot)
    assert done(set_capacity(doctor, slot, 2))["free"] == 1
    book(people[1], slot)
    refused(try_booking(people[2], slot), 409, "SLOT_TAKEN")


def test_a_slot_that_staff_added_changes_too(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person
) -> None:
    slot = add_slot(free_doctor, clinic, "15:00")
    done(set_capacity(free_doctor, slot, 4))
    assert reconciled(run, free_doctor) == (0, 0)
    assert slot_at(api, free_doctor, "15:00") == {**slot, "capacity": 4, "free": 4}


def test_a_closed_slot_opens_with_its_new_capacity(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    slot, (patient,) = slot_at(api, doctor, "09:00"), patients(run, 1)
    booked = book(patient, slot)
    away = {"start": text(at("08:00")), "end": text(at("12:00"))}
    leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    changed = done(set_capacity(doctor, slot, 2))
    assert (changed["capacity"], changed["free"], listed(changed["report"])) == (2, 0, [booked["id"]])
    done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
    assert slot_at(api, doctor, "09:00") == {**slot, "capacity": 2, "free": 1}


def test_a_free_slot_that_was_withdrawn_gets_its_capacity_back(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    before = [slot_at(api, doctor, wall) for wall in ("09:00", "09:30")]
    for capacity in (4, 3):
        done(set_capacity(doctor, before[0], capacity))
    away = {"start": text(at("08:00")), "end": text(at("12:00"))}
    for _ in range(2):
        leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
        assert offered(api, doctor) == []
        done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
        back = [slot_at(api, doctor, wall) for wall in ("09:00", "09:30")]
        assert [(slot["capacity"], slot["free"]) for slot in back] == [(3, 3), (1, 1)]
    done(set_capacity(doctor, back[0], 2))
    week = every_day(clinic, "09:00", "11:00", capacity=5)
    for hours in ([], week):
        done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(hours)))
    assert [slot_at(api, doctor, wall)["capacity"] for wall in ("09:00", "09:30")] == [2, 5]
    longer = every_day(clinic, "09:00", "11:00", slot_minutes=60)
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(longer)))
    assert slot_at(api, doctor, "09:00")["capacity"] == 1, "it is another slot"


@pytest.mark.parametrize("capacity", [0, -1, 101, 2**63, None, "two", 1.5])
def test_a_capacity_has_bounds(run: Run[Any], api: httpx.Client, doctor: Person, db: Db, capacity: Any) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    before = stored_slot(db, slot)
    refused(set_capacity(doctor, slot, capacity), 422, "VALIDATION_ERROR")
    refused(doctor.client.patch(f"/slots/{slot['id']}", json={}), 422, "VALIDATION_ERROR")
    assert stored_slot(db, slot) == before


def test_slots_that_are_gone_are_not_found(run: Run[Any], api: httpx.Client, doctor: Person, admin: Person) -> None:
    opened(run, doctor)
    refused(set_capacity(admin, {"id": NOBODY}, 2), 404, "SLOT_NOT_FOUND")
    removed = slot_at(api, doctor, "09:00")
    done(doctor.client.delete(f"/slots/{removed['id']}"))
    refused(set_capacity(admin, removed, 2), 404, "SLOT_NOT_FOUND")
    over = slot_at(api, doctor, "09:30")
    with clock.stopped(at("10:00")):
        refused(set_capacity(factories.log_in(run, doctor.user), over, 2), 404, "SLOT_NOT_FOUND")


@pytest.fixture
def long_slot(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> dict[str, Any]:
    """A vaccination session of five hours, for ten patients."""
    added: dict[str, Any] = add_slot(free_doctor, clinic, "09:00", minutes=300, capacity=10)
    return added


def test_a_slot_that_has_begun_changes_until_its_end(
    run: Run[Any], long_slot: dict[str, Any], free_doctor: Person, db: Db
) -> None:
    with clock.stopped(at("11:00")):
        assert done(set_capacity(factories.log_in(run, free_doctor.user), long_slot, 20))["free"] == 20
    assert stored_slot(db, long_slot)["state"] == "open"


def test_leave_withdraws_a_slot_that_began_two_hours_ago(
    run: Run[Any], long_slot: dict[str, Any], free_doctor: Person, patient: Person, db: Db
) -> None:
    """The slot has three hours left. It counts until its end, not from its start."""
    booked = book(patient, long_slot)
    with clock.stopped(at("11:00")):
        doctor = factories.log_in(run, free_doctor.user)
        away = {"start": text(at("12:00")), "end": text(at("18:00"))}
        leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
        assert listed(leave["report"]) == [booked["id"]]
        assert leave["report"]["slots_withdrawn"] == 1
        assert stored_slot(db, long_slot)["state"] == "closed"
        done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
        assert stored_slot(db, long_slot)["state"] == "open"


def test_a_slot_that_is_over_is_left_alone(
    run: Run[Any], long_slot: dict[str, Any], free_doctor: Person, db: Db
) -> None:
    with clock.stopped(at("14:00") + HOUR + timedelta(milliseconds=1)):
        doctor = factories.log_in(run, free_doctor.user)
        away = {"start": text(at("08:00")), "end": text(at("18:00"))}
        report = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)["report"]
    assert report["slots_withdrawn"] == 0
    assert stored_slot(db, long_slot)["state"] == "open"


def test_a_long_slot_of_the_hours_survives_while_it_runs(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db
) -> None:
    week = every_day(clinic, "09:00", "14:00", slot_minutes=300, capacity=10)
    doctor = factories.make_doctor(run, clinic, weekly_hours=week)
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("11:00")):
        assert reconciled(run, doctor) == (0, 0)
        assert stored_slot(db, slot)["state"] == "open"
        assert offered(api, doctor) == []
