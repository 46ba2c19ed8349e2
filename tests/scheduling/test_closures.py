"""Closures of a clinic: which slots of all its doctors they withdraw, and what reopens without them."""

from datetime import datetime
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
    NOBODY,
    NOW,
    Db,
    at,
    book,
    done,
    every_day,
    listed,
    offered,
    opened,
    refused,
    search,
    slot_at,
    status_of,
    text,
    try_booking,
)


def path(clinic: Clinic) -> str:
    return f"/clinics/{clinic.clinic_id}/closures"


def close(person: Person, clinic: Clinic, start: datetime, end: datetime, **body: Any) -> Any:
    span = {"start": text(start), "end": text(end), **body}
    return done(person.client.post(path(clinic), json=span), 201)


def reopen(person: Person, clinic: Clinic, closure: dict[str, Any]) -> Any:
    return done(person.client.delete(f"{path(clinic)}/{closure['id']}"))


@pytest.fixture
def colleague(run: Run[Any], clinic: Clinic, doctor: Person) -> Person:
    """A second doctor of the clinic with the same hours, for two patients each; the slots of both are open."""
    hours = every_day(clinic, "09:00", "11:00", capacity=2)
    colleague = factories.make_doctor(run, clinic, weekly_hours=hours)
    opened(run, doctor, colleague)
    return colleague


@pytest.mark.parametrize(
    ("closed", "left"),
    [
        (("09:30", "10:30"), ["09:00", "10:30"]),
        (("09:29", "09:31"), ["10:00", "10:30"]),
        (("08:00", "09:00"), MORNING),
        (("11:00", "20:00"), MORNING),
        (("08:00", "09:01"), MORNING[1:]),
        (("00:00", "23:59"), []),
    ],
)
def test_a_closure_withdraws_the_slots_of_all_doctors(
    api: httpx.Client,
    clinic: Clinic,
    doctor: Person,
    colleague: Person,
    nurse: Person,
    closed: tuple[str, str],
    left: list[str],
) -> None:
    closure = close(nurse, clinic, at(closed[0]), at(closed[1]), reason="Water damage")
    assert offered(api, doctor) == offered(api, colleague) == left
    assert offered(api, doctor, days=1) == MORNING
    assert closure["report"]["slots_withdrawn"] == 2 * (4 - len(left))
    assert closure["reason"] == "Water damage"


def test_appointments_in_a_closure_are_listed_and_stay_valid(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, colleague: Person
) -> None:
    admin = factories.make_user(run, Role.ADMIN)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(5)]
    slots = [
        slot_at(api, doctor, "09:00"),
        slot_at(api, doctor, "10:00"),
        slot_at(api, colleague, "09:30"),
        slot_at(api, colleague, "09:30"),
        slot_at(api, colleague, "10:30"),
    ]
    booked = [book(person, slot) for person, slot in zip(people, slots, strict=True)]
    closure = close(admin, clinic, at("09:30"), at("10:10"))
    assert sorted(listed(closure["report"])) == sorted(a["id"] for a in booked[1:4])
    assert [row["start"] for row in closure["report"]["appointments"]] == [
        text(at("09:30")),
        text(at("09:30")),
        text(at("10:00")),
    ]
    assert {status_of(p, a) for p, a in zip(people, booked, strict=True)} == {"scheduled"}
    assert offered(api, doctor) == ["10:30"]
    assert offered(api, colleague) == ["09:00", "10:30"]
    refused(try_booking(factories.make_user(run, Role.PATIENT), slots[2]), 409, "SLOT_NOT_OPEN")
    # All is as it was when the closure is taken back.
    assert listed(reopen(admin, clinic, closure)) == []
    assert offered(api, doctor) == ["09:30", "10:30"]
    assert offered(api, colleague) == MORNING[:1] + MORNING[2:]
    assert slot_at(api, colleague, "10:30")["free"] == 1


