"""When staff may add a slot: on the grid, in the future, within the horizon, whatever offset is written."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.profiles import Weekday
from backend.core import clock
from backend.directory.documents import Clinic, OpeningHours, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    MS,
    NOW,
    add_slot,
    ask_for_slot,
    at,
    done,
    every_day,
    opened,
    refused,
    search,
    text,
)


@pytest.mark.parametrize(
    "off",
    [timedelta(seconds=1), timedelta(milliseconds=1), timedelta(microseconds=1), timedelta(minutes=1)],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_start_off_the_grid_is_refused(clinic: Clinic, free_doctor: Person, off: timedelta, sign: int) -> None:
    start = text(at("13:00") + sign * off)
    refused(ask_for_slot(free_doctor, clinic, start), 422, "START_NOT_ALIGNED")


def test_a_slot_that_has_started_is_refused(run: Run[Any], clinic: Clinic, free_doctor: Person) -> None:
    nine = text(at("09:00"))
    with clock.stopped(at("09:00")):
        refused(ask_for_slot(factories.log_in(run, free_doctor.user), clinic, nine), 422, "IN_THE_PAST")
    for start in ("2030-06-02T13:00:00Z", "1900-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
        refused(ask_for_slot(free_doctor, clinic, start), 422, "IN_THE_PAST")
    with clock.stopped(at("09:00") - MS):
        add_slot(factories.log_in(run, free_doctor.user), clinic, "09:00")


def test_a_slot_may_be_on_the_last_day_but_not_the_next(clinic: Clinic, free_doctor: Person) -> None:
    add_slot(free_doctor, clinic, "19:30", days=2)
    refused(ask_for_slot(free_doctor, clinic, text(at("08:00", days=3))), 422, "BEYOND_HORIZON")
    for start in ("2030-12-31T13:00:00Z", "2199-12-31T23:55:00Z"):
        refused(ask_for_slot(free_doctor, clinic, start), 422, "BEYOND_HORIZON")


@pytest.mark.parametrize(
    "start",
    [
        '"9999-12-31T23:55:00Z"',
        '"9999-12-31T23:55:00-14:00"',
        '"0001-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+14:00"',
        '"2200-01-01T00:00:00Z"',
        '"1899-12-31T23:55:00Z"',
        '"2030-06-03T17:00:00"',
        '"2030-06-03T17:00:00+24:00"',
        '"2030-06-03T24:00:00Z"',
        '"2030-02-30T12:00:00Z"',
        '"2030-06-03T17:00:60Z"',
        '"1906794000"',
        '"NaN"',
        '""',
        "NaN",
        "1906794000",
        "1e400",
        "-1",
        "true",
        "null",
        '{"$gt": ""}',
    ],
)
def test_an_invalid_start_is_refused(clinic: Clinic, free_doctor: Person, start: str) -> None:
    whose = f'"doctor_id": "{free_doctor.id}", "clinic_id": "{clinic.clinic_id}"'
    answer = free_doctor.client.post(
        "/slots",
        content=f'{{{whose}, "start": {start}}}',
        headers={"Content-Type": "application/json"},
    )
    refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "written",
    [
        "2030-06-03T13:00:00Z",
        "2030-06-03T09:00:00-04:00",
        "2030-06-03T18:45:00+05:45",
        "2030-06-03T18:45:00.000000+05:45",
        "2030-06-04T03:00:00+14:00",
        "2030-06-03T01:00:00-12:00",
        "2030-06-04T12:59:00+23:59",
        "2030-06-03 13:00Z",
    ],
)
def test_one_moment_is_one_slot_whatever_its_offset(clinic: Clinic, free_doctor: Person, written: str) -> None:
    assert done(ask_for_slot(free_doctor, clinic, written), 201)["start"] == text(at("09:00"))
    refused(ask_for_slot(free_doctor, clinic, text(at("09:00"))), 409, "SLOT_OVERLAPS")


def test_the_second_of_two_equal_hours_can_be_added(run: Run[Any], api: httpx.Client) -> None:
    """On 3 November 2030, 1:30 comes twice in New York. The weekly hours use the first only."""
    all_day = [OpeningHours(weekday=Weekday.SUNDAY, opens="00:00", closes="24:00")]
    clinic = factories.make_clinic(run, opening_hours=all_day, policy=Policy(horizon_days=1))
    with clock.stopped(NOW + 152 * DAY):  # Saturday, 2 November
        doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "01:00", "02:00"))
        opened(run, doctor)
        done(ask_for_slot(doctor, clinic, "2030-11-03T01:30:00-05:00"), 201)
        refused(ask_for_slot(doctor, clinic, "2030-11-03T01:30:00-04:00"), 409, "SLOT_OVERLAPS")
        assert [slot["start"] for slot in search(api)] == [
            "2030-11-03T05:00:00Z",
            "2030-11-03T05:30:00Z",
            "2030-11-03T06:30:00Z",
        ]
