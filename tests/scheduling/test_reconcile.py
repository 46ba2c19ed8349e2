"""Bringing a book in line: again and again to the same end, from wherever a dead process has left it."""

from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    HOUR,
    MINUTE,
    MORNING,
    NOW,
    Db,
    add_slot,
    at,
    book,
    brought_in_line,
    done,
    every_day,
    hours,
    offered,
    opened,
    search,
    slot_at,
    slots_in,
    text,
    try_booking,
)


def everything(db: Db) -> dict[str, list[dict[str, Any]]]:
    """All documents that a book consists of, but for the revision: each run holds closed slots closed by it."""
    return {
        name: sorted(db[name].find({}, {"revision": 0}), key=lambda row: str(row["_id"]))
        for name in ("slots", "appointments", "leaves", "clinics", "users")
    }


@pytest.fixture
def lively(run: Run[Any], api: httpx.Client, clinic: Clinic) -> Person:
    """A doctor whose book has seen everything: leave, slots added and removed, bookings in all of them."""
    doctor = factories.make_doctor(
        run, clinic, max_patients_per_day=9, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2)
    )
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(6)]
    add_slot(doctor, clinic, "15:00")
    taken = [slot_at(api, doctor, start) for start in ("09:00", "09:30", "10:00", "15:00")]
    for person, slot in zip(people, taken, strict=False):
        book(person, slot)
    gone = book(people[4], taken[2])
    done(people[4].client.post(f"/appointments/{gone['id']}/cancel", json={}))
    for slot in (taken[1], slot_at(api, doctor, "10:30"), slot_at(api, doctor, "09:30", days=1)):
        done(doctor.client.delete(f"/slots/{slot['id']}"))
    away = {"start": text(at("09:00")), "end": text(at("09:10"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    shorter = {"start": text(at("15:10")), "end": text(at("15:20"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=shorter), 201)
    return doctor


def test_a_second_run_changes_no_document(run: Run[Any], api: httpx.Client, lively: Person, db: Db) -> None:
    assert offered(api, lively) == ["10:00"]
    before = everything(db)
    assert brought_in_line(run, lively) == (0, 0)
    assert everything(db) == before
    with clock.stopped(NOW + HOUR):
        assert brought_in_line(run, lively) == (0, 0)
    assert everything(db) == before


def test_as_time_passes_only_the_far_end_grows(run: Run[Any], lively: Person, db: Db) -> None:
    before = everything(db)
    with clock.stopped(NOW + DAY):
        assert brought_in_line(run, lively) == (4, 0)
    after = everything(db)
    assert [slot for slot in after["slots"] if slot in before["slots"]] == before["slots"]
    assert after["appointments"] == before["appointments"]


def test_there_is_nothing_to_do_for_who_isn_t_a_doctor(run: Run[Any], patient: Person, db: Db) -> None:
    assert brought_in_line(run, patient) == (0, 0)
    assert db["slots"].estimated_document_count() == 0


def change(db: Db, slot: dict[str, Any], **fields: Any) -> None:
    """Leaves a slot as a process does that dies."""
    db["slots"].update_one({"_id": PydanticObjectId(slot["id"])}, {"$set": fields})


def put_block(db: Db, slot: dict[str, Any], seat: int) -> None:
    """Holds a seat as a withdrawal does."""
    block = {
        "slot_id": PydanticObjectId(slot["id"]),
        "seat": seat,
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
def test_a_withdrawal_that_died_while_it_took_the_seats_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, blocked: tuple[int, ...], booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    held = {
        row["seat"]
        for row in db["appointments"].find({"slot_id": PydanticObjectId(slot["id"]), "active": True})
    }
    for seat in set(blocked) - held:
        put_block(db, slot, seat)
    assert search(api) == []
    # The hours still ask for it: it is withdrawn to the end, and opened anew.
    opened(run, three)
    assert brought_in_line(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=booked)


def test_a_withdrawal_that_died_amid_the_stepping_over_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(2):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    rows = list(db["appointments"].find({"slot_id": PydanticObjectId(slot["id"]), "active": True}))
    db["appointments"].update_one({"_id": rows[0]["_id"]}, {"$set": {"seat": 1000}})
    opened(run, three)
    assert brought_in_line(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=2)


@pytest.mark.parametrize("booked", [0, 2])
def test_a_withdrawal_that_died_before_its_last_write_is_finished(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="closing", revision=1)
    rows = list(db["appointments"].find({"slot_id": PydanticObjectId(slot["id"]), "active": True}))
    for number, row in enumerate(rows):
        db["appointments"].update_one({"_id": row["_id"]}, {"$set": {"seat": 1000 + number}})
    for seat in range(3):
        put_block(db, slot, seat)
    opened(run, three)
    assert brought_in_line(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=booked)


def test_a_withdrawn_slot_that_nobody_came_to_open_again_is_opened(
    run: Run[Any], api: httpx.Client, three: Person, db: Db
) -> None:
    slot = slot_at(api, three, "09:00")
    book(factories.make_user(run, Role.PATIENT), slot)
    away = {"start": text(at("09:00")), "end": text(at("09:30"))}
    done(three.client.post(f"/doctors/{three.id}/leaves", json=away), 201)
    db["leaves"].delete_many({"doctor_id": three.object_id})
    assert brought_in_line(run, three) == (1, 0)
    assert brought_in_line(run, three) == (0, 0)
    check_seats(run, api, three, capacity=3, booked=1)


def test_slots_that_were_written_and_never_opened_are_opened(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    for row in slots_in(db, doctor):
        db["slots"].update_one({"_id": row["_id"]}, {"$set": {"state": "pending"}})
    assert search(api) == []
    assert brought_in_line(run, doctor) == (12, 0)
    assert brought_in_line(run, doctor) == (0, 0)
    assert offered(api, doctor) == MORNING


def test_a_book_that_was_written_in_part_is_completed(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    for row in slots_in(db, doctor)[::2]:
        db["slots"].delete_one({"_id": row["_id"]})
    assert brought_in_line(run, doctor) == (6, 0)
    assert offered(api, doctor) == MORNING


@pytest.mark.parametrize("on_leave", [False, True])
def test_a_slot_made_by_hand_whose_maker_died_is_opened_unless_it_may_not_be(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person, db: Db, *, on_leave: bool
) -> None:
    slot = add_slot(free_doctor, clinic, "15:00")
    change(db, slot, state="pending")
    if on_leave:
        away = {"start": text(at("14:00")), "end": text(at("15:05"))}
        done(free_doctor.client.post(f"/doctors/{free_doctor.id}/leaves", json=away), 201)
    opened(run, free_doctor)
    assert brought_in_line(run, free_doctor) == (0, 0)
    assert offered(api, free_doctor) == ([] if on_leave else ["15:00"])


def test_a_leave_whose_taker_died_withdraws_with_the_next_run(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, db: Db
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "10:00")
    away = {"doctor_id": doctor.object_id, "start": at("09:30"), "end": at("10:30"), "created_at": NOW}
    db["leaves"].insert_one({**away, "created_by": doctor.object_id})
    assert brought_in_line(run, doctor) == (0, 2)
    assert brought_in_line(run, doctor) == (0, 0)
    assert offered(api, doctor) == ["09:00", "10:30"]
    assert try_booking(patient, slot).status_code == 409


@pytest.mark.parametrize("booked", [0, 2])
def test_a_removal_that_died_after_its_first_write_still_keeps_the_slot_out(
    run: Run[Any], api: httpx.Client, three: Person, db: Db, booked: int
) -> None:
    slot = slot_at(api, three, "09:00")
    for _ in range(booked):
        book(factories.make_user(run, Role.PATIENT), slot)
    change(db, slot, state="removed", revision=1)
    held = {
        row["seat"]
        for row in db["appointments"].find({"slot_id": PydanticObjectId(slot["id"]), "active": True})
    }
    put_block(db, slot, min({0, 1, 2} - held))
    assert brought_in_line(run, three) == (0, 0)
    assert search(api) == []
    days = {"first_day": "2030-06-03", "last_day": "2030-06-03"}
    whose = {"doctor_id": three.id, "clinic_id": slot["clinic_id"]}
    assert done(three.client.post("/slots/generate", json={**whose, **days})) == {"created": 1}
    check_seats(run, api, three, capacity=3, booked=booked)


def test_slots_that_began_a_moment_ago_are_withdrawn_with_a_leave_over_them(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, db: Db
) -> None:
    """A booking that read the slot just before it began may still be on its way."""
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("09:00") + MINUTE):
        here = factories.log_in(run, doctor.user)
        away = {"start": text(at("08:00")), "end": text(at("12:00"))}
        report = done(here.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)["report"]
    assert report["slots_withdrawn"] == 4
    held = db["appointments"].find_one({"slot_id": PydanticObjectId(slot["id"]), "active": True})
    assert held is not None
    assert "patient_id" not in held


def test_a_doctor_between_two_zones_keeps_the_slots_of_the_morning_s_decision(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db
) -> None:
    """10:00 in St. John's is 8:30 in New York: each slot there overlaps two here."""
    there = factories.make_clinic(run, time_zone="America/St_Johns", policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, there.clinic_id],
        weekly_hours=[
            *every_day(clinic, "09:00", "15:00", slot_minutes=60),
            *every_day(there, "10:00", "17:00", slot_minutes=60),
        ],
    )
    opened(run, doctor)
    before = slots_in(db, doctor)
    assert {row["clinic_id"] for row in before} == {clinic.clinic_id}
    for passed in range(0, 10 * 60, 20):
        with clock.stopped(NOW + passed * MINUTE):
            assert brought_in_line(run, doctor) == (0, 0)
    assert slots_in(db, doctor) == before
    # Leave in the morning doesn't turn the day over either, while it lasts or after it.
    with clock.stopped(at("09:00")):
        here = factories.log_in(run, doctor.user)
        away = {"start": text(at("09:00")), "end": text(at("10:00"))}
        done(here.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
        left = offered(api, doctor)
        assert left == ["10:00", "11:00", "12:00", "13:00", "14:00"]
    with clock.stopped(at("10:30")):
        assert brought_in_line(run, doctor) == (0, 0)
        assert offered(api, doctor) == left[1:]


def test_leave_that_is_over_still_decides_between_the_clinics(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db
) -> None:
    """Leave takes the three hours from 9:00 here, so the doctor is there at noon: 10:30 here. That stays so."""
    there = factories.make_clinic(run, time_zone="America/St_Johns", policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, there.clinic_id],
        weekly_hours=[
            *every_day(clinic, "09:00", "12:00", slot_minutes=180),
            *every_day(there, "12:00", "13:00", slot_minutes=60),
        ],
    )
    away = {"start": text(at("09:00")), "end": text(at("09:30"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    assert offered(api, doctor) == ["10:30"]
    before = slots_in(db, doctor)
    with clock.stopped(at("10:00")):
        assert brought_in_line(run, doctor) == (0, 0)
    assert slots_in(db, doctor) == before
