"""A process that died at work: the next run finishes what it left half done."""

from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
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
    done,
    every_day,
    hours,
    offered,
    opened,
    reconciled,
    search,
    slot_at,
    slots_in,
    text,
    try_booking,
)


def change(db: Db, slot: dict[str, Any], **fields: Any) -> None:
    """Changes a slot as a process does before it dies."""
    db["slots"].update_one({"_id": PydanticObjectId(slot["id"])}, {"$set": fields})


def put_block(db: Db, slot: dict[str, Any], seat: int) -> None:
    """Holds a seat as a withdrawal does."""
    block = {
        "seats": [{"slot": PydanticObjectId(slot["id"]), "seat": seat}],
        "active": True,
        "expires_at": NOW + 7 * DAY,
    }
    db["appointments"].insert_one(block)


def check_seats(run: Run[Any], api: httpx.Client, doctor: Person, capacity: int, booked: int) -> None:
    """The slot at 9:00 is open, with the patients it had, and takes as many more as it has room for."""
    free = capacity - booked
    found = {slot["start"]: slot for slot in search(api, doctor_id=doctor.id)}
    if not free:
        assert text(at("09:00")) not in found
        return
    slot = found[text(at("09:00"))]
    assert (slot["capacity"], slot["free"]) == (capacity, free)
    answers = [try_booking(factories.make_user(run, Role.PATIENT), slot) for _ in range(free + 2)]
    assert [answer.status_code for answer in answers] == [201] * free + [409] * 2


@pytest.fixture
def three(run: Run[Any], clinic: Clinic) -> Person:
    """A doctor with one slot on Monday, for three patients."""
    monday = hours(clinic, "09:00", "09:30", every_day(clinic, "09:00", "09:30")[0].weekday, capacity=3)
    doctor = factories.make_doctor(run, clinic, weekly_hours=monday)
    opened(run, doctor)
    return doctor


@pytest.mark.parametrize("booked", [0, 1, 3])
@pytest.mark.parametrize("blocked", [(), (0,), (1, 2), (0, 1, 2)])
def test_a_withdrawal_killed_while_blocking_seats_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, blocked: tuple[int, ...], booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    held = {
        row["seats"][0]["seat"]
        for row in db["appointments"].find({"seats.slot": PydanticObjectId(slot["id"]), "active": True})
    }
    for seat in set(blocked) - held:
        put_block(db, slot, seat)
    assert search(api) == []
    # The hours still ask for it: it is withdrawn to the end, and opened anew.
    opened(run, three)
    assert reconciled(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=booked)


def test_a_withdrawal_killed_while_moving_seats_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(2):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    rows = list(db["appointments"].find({"seats.slot": PydanticObjectId(slot["id"]), "active": True}))
    db["appointments"].update_one({"_id": rows[0]["_id"]}, {"$set": {"seats.0.seat": 1000}})
    opened(run, three)
    assert reconciled(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=2)


@pytest.mark.parametrize("booked", [0, 2])
def test_a_withdrawal_killed_before_its_last_write_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    rows = list(db["appointments"].find({"seats.slot": PydanticObjectId(slot["id"]), "active": True}))
    for number, row in enumerate(rows):
        db["appointments"].update_one({"_id": row["_id"]}, {"$set": {"seats.0.seat": 1000 + number}})
    for seat in range(3):
        put_block(db, slot, seat)
    opened(run, three)
    assert reconciled(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=booked)


def test_a_withdrawn_slot_whose_time_is_free_again_opens(
    run: Run[Any], api: httpx.Client, three: Person, db: Db
) -> None:
    slot = slot_at(api, three, "09:00")
    book(factories.make_user(run, Role.PATIENT), slot)
    away = {"start": text(at("09:00")), "end": text(at("09:30"))}
    done(three.client.post(f"/doctors/{three.id}/leaves", json=away), 201)
    db["leaves"].delete_many({"doctor_id": three.object_id})
    assert reconciled(run, three) == (1, 0)
    assert reconciled(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=1)


def test_slots_that_were_left_pending_are_opened(run: Run[Any], api: httpx.Client, doctor: Person, db: Db) -> None:
    opened(run, doctor)
    for row in slots_in(db, doctor):
        db["slots"].update_one({"_id": row["_id"]}, {"$set": {"state": "pending"}})
    assert search(api) == []
    assert reconciled(run, doctor) == (12, 0)
    assert reconciled(run, doctor) == (0, 0)
    assert offered(api, doctor) == MORNING


def test_slots_that_were_inserted_in_part_are_completed(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    for row in slots_in(db, doctor)[::2]:
        db["slots"].delete_one({"_id": row["_id"]})
    assert reconciled(run, doctor) == (6, 0)
    assert offered(api, doctor) == MORNING


@pytest.mark.parametrize("on_leave", [False, True])
def test_an_added_slot_left_pending_opens_if_it_is_allowed(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person, db: Db, *, on_leave: bool
) -> None:
    slot = add_slot(free_doctor, clinic, "15:00")
    change(db, slot, state="pending")
    if on_leave:
        away = {"start": text(at("14:00")), "end": text(at("15:05"))}
        done(free_doctor.client.post(f"/doctors/{free_doctor.id}/leaves", json=away), 201)
    opened(run, free_doctor)
    assert reconciled(run, free_doctor) == (0, 0)
    assert offered(api, free_doctor) == ([] if on_leave else ["15:00"])


def test_leave_of_a_killed_request_withdraws_in_the_next_run(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, db: Db
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "10:00")
    away = {"doctor_id": doctor.object_id, "start": at("09:30"), "end": at("10:30"), "created_at": NOW}
    db["leaves"].insert_one({**away, "created_by": doctor.object_id})
    assert reconciled(run, doctor) == (0, 2)
    assert reconciled(run, doctor) == (0, 0)
    assert offered(api, doctor) == ["09:00", "10:30"]
    assert try_booking(patient, slot).status_code == 409


@pytest.mark.parametrize("booked", [0, 2])
def test_a_removal_killed_after_its_first_write_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="removed", revision=1)
    held = {
        row["seats"][0]["seat"]
        for row in db["appointments"].find({"seats.slot": PydanticObjectId(slot["id"]), "active": True})
    }
    put_block(db, slot, min({0, 1, 2} - held))
    assert reconciled(run, three) == (0, 0)
    assert search(api) == []
    days = {"first_day": "2030-06-03", "last_day": "2030-06-03"}
    whose = {"doctor_id": three.id, "clinic_id": slot["clinic_id"]}
    assert done(three.client.post("/slots/generate", json={**whose, **days})) == {"created": 1}
    check_seats(run, api, three, capacity=3, booked=booked)
