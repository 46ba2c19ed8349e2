"""The job that adds slots up to the horizon: each doctor once a day, also if a process dies in it."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.core import clock
from backend.directory.documents import Clinic, Policy
from backend.scheduling.hours.repository import CLAIM
from backend.scheduling.slots.horizon import extend_slots
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    HOUR,
    MORNING,
    MS,
    NOW,
    Db,
    count_slots,
    done,
    every_day,
    offered,
    refused,
    search,
    slot_at,
    slots_in,
)


async def extend_at_once(times: int) -> list[int]:
    return await asyncio.gather(*(extend_slots() for _ in range(times)))


@pytest.fixture
def doctors(run: Run[Any], clinic: Clinic) -> list[Person]:
    """Five doctors without slots."""
    hours = every_day(clinic, "09:00", "11:00")
    return [factories.make_doctor(run, clinic, weekly_hours=hours) for _ in range(5)]


def test_a_new_doctor_has_slots_up_to_the_horizon(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    assert run(extend_slots()) == 1
    assert [offered(api, doctor, days=days) for days in range(4)] == [MORNING, MORNING, MORNING, []]


def test_each_doctor_is_extended_once_a_day(run: Run[Any], doctors: list[Person], db: Db) -> None:
    assert run(extend_slots()) == 5
    before = [slots_in(db, doctor) for doctor in doctors]
    assert run(extend_slots()) == 0
    with clock.stopped(NOW + HOUR):
        assert run(extend_slots()) == 0
    assert [slots_in(db, doctor) for doctor in doctors] == before
    with clock.stopped(NOW + DAY):
        assert run(extend_slots()) == 5
        assert run(extend_slots()) == 0


def test_the_horizon_stays_full_as_the_days_pass(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    for passed in range(5):
        with clock.stopped(NOW + passed * DAY):
            run(extend_slots())
            days = [offered(api, doctor, days=passed + ahead) for ahead in range(4)]
            assert days == [MORNING, MORNING, MORNING, []]


@pytest.mark.parametrize(
    "zone", ["Pacific/Honolulu", "America/New_York", "UTC", "Asia/Kolkata", "Pacific/Kiritimati"]
)
def test_the_last_day_is_added_after_midnight_in_every_zone(run: Run[Any], api: httpx.Client, zone: str) -> None:
    clinic = factories.make_clinic(run, time_zone=zone, policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00"))
    for hour in range(0, 50, 7):
        # The job runs every hour; what counts is that it has run since the last midnight.
        with clock.stopped(NOW + hour * HOUR):
            run(extend_slots())
            today = (NOW + hour * HOUR).astimezone(clinic.zone).date()
            last = today + timedelta(days=2)
            assert offered(api, doctor, days=(last - NOW.date()).days, zone=zone) == MORNING, hour


def test_runs_at_the_same_time_share_the_doctors(
    run: Run[Any], api: httpx.Client, doctors: list[Person], db: Db
) -> None:
    counts = run(extend_at_once(3))
    assert sum(counts) == 5
    assert all(count > 0 for count in counts)
    for doctor in doctors:
        assert offered(api, doctor) == MORNING
    assert count_slots(db) == 5 * 12


def test_a_claimed_doctor_is_skipped_until_the_claim_lapses(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    """The state that a killed process leaves."""
    db["users"].update_one({"_id": doctor.object_id}, {"$set": {"doctor.slots_claimed_until": NOW + CLAIM}})
    assert run(extend_slots()) == 0
    with clock.stopped(NOW + CLAIM - MS):
        assert run(extend_slots()) == 0
        assert search(api) == []
    with clock.stopped(NOW + CLAIM):
        assert run(extend_slots()) == 1
        assert offered(api, doctor) == MORNING


def test_a_claim_ends_when_the_work_is_done(run: Run[Any], doctor: Person, db: Db) -> None:
    run(extend_slots())
    found = db["users"].find_one({"_id": doctor.object_id})
    assert found is not None
    assert "slots_claimed_until" not in found["doctor"]


def test_inactive_doctors_are_skipped(run: Run[Any], api: httpx.Client, doctors: list[Person], admin: Person) -> None:
    done(admin.client.delete(f"/doctors/{doctors[0].id}"))
    assert run(extend_slots()) == 4
    assert {slot["doctor_id"] for slot in search(api)} == {doctor.id for doctor in doctors[1:]}


def test_a_doctor_without_a_clinic_is_done_without_slots(run: Run[Any], api: httpx.Client) -> None:
    factories.make_user(run, "doctor")
    assert run(extend_slots()) == 1
    assert run(extend_slots()) == 0
    assert search(api) == []


def test_only_doctors_get_slots(run: Run[Any], nurse: Person, patient: Person, admin: Person) -> None:
    assert run(extend_slots()) == 0


def test_a_run_finishes_what_a_killed_process_left(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, db: Db
) -> None:
    run(extend_slots())
    slot = slot_at(api, doctor, "09:00", days=1)
    db["slots"].update_one({"_id": PydanticObjectId(slot["id"])}, {"$set": {"state": "closing"}})
    assert offered(api, doctor, days=1) == MORNING[1:]
    with clock.stopped(NOW + DAY):
        run(extend_slots())
        assert offered(api, doctor, days=1) == MORNING
        refused(patient.client.post("/appointments", json={"slot_id": slot["id"]}), 401, "NOT_AUTHENTICATED")
        late = factories.log_in(run, patient.user)
        done(late.client.post("/appointments", json={"slot_id": slot["id"]}), 201)  # it fits, and has kept its id
