"""Single slots that staff add: where and when they may be, and what holds the doctor's time."""

from typing import Any

import httpx
import pytest

from backend.accounts.profiles import Weekday
from backend.core import clock
from backend.directory.documents import Clinic, OpeningHours, Policy
from tests import factories
from tests.appointments.support import at_once
from tests.factories import Person, Run
from tests.scheduling.support import (
    MINUTE,
    Db,
    add_slot,
    ask_for_slot,
    at,
    book,
    count_slots,
    done,
    offered,
    opened,
    reconciled,
    refused,
    search,
    slot_at,
    text,
    try_booking,
)


def test_an_added_slot_is_offered_and_can_be_booked(
    api: httpx.Client, clinic: Clinic, free_doctor: Person, patient: Person
) -> None:
    slot = add_slot(free_doctor, clinic, "13:05", minutes=25, capacity=2)
    assert search(api) == [slot]
    assert (slot["start"], slot["end"]) == (text(at("13:05")), text(at("13:30")))
    assert (slot["capacity"], slot["free"]) == (2, 2)
    book(patient, slot)
    assert slot_at(api, free_doctor, "13:05")["free"] == 1


@pytest.mark.parametrize(
    ("doctor_s", "clinic_s", "given", "expected"),
    [(None, None, None, 30), (None, 20, None, 20), (45, 20, None, 45), (45, 20, 10, 10)],
)
def test_the_length_defaults_to_the_doctor_s_then_the_clinic_s(
    run: Run[Any], doctor_s: int | None, clinic_s: int | None, given: int | None, expected: int
) -> None:
    clinic = factories.make_clinic(run, policy=Policy(slot_minutes=clinic_s))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], slot_minutes=doctor_s)
    slot = add_slot(doctor, clinic, "09:00", **({} if given is None else {"minutes": given}))
    assert slot["end"] == text(at("09:00") + expected * MINUTE)


def test_an_added_slot_outlives_changes_of_hours(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    slot = add_slot(doctor, clinic, "15:00", capacity=4)
    assert reconciled(run, doctor) == (0, 0)
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json={"hours": []}))
    assert search(api) == [slot]


@pytest.mark.parametrize(
    ("wall_time", "length"),
    [("07:55", 5), ("07:45", 30), ("19:35", 30), ("20:00", 5), ("19:55", 10), ("12:45", 480), ("23:30", 60)],
)
def test_a_slot_outside_the_opening_hours_is_refused(
    clinic: Clinic, free_doctor: Person, wall_time: str, length: int
) -> None:
    start = text(at(wall_time))
    refused(ask_for_slot(free_doctor, clinic, start, minutes=length), 422, "OUTSIDE_OPENING_HOURS")


def test_a_slot_may_fill_the_opening_hours_exactly(clinic: Clinic, free_doctor: Person) -> None:
    add_slot(free_doctor, clinic, "08:00", minutes=480)
    add_slot(free_doctor, clinic, "16:00", minutes=240)
    add_slot(free_doctor, clinic, "08:00", days=1, minutes=5)
    add_slot(free_doctor, clinic, "19:55", days=1, minutes=5)


def test_a_slot_across_a_break_or_on_a_closed_day_is_refused(run: Run[Any]) -> None:
    monday = Weekday.MONDAY
    clinic = factories.make_clinic(
        run,
        opening_hours=[
            OpeningHours(weekday=monday, opens="08:00", closes="12:00"),
            OpeningHours(weekday=monday, opens="13:00", closes="24:00"),
        ],
    )
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    for wall_time, days in (("11:45", 0), ("12:00", 0), ("12:45", 0), ("23:45", 0), ("09:00", 1)):
        start = text(at(wall_time, days=days))
        refused(ask_for_slot(doctor, clinic, start), 422, "OUTSIDE_OPENING_HOURS")
    add_slot(doctor, clinic, "23:30")


@pytest.mark.parametrize(
    ("wall_time", "length", "fits"),
    [
        ("09:30", 30, True),
        ("08:30", 30, True),
        ("09:00", 30, False),
        ("09:25", 30, False),
        ("08:35", 30, False),
        ("09:10", 5, False),
        ("08:00", 120, False),
    ],
)
def test_a_slot_that_overlaps_another_of_the_doctor_is_refused(
    run: Run[Any], clinic: Clinic, free_doctor: Person, wall_time: str, length: int, *, fits: bool
) -> None:
    add_slot(free_doctor, clinic, "09:00")
    answer = ask_for_slot(free_doctor, clinic, text(at(wall_time)), minutes=length)
    if fits:
        done(answer, 201)
    else:
        refused(answer, 409, "SLOT_OVERLAPS")
    colleague = factories.make_doctor(run, clinic, weekly_hours=[])
    done(ask_for_slot(colleague, clinic, text(at(wall_time)), minutes=length), 201)


def test_a_doctor_s_slots_at_two_clinics_don_t_overlap(run: Run[Any], clinic: Clinic) -> None:
    other = factories.make_clinic(run)
    doctor = factories.make_doctor(run, clinic, clinic_ids=[clinic.clinic_id, other.clinic_id], weekly_hours=[])
    add_slot(doctor, clinic, "09:00")
    refused(ask_for_slot(doctor, other, text(at("09:15"))), 409, "SLOT_OVERLAPS")
    add_slot(doctor, other, "09:30")


