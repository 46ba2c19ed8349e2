"""Doctor statistics by day and month: in the clinic's calendar, within a range, for those who may see them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.commands import recorded
from tests.appointments.support import (
    DAY,
    HOUR,
    NOBODY,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    make_transition,
    refused,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
OpenIn = Callable[[str], Book]


def local(zone: str, *moment: int) -> datetime:
    """A wall-clock time somewhere, as UTC."""
    return datetime(*moment, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[misc,arg-type]


def stats(person: Person, doctor: Person, **params: Any) -> dict[str, Any]:
    """The doctor's numbers."""
    return done(person.client.get(f"/doctors/{doctor.id}/stats", params=params))


def totals(body: dict[str, Any]) -> dict[str, int]:
    """Period to number of appointments."""
    return {row["period"]: row["total"] for row in body["items"]}


def test_appointments_are_counted_by_status_and_day(open_in: OpenIn, admin: Person, run: Run[Any]) -> None:
    book = open_in("America/New_York")
    transitions = [
        [],
        ["confirm"],
        ["check-in"],
        ["check-in", "complete"],
        ["no-show"],
        ["cancel"],
        ["cancel"],
    ]
    today, tomorrow = book.slot(capacity=7), book.slot(TEN + DAY, capacity=7)
    people = make_patients(run, 7)
    for patient, taken in zip(people, transitions, strict=True):
        appointment = booked(patient, today)
        for transition in taken:
            moment = TEN if transition in ("complete", "no-show") else TEN - timedelta(minutes=1)
            done(make_transition(run, admin, appointment, transition, at=moment))
    for patient in people[:2]:
        booked(patient, tomorrow)
    assert stats(admin, book.doctor)["items"] == [
        {
            "period": "2037-06-01",
            **{"scheduled": 1, "confirmed": 1, "checked_in": 1, "completed": 1},
            **{"no_show": 1, "left": 0, "cancelled": 2, "total": 7},
        },
        {
            "period": "2037-06-02",
            **{"scheduled": 2, "confirmed": 0, "checked_in": 0, "completed": 0},
            **{"no_show": 0, "left": 0, "cancelled": 0, "total": 2},
        },
    ]


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Pacific/Auckland", "Pacific/Honolulu", "Asia/Kolkata", "Pacific/Kiritimati"]
)
def test_days_and_months_end_at_midnight_of_the_clinic(
    open_in: OpenIn, admin: Person, patient: Person, zone: str
) -> None:
    book = open_in(zone)
    for moment in ((2037, 6, 30, 0, 0), (2037, 6, 30, 23, 30), (2037, 7, 1, 0, 0), (2037, 7, 1, 0, 30)):
        booked(patient, book.slot(local(zone, *moment)))
    asked = {"from": "2037-06-01", "to": "2037-07-31"}
    assert totals(stats(admin, book.doctor, **asked)) == {"2037-06-30": 2, "2037-07-01": 2}
    assert totals(stats(admin, book.doctor, **asked, group_by="month")) == {"2037-06": 2, "2037-07": 2}


def test_two_clinics_are_counted_each_by_its_calendar(
    open_in: OpenIn, admin: Person, patient: Person, run: Run[Any]
) -> None:
    here, there = open_in("Pacific/Honolulu").clinic, open_in("Pacific/Auckland").clinic
    doctor = factories.make_doctor(run, here, clinic_ids=[here.clinic_id, there.clinic_id], weekly_hours=[])
    moment = local("Pacific/Honolulu", 2037, 6, 3, 12, 0)  # 10:00 on the 4th in Auckland
    booked(patient, Book(run=run, clinic=here, doctor=doctor).slot(moment))
    booked(patient, Book(run=run, clinic=there, doctor=doctor).slot(moment + HOUR))
    assert totals(stats(admin, doctor)) == {"2037-06-03": 1, "2037-06-04": 1}


def test_both_days_of_a_range_are_counted(open_in: OpenIn, admin: Person, patient: Person) -> None:
    book = open_in("America/New_York")
    for ahead in range(5):
        booked(patient, book.slot(TEN + ahead * DAY))

    def days(**params: str) -> list[str]:
        return list(totals(stats(admin, book.doctor, **params)))

    every = ["2037-06-01", "2037-06-02", "2037-06-03", "2037-06-04", "2037-06-05"]
    assert days() == every
    assert days(**{"from": "2037-06-02", "to": "2037-06-04"}) == every[1:4]
    assert days(**{"from": "2037-06-03", "to": "2037-06-03"}) == every[2:3]
    assert days(**{"from": "2037-06-04"}) == every[3:]
    assert days(to="2037-06-02") == every[:2]
    assert days(**{"from": "2037-06-05", "to": "2037-06-01"}) == []
    months = stats(admin, book.doctor, group_by="month", **{"from": "2037-06-02", "to": "2037-06-03"})
    assert totals(months) == {"2037-06": 2}, "a month counts only its days within the range"