def test_a_closure_closes_one_clinic_only(run: Run[Any], api: httpx.Client, clinic: Clinic, nurse: Person) -> None:
    other = factories.make_clinic(run, policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, other.clinic_id],
        weekly_hours=[*every_day(clinic, "09:00", "10:00"), *every_day(other, "10:00", "11:00")],
    )
    opened(run, doctor)
    patient = factories.make_user(run, Role.PATIENT)
    there = book(patient, slot_at(api, doctor, "10:30"))
    closure = close(nurse, clinic, at("00:00"), at("00:00", days=1))
    assert offered(api, doctor) == ["10:00"]
    assert listed(closure["report"]) == []
    assert status_of(patient, there) == "scheduled"


def test_time_under_two_closures_opens_when_both_are_deleted(
    api: httpx.Client, clinic: Clinic, doctor: Person, colleague: Person, nurse: Person
) -> None:
    first = close(nurse, clinic, at("09:00"), at("10:00"))
    second = close(nurse, clinic, at("09:30"), at("10:30"))
    assert reopen(nurse, clinic, first)["slots_opened"] == 2
    assert offered(api, doctor) == ["09:00", "10:30"]
    assert reopen(nurse, clinic, second)["slots_opened"] == 4
    assert offered(api, doctor) == offered(api, colleague) == MORNING


