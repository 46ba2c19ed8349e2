"""Hours of the night: one block over midnight, at a clinic that is open then."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import WEEK, HoursBlock, Weekday
from backend.directory.documents import Clinic, OpeningHours, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    Db,
    as_json,
    at,
    book,
    done,
    every_day,
    hours,
    listed,
    offered,
    on_the_wall,
    refused,
    search,
    slot_at,
    slots_in,
    text,
)

MONDAY, SUNDAY = Weekday.MONDAY, Weekday.SUNDAY


def open_on(opens: str, closes: str, *days: Weekday) -> list[OpeningHours]:
    return [OpeningHours(weekday=day, opens=opens, closes=closes) for day in days or WEEK]


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """An emergency practice, open every night from 20:00 to 8:00."""
    return factories.make_clinic(run, opening_hours=open_on("20:00", "08:00"), policy=Policy(horizon_days=2))


def put(doctor: Person, blocks: list[HoursBlock]) -> httpx.Response:
    return doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(blocks))


def test_a_night_in_one_block(api: httpx.Client, clinic: Clinic, free_doctor: Person, db: Db) -> None:
    changed = done(put(free_doctor, hours(clinic, "22:00", "03:00", MONDAY, slot_minutes=50)))
    assert [(block["start"], block["end"]) for block in changed["hours"]] == [("22:00", "03:00")]
    assert [on_the_wall(slot["start"]) for slot in search(api)] == [
        "22:00",
        "22:50",
        "23:40",
        "00:30",
        "01:20",
        "02:10",
    ]
    assert [slot["day"] for slot in slots_in(db, free_doctor)] == ["2030-06-03"] * 3 + ["2030-06-04"] * 3


def test_an_appointment_over_midnight_is_on_the_day_it_starts(
    api: httpx.Client, clinic: Clinic, free_doctor: Person, patient: Person, admin: Person, db: Db
) -> None:
    done(put(free_doctor, hours(clinic, "22:00", "03:00", MONDAY, slot_minutes=50)))
    made = book(patient, slot_at(api, free_doctor, "23:40"))
    assert (made["start"], made["end"]) == (text(at("23:40")), text(at("00:30", days=1)))
    for day, found in (("2030-06-03", [made["id"]]), ("2030-06-04", [])):
        page = done(admin.client.get("/appointments", params={"from": day, "to": day}))
        assert [row["id"] for row in page["items"]] == found


def test_leave_of_the_next_day_withdraws_the_slots_after_midnight(
    api: httpx.Client, clinic: Clinic, free_doctor: Person, patient: Person
) -> None:
    """The visit over midnight is in the report: a part of it lies in the leave."""
    done(put(free_doctor, hours(clinic, "22:00", "03:00", MONDAY, slot_minutes=50)))
    made = book(patient, slot_at(api, free_doctor, "23:40"))
    leave = {"start": "2030-06-04", "end": "2030-06-04"}
    report = done(free_doctor.client.post(f"/doctors/{free_doctor.id}/leaves", json=leave), 201)["report"]
    assert listed(report) == [made["id"]]
    assert [on_the_wall(slot["start"]) for slot in search(api)] == ["22:00", "22:50"]


@pytest.mark.parametrize("start", ["00:00", "12:00"])
def test_24_hours_in_one_block(run: Run[Any], api: httpx.Client, start: str) -> None:
    clinic = factories.make_clinic(run, opening_hours=open_on("00:00", "24:00"), policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    done(put(doctor, every_day(clinic, start, start, slot_minutes=240)))
    whole_day = ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"]
    assert offered(api, doctor, days=1) == offered(api, doctor, days=2) == whole_day


def test_opening_hours_of_two_days_hold_one_night(run: Run[Any], api: httpx.Client) -> None:
    """A clinic that is open all day writes each day by itself. A slot may lie over the midnight between."""
    clinic = factories.make_clinic(run, opening_hours=open_on("00:00", "24:00"), policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    done(put(doctor, hours(clinic, "23:30", "00:30", SUNDAY, MONDAY, slot_minutes=60)))
    assert [on_the_wall(slot["start"]) for slot in search(api)] == ["23:30"]


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [(MONDAY, "19:55", "03:00"), (MONDAY, "22:00", "08:05"), (SUNDAY, "22:00", "00:05"), (MONDAY, "00:00", "00:00")],
)
def test_nights_outside_the_opening_hours_are_refused(run: Run[Any], day: Weekday, start: str, end: str) -> None:
    nights = [*open_on("20:00", "08:00", *WEEK[:6]), *open_on("20:00", "24:00", SUNDAY)]
    clinic = factories.make_clinic(run, opening_hours=nights)
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    refused(put(doctor, hours(clinic, start, end, day)), 422, "OUTSIDE_OPENING_HOURS")


@pytest.mark.parametrize(("day", "start"), [(MONDAY, "02:30"), (MONDAY, "00:00")])
def test_sunday_s_night_overlaps_monday_s_morning(
    clinic: Clinic, free_doctor: Person, day: Weekday, start: str
) -> None:
    night = hours(clinic, "22:00", "03:00", SUNDAY)
    refused(put(free_doctor, [*hours(clinic, start, "05:00", day), *night]), 422, "VALIDATION_ERROR")
    done(put(free_doctor, [*hours(clinic, "03:00", "05:00", day), *night]))


def test_a_week_of_nights_counts_all_its_slots(run: Run[Any]) -> None:
    clinic = factories.make_clinic(run, opening_hours=open_on("00:00", "00:00"))
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    refused(put(doctor, every_day(clinic, "12:00", "12:00", slot_minutes=10)), 422, "WEEK_TOO_FULL")


def test_a_range_of_nights_is_generated(api: httpx.Client, clinic: Clinic, free_doctor: Person) -> None:
    body = {
        **{"doctor_id": free_doctor.id, "clinic_id": str(clinic.clinic_id), "minutes": 60},
        **{"first_day": "2030-06-03", "last_day": "2030-06-04", "start": "23:30", "end": "01:30"},
    }
    assert done(free_doctor.client.post("/slots/generate", json=body)) == {"created": 4}
    assert [on_the_wall(slot["start"]) for slot in search(api)] == ["23:30", "00:30"] * 2


def test_a_doctor_without_hours_works_the_clinic_s_nights(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, slot_minutes=360)
    admin = factories.make_user(run, Role.ADMIN)
    done(admin.client.patch(f"/doctors/{doctor.id}", json={"slot_minutes": 240}))
    assert offered(api, doctor, days=1) == ["00:00", "04:00", "20:00"]
