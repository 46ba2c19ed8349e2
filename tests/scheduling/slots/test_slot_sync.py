"""Reconciling: repeated runs, and runs as time passes, lead to the same slots."""

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
    slot_at,
    slots_in,
    text,
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
    assert reconciled(run, lively) == (0, 0)
    assert everything(db) == before
    with clock.stopped(NOW + HOUR):
        assert reconciled(run, lively) == (0, 0)
    assert everything(db) == before


def test_as_time_passes_only_the_far_end_grows(run: Run[Any], lively: Person, db: Db) -> None:
    before = everything(db)
    with clock.stopped(NOW + DAY):
        assert reconciled(run, lively) == (4, 0)
    after = everything(db)
    assert [slot for slot in after["slots"] if slot in before["slots"]] == before["slots"]
    assert after["appointments"] == before["appointments"]


def test_there_is_nothing_to_sync_for_a_patient(run: Run[Any], patient: Person, db: Db) -> None:
    assert reconciled(run, patient) == (0, 0)
    assert count_slots(db) == 0


def test_leave_withdraws_slots_that_started_a_moment_ago(
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
    held = db["appointments"].find_one({"seats.slot": PydanticObjectId(slot["id"]), "active": True})
    assert held is not None
    assert "patient_id" not in held


def test_an_overlap_of_two_zones_is_decided_once_a_day(
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
            assert reconciled(run, doctor) == (0, 0)
    assert slots_in(db, doctor) == before
    # Leave in the morning doesn't turn the day over either, while it lasts or after it.
    with clock.stopped(at("09:00")):
        here = factories.log_in(run, doctor.user)
        away = {"start": text(at("09:00")), "end": text(at("10:00"))}
        done(here.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
        left = offered(api, doctor)
        assert left == ["10:00", "11:00", "12:00", "13:00", "14:00"]
    with clock.stopped(at("10:30")):
        assert reconciled(run, doctor) == (0, 0)
        assert offered(api, doctor) == left[1:]


def test_past_leave_still_decides_between_the_clinics(
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
        assert reconciled(run, doctor) == (0, 0)
    assert slots_in(db, doctor) == before