def test_the_default_range_is_a_month_back_and_a_month_ahead(open_in: OpenIn, admin: Person) -> None:
    doctor = open_in("America/New_York").doctor

    def span(**params: str) -> tuple[str, str]:
        body = stats(admin, doctor, **params)
        return body["first_day"], body["last_day"]

    assert span() == ("2037-05-02", "2037-07-01")
    assert span(to="2037-06-15") == ("2037-05-16", "2037-06-15")
    assert span(**{"from": "2037-05-20"}) == ("2037-05-20", "2037-07-01")
    assert span(**{"from": "2037-08-01"}) == ("2037-08-01", "2037-08-31")


def test_a_range_has_a_limit(open_in: OpenIn, admin: Person) -> None:
    doctor = open_in("America/New_York").doctor
    path = f"/doctors/{doctor.id}/stats"
    first = {"from": "2037-01-01"}
    done(admin.client.get(path, params={**first, "to": "2038-01-02"}))
    refused(admin.client.get(path, params={**first, "to": "2038-01-03"}), 422, "RANGE_TOO_LONG")
    refused(admin.client.get(path, params={"from": "1900-01-01"}), 422, "RANGE_TOO_LONG")
    by_month = {**first, "group_by": "month"}
    done(admin.client.get(path, params={**by_month, "to": "2047-01-07"}))
    refused(admin.client.get(path, params={**by_month, "to": "2047-01-10"}), 422, "RANGE_TOO_LONG")


@pytest.mark.parametrize("day", ["1899-12-31", "2200-01-01", "9999-12-31", "0001-01-01", "2037-02-30", "x", ""])
def test_an_invalid_day_is_refused(open_in: OpenIn, admin: Person, day: str) -> None:
    doctor = open_in("America/New_York").doctor
    for name in ("from", "to"):
        answer = admin.client.get(f"/doctors/{doctor.id}/stats", params={name: day})
        refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("day", ["1900-01-01", "2199-12-31"])
def test_the_earliest_and_latest_possible_days_are_counted(open_in: OpenIn, admin: Person, day: str) -> None:
    doctor = open_in("America/New_York").doctor
    assert stats(admin, doctor, **{"from": day, "to": day})["items"] == []
    if day > "2037":
        assert stats(admin, doctor, **{"from": day})["items"] == []
    else:
        assert stats(admin, doctor, to=day)["items"] == []


def test_statistics_are_for_the_doctor_nurses_and_admins(
    run: Run[Any],
    api: httpx.Client,
    clinic: Clinic,
    doctor: Person,
    nurse: Person,
    admin: Person,
    patient: Person,
) -> None:
    path = f"/doctors/{doctor.id}/stats"
    for person in (doctor, nurse, admin):
        done(person.client.get(path))
    colleague = factories.make_doctor(run, clinic)
    elsewhere = factories.make_nurse(run, factories.make_clinic(run))
    for person in (colleague, elsewhere, factories.make_user(run, Role.NURSE)):
        refused(person.client.get(path), 404, "DOCTOR_NOT_FOUND")
    for an_id in (NOBODY, patient.id, admin.id):
        refused(admin.client.get(f"/doctors/{an_id}/stats"), 404, "DOCTOR_NOT_FOUND")
    refused(patient.client.get(path), 403, "NOT_ALLOWED")
    refused(api.get(path), 401, "NOT_AUTHENTICATED")


def test_statistics_count_one_doctors_appointments_only(open_in: OpenIn, admin: Person, patient: Person) -> None:
    one, other = open_in("America/New_York"), open_in("America/New_York")
    booked(patient, one.slot())
    assert totals(stats(admin, one.doctor)) == {"2037-06-01": 1}
    assert totals(stats(admin, other.doctor)) == {}


def test_statistics_are_one_aggregation_on_an_index(open_in: OpenIn, patient: Person, db: Db) -> None:
    book = open_in("America/New_York")
    for slot in book.slots(5):
        booked(patient, slot)
    with recorded(db) as commands:
        stats(book.doctor, book.doctor)
    assert commands.reads == [("find", "users"), ("aggregate", "appointments")]
    (counting,) = (entry for entry in commands.entries if entry["ns"].endswith(".appointments"))
    assert counting["docsExamined"] == 0
    assert counting["keysExamined"] <= 6