def test_of_overlapping_slots_added_at_once_one_is_created(
    api: httpx.Client, clinic: Clinic, free_doctor: Person
) -> None:
    starts = [text(at("09:00") + number * 5 * MINUTE) for number in range(6)] * 2
    answers = at_once(*(lambda start=start: ask_for_slot(free_doctor, clinic, start) for start in starts))
    codes = sorted((a.status_code, a.json().get("error_code")) for a in answers)
    assert codes == [(201, None)] + [(409, "SLOT_OVERLAPS")] * 11
    assert len(search(api)) == 1


def test_an_added_slot_has_a_location(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> None:
    answer = ask_for_slot(free_doctor, clinic, text(at("09:00")))
    assert done(api.get(answer.headers["Location"].removeprefix("/api/v1"))) == done(answer, 201)


def test_a_slot_during_leave_or_a_closure_is_refused(
    run: Run[Any], clinic: Clinic, free_doctor: Person, admin: Person
) -> None:
    away = {"start": text(at("09:00")), "end": text(at("10:00"))}
    done(free_doctor.client.post(f"/doctors/{free_doctor.id}/leaves", json=away), 201)
    closed = {"start": text(at("14:00")), "end": text(at("15:00"))}
    done(admin.client.post(f"/clinics/{clinic.clinic_id}/closures", json=closed), 201)
    for wall_time in ("09:00", "09:30", "09:55", "08:35", "13:35", "14:55"):
        refused(ask_for_slot(free_doctor, clinic, text(at(wall_time))), 409, "TIME_NOT_AVAILABLE")
    for wall_time in ("08:30", "10:00", "13:30", "15:00"):
        add_slot(free_doctor, clinic, wall_time)


def test_a_slot_of_an_inactive_doctor_or_clinic_is_refused(
    run: Run[Any], clinic: Clinic, admin: Person, free_doctor: Person
) -> None:
    slot = {"doctor_id": free_doctor.id, "clinic_id": str(clinic.clinic_id), "start": text(at("09:00"))}
    done(admin.client.delete(f"/clinics/{clinic.clinic_id}"))
    refused(admin.client.post("/slots", json=slot), 409, "TIME_NOT_AVAILABLE")
    other = factories.make_clinic(run)
    inactive = factories.make_doctor(run, other, weekly_hours=[])
    done(admin.client.delete(f"/doctors/{inactive.id}"))
    gone = {**slot, "doctor_id": inactive.id, "clinic_id": str(other.clinic_id)}
    refused(admin.client.post("/slots", json=gone), 409, "TIME_NOT_AVAILABLE")


def test_a_slot_at_another_doctor_s_clinic_is_refused(run: Run[Any], free_doctor: Person) -> None:
    other = factories.make_clinic(run)
    refused(ask_for_slot(free_doctor, other, text(at("09:00"))), 422, "NOT_THE_DOCTORS_CLINIC")


@pytest.mark.parametrize(
    "change",
    [
        {"minutes": 0},
        {"minutes": 7},
        {"minutes": 485},
        {"capacity": 0},
        {"capacity": 101},
        {"capacity": 2**64},
    ],
)
def test_odd_lengths_and_capacities_are_refused(clinic: Clinic, free_doctor: Person, change: dict[str, int]) -> None:
    refused(ask_for_slot(free_doctor, clinic, text(at("09:00")), **change), 422, "VALIDATION_ERROR")


def test_a_slot_over_withdrawn_but_booked_time_is_refused(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    """The hours move away from a booked slot, which keeps its time: nobody else can be seen then."""
    opened(run, doctor)
    booked = slot_at(api, doctor, "09:30")
    book(patient, booked)
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json={"hours": []}))
    for wall_time in ("09:00", "09:30", "09:45"):
        refused(ask_for_slot(doctor, clinic, text(at(wall_time)), minutes=45), 409, "SLOT_OVERLAPS")
    refused(try_booking(factories.make_user(run, "patient"), booked), 409, "SLOT_NOT_OPEN")
    add_slot(doctor, clinic, "10:00")


def test_a_refused_slot_leaves_nothing_behind(clinic: Clinic, free_doctor: Person, db: Db) -> None:
    add_slot(free_doctor, clinic, "09:00")
    refused(ask_for_slot(free_doctor, clinic, text(at("09:15"))), 409, "SLOT_OVERLAPS")
    refused(ask_for_slot(free_doctor, clinic, text(at("07:00"))), 422, "OUTSIDE_OPENING_HOURS")
    assert count_slots(db) == 1


def test_after_midnight_only_coming_time_is_free(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person
) -> None:
    add_slot(free_doctor, clinic, "19:30")
    add_slot(free_doctor, clinic, "08:00", days=1)
    with clock.stopped(at("00:00", days=1)):
        opened(run, free_doctor)
        assert offered(api, free_doctor) == []
        assert offered(api, free_doctor, days=1) == ["08:00"]