def test_leave_under_a_closure_outlasts_it(
    api: httpx.Client, clinic: Clinic, doctor: Person, colleague: Person, nurse: Person
) -> None:
    away = {"start": text(at("09:00")), "end": text(at("10:00"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=away), 201)
    closure = close(nurse, clinic, at("08:00"), at("20:00"))
    reopen(nurse, clinic, closure)
    assert offered(api, doctor) == ["10:00", "10:30"]
    assert offered(api, colleague) == MORNING


def test_a_closure_beyond_the_horizon_applies_later(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, nurse: Person
) -> None:
    opened(run, doctor)
    close(nurse, clinic, at("00:00", days=3), at("00:00", days=4))
    with clock.stopped(NOW + 2 * DAY):
        opened(run, doctor)
        assert [offered(api, doctor, days=days) for days in (2, 3, 4)] == [MORNING, [], MORNING]


def test_a_closure_of_one_date_covers_the_day_at_the_clinic(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, nurse: Person
) -> None:
    opened(run, doctor)
    day = {"start": "2030-06-04", "end": "2030-06-04"}
    closure = done(nurse.client.post(path(clinic), json=day), 201)
    assert (closure["start"], closure["end"]) == (text(at("00:00", days=1)), text(at("00:00", days=2)))
    assert [offered(api, doctor, days=days) for days in range(3)] == [MORNING, [], MORNING]


def test_a_closure_has_names_a_zone_and_a_location(api: httpx.Client, clinic: Clinic, nurse: Person) -> None:
    span = {"start": text(NOW), "end": text(NOW + DAY)}
    answer = nurse.client.post(path(clinic), json=span)
    created = done(answer, 201)
    assert created["clinic_id"] == str(clinic.clinic_id)
    assert (created["clinic_name"], created["time_zone"]) == (clinic.name, "America/New_York")
    del created["report"]
    assert answer.headers["Location"] == f"/api/v1{path(clinic)}/{created['id']}"
    assert done(api.get(answer.headers["Location"].removeprefix("/api/v1"))) == created
    assert done(api.get(path(clinic))) == [created]
    refused(api.get(f"{path(clinic)}/{NOBODY}"), 404, "CLOSURE_NOT_FOUND")


def test_only_a_closure_that_is_over_is_refused(clinic: Clinic, doctor: Person, nurse: Person) -> None:
    for length in (MINUTE, 30 * DAY):
        span = {"start": text(NOW - length), "end": text(NOW)}
        refused(nurse.client.post(path(clinic), json=span), 422, "IN_THE_PAST")
    close(nurse, clinic, NOW - DAY, NOW + MINUTE)


@pytest.mark.parametrize(
    "span",
    [
        {"start": "2030-06-04T09:00:00Z", "end": "2030-06-04T09:00:00Z"},
        {"start": "2030-06-04T09:00:00Z", "end": "2031-06-06T09:00:00Z"},
        {"start": "9999-12-31T00:00:00Z", "end": "9999-12-31T23:59:59Z"},
        {"start": "2030-06-04T09:00:00", "end": "2030-06-04T10:00:00"},
        {"start": "2030-06-04T09:00:00Z"},
        {"start": "2030-06-04T09:00:00Z", "end": "2030-06-04T10:00:00Z", "reason": "a\x00"},
        {"start": "2030-06-04T09:00:00Z", "end": "2030-06-04T10:00:00Z", "id": NOBODY},
    ],
)
def test_malformed_closures_are_refused(clinic: Clinic, nurse: Person, span: dict[str, str]) -> None:
    refused(nurse.client.post(path(clinic), json=span), 422, "VALIDATION_ERROR")


def test_closures_are_public_and_listed_by_start(api: httpx.Client, clinic: Clinic, nurse: Person) -> None:
    for days in (3, 1, 2):
        close(nurse, clinic, at("09:00", days=days), at("10:00", days=days))
    shown = done(api.get(path(clinic)))
    assert [row["start"] for row in shown] == [text(at("09:00", days=days)) for days in (1, 2, 3)]
    whose = {"clinic_id", "clinic_name", "time_zone"}
    assert set(shown[0]) == {"id", "start", "end", "reason"} | whose
    refused(api.get(f"/clinics/{NOBODY}/closures"), 404, "CLINIC_NOT_FOUND")


def test_only_own_nurses_and_administrators_close_a_clinic(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, nurse: Person
) -> None:
    elsewhere = factories.make_nurse(run, factories.make_clinic(run))
    closure = close(nurse, clinic, NOW + HOUR, NOW + 2 * HOUR)
    span = {"start": text(NOW + HOUR), "end": text(NOW + 2 * HOUR)}
    one = f"{path(clinic)}/{closure['id']}"
    for person, status, code in (
        (elsewhere, 404, "CLINIC_NOT_FOUND"),
        (doctor, 403, "NOT_ALLOWED"),
        (factories.make_user(run, Role.PATIENT), 403, "NOT_ALLOWED"),
    ):
        refused(person.client.post(path(clinic), json=span), status, code)
        refused(person.client.delete(one), status, code)
    refused(api.post(path(clinic), json=span), 401, "NOT_AUTHENTICATED")
    refused(api.delete(one), 401, "NOT_AUTHENTICATED")
    admin = factories.make_user(run, Role.ADMIN)
    reopen(admin, clinic, closure)
    refused(admin.client.delete(one), 404, "CLOSURE_NOT_FOUND")
    refused(admin.client.delete(f"{path(clinic)}/{NOBODY}"), 404, "CLOSURE_NOT_FOUND")
    refused(admin.client.post(f"/clinics/{NOBODY}/closures", json=span), 404, "CLINIC_NOT_FOUND")


def test_a_closure_can_t_be_deleted_through_another_clinic(run: Run[Any], clinic: Clinic) -> None:
    admin = factories.make_user(run, Role.ADMIN)
    other = factories.make_clinic(run)
    closure = close(admin, clinic, NOW + HOUR, NOW + 2 * HOUR)
    refused(admin.client.delete(f"{path(other)}/{closure['id']}"), 404, "CLOSURE_NOT_FOUND")
    assert len(done(admin.client.get(path(clinic)))) == 1


def test_the_number_of_closures_is_limited(clinic: Clinic, nurse: Person, db: Db) -> None:
    many = [
        {"id": PydanticObjectId(), "start": NOW - (900 - n) * DAY, "end": NOW - (900 - n) * DAY + HOUR}
        for n in range(500)
    ]
    db["clinics"].update_one({"_id": clinic.clinic_id}, {"$set": {"closures": many}})
    span = {"start": text(NOW + HOUR), "end": text(NOW + 2 * HOUR)}
    refused(nurse.client.post(path(clinic), json=span), 409, "TOO_MANY_CLOSURES")
    done(nurse.client.delete(f"{path(clinic)}/{many[0]['id']}"))
    done(nurse.client.post(path(clinic), json=span), 201)


def test_a_closure_of_a_killed_request_applies_in_the_next_run(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    closure = {"id": PydanticObjectId(), "start": at("00:00"), "end": at("00:00", days=9)}
    db["clinics"].update_one({"_id": clinic.clinic_id}, {"$set": {"closures": [closure]}})
    opened(run, doctor)
    assert search(api) == []
