"""Leave: which slots it withdraws, which appointments it reports, and what reopens when it is deleted."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    HOUR,
    MINUTE,
    MORNING,
    NOBODY,
    NOBODY_MET,
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
    slots_in,
    status_of,
    text,
    try_booking,
)


def take_leave(doctor: Person, start: datetime, end: datetime, **body: Any) -> Any:
    span = {"start": text(start), "end": text(end)}
    return done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json={**span, **body}), 201)


def delete_leave(doctor: Person, leave: dict[str, Any]) -> Any:
    return done(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))


@pytest.mark.parametrize(
    ("away", "left"),
    [
        (("09:30", "10:30"), ["09:00", "10:30"]),
        (("09:59", "10:01"), ["09:00", "10:30"]),
        (("11:00", "12:00"), MORNING),
        (("08:00", "09:00"), MORNING),
        (("08:00", "09:01"), MORNING[1:]),
        (("00:00", "23:59"), []),
    ],
)
def test_leave_withdraws_the_slots_it_touches(
    run: Run[Any], api: httpx.Client, doctor: Person, away: tuple[str, str], left: list[str]
) -> None:
    opened(run, doctor)
    start, end = at(away[0]), at(away[1])
    leave = take_leave(doctor, start, end, reason="  Away \n ")
    assert offered(api, doctor) == left
    assert offered(api, doctor, days=1) == MORNING
    assert leave["report"]["slots_withdrawn"] == 4 - len(left)
    assert (leave["start"], leave["end"], leave["reason"]) == (text(start), text(end), "Away")


def test_deleting_the_leave_opens_its_time_again(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    leave = take_leave(doctor, at("09:00"), at("10:00"))
    assert delete_leave(doctor, leave) == {"slots_opened": 2, "slots_withdrawn": 0, **NOBODY_MET}
    assert offered(api, doctor) == MORNING
    refused(doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"), 404, "LEAVE_NOT_FOUND")


def test_time_under_two_leaves_opens_when_both_are_deleted(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    first = take_leave(doctor, at("09:00"), at("10:00"))
    second = take_leave(doctor, at("09:30"), at("10:30"))
    delete_leave(doctor, first)
    assert offered(api, doctor) == ["09:00", "10:30"]
    delete_leave(doctor, second)
    assert offered(api, doctor) == MORNING


def test_appointments_in_the_leave_are_listed_and_stay_valid(
    run: Run[Any], api: httpx.Client, doctor: Person
) -> None:
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(4)]
    slots = [slot_at(api, doctor, start) for start in MORNING]
    booked = [book(person, slot) for person, slot in zip(people, slots, strict=True)]
    done(people[1].client.post(f"/appointments/{booked[1]['id']}/cancel", json={}))
    # It touches the first by nothing, the third wholly, the fourth by a minute.
    leave = take_leave(doctor, at("09:30"), at("10:31"))
    assert listed(leave["report"]) == [booked[2]["id"], booked[3]["id"]]
    assert leave["report"]["slots_withdrawn"] == 3
    assert [status_of(person, a) for person, a in zip(people, booked, strict=True)] == [
        *("scheduled", "cancelled", "scheduled", "scheduled")
    ]
    refused(try_booking(people[1], slots[1]), 409, "SLOT_NOT_OPEN")


def test_a_booked_slot_reopens_without_being_booked_twice(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    book(patient, slot)
    leave = take_leave(doctor, at("09:00"), at("10:00"))
    assert offered(api, doctor) == ["10:00", "10:30"]
    delete_leave(doctor, leave)
    assert offered(api, doctor) == ["09:00", "10:00", "10:30"]
    refused(try_booking(factories.make_user(run, Role.PATIENT), slot), 409, "SLOT_TAKEN")


def test_time_cancelled_during_leave_opens_when_leave_ends(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    appointment = book(patient, slot_at(api, doctor, "09:30"))
    leave = take_leave(doctor, at("09:00"), at("10:00"))
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel", json={}))
    opened(run, doctor)
    assert offered(api, doctor) == ["10:00", "10:30"]
    delete_leave(doctor, leave)
    assert offered(api, doctor) == MORNING
    book(patient, slot_at(api, doctor, "09:30"))


@pytest.mark.parametrize("times", [1, 3])
def test_a_slot_for_three_with_one_booked_reopens_with_two_free(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, times: int
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=3))
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(5)]
    slot = slot_at(api, doctor, "09:00")
    book(people[0], slot)
    for _ in range(times):
        leave = take_leave(doctor, at("09:00"), at("10:00"))
        delete_leave(doctor, leave)
        assert slot_at(api, doctor, "09:00")["free"] == 2
    book(people[1], slot)
    assert slot_at(api, doctor, "09:00")["free"] == 1
    book(people[2], slot)
    assert offered(api, doctor) == []
    for person in people[3:]:
        refused(try_booking(person, slot), 409, "SLOT_TAKEN")
    held = db["appointments"].count_documents({"doctor_id": doctor.object_id, "start": at("09:00"), "active": True})
    assert held == 3


def test_leave_partly_in_the_past_withdraws_coming_slots(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(2)]
    began, coming = (
        book(person, slot_at(api, doctor, start)) for person, start in zip(people, ("09:00", "10:00"), strict=True)
    )
    with clock.stopped(at("09:10")):
        here = factories.log_in(run, doctor.user)
        leave = take_leave(here, at("08:00", days=-30), at("10:15"))
        assert offered(api, doctor) == ["10:30"]
        # The one that has begun and isn't over is in that time too.
        assert listed(leave["report"]) == [began["id"], coming["id"]]
        assert leave["report"]["slots_withdrawn"] == 3
        delete_leave(here, leave)
        assert offered(api, doctor) == ["09:30", "10:30"]


def test_leave_beyond_the_horizon_applies_when_it_is_reached(
    run: Run[Any], api: httpx.Client, doctor: Person
) -> None:
    opened(run, doctor)
    take_leave(doctor, at("00:00", days=2), at("00:00", days=5))
    with clock.stopped(NOW + 3 * DAY):
        opened(run, doctor)
        assert [offered(api, doctor, days=days) for days in (3, 4, 5)] == [[], [], MORNING]


@pytest.mark.parametrize("length", [MINUTE, HOUR, 30 * DAY])
def test_leave_that_is_over_is_refused(doctor: Person, length: timedelta) -> None:
    span = {"start": text(NOW - length), "end": text(NOW)}
    refused(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=span), 422, "IN_THE_PAST")
    assert done(doctor.client.get(f"/doctors/{doctor.id}/leaves"))["items"] == []


def test_leave_from_a_date_to_a_date_covers_whole_days_at_the_clinic(
    run: Run[Any], api: httpx.Client, doctor: Person
) -> None:
    opened(run, doctor)
    days = {"start": "2030-06-04", "end": "2030-06-05"}
    leave = done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=days), 201)
    assert (leave["start"], leave["end"]) == (text(at("00:00", days=1)), text(at("00:00", days=3)))
    assert [offered(api, doctor, days=day) for day in range(3)] == [MORNING, [], []]


def test_leave_has_names_a_zone_and_a_location(doctor: Person) -> None:
    span = {"start": text(at("09:00")), "end": text(at("10:00"))}
    answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", json=span)
    created = done(answer, 201)
    assert (created["doctor_name"], created["time_zone"]) == (doctor.user.name, "America/New_York")
    del created["report"]
    assert answer.headers["Location"] == f"/api/v1/doctors/{doctor.id}/leaves/{created['id']}"
    assert done(doctor.client.get(answer.headers["Location"].removeprefix("/api/v1"))) == created
    assert done(doctor.client.get(f"/doctors/{doctor.id}/leaves"))["items"] == [created]
    refused(doctor.client.get(f"/doctors/{doctor.id}/leaves/{NOBODY}"), 404, "LEAVE_NOT_FOUND")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2030-06-04T09:00:00Z", "2030-06-04T09:00:00Z"),
        ("2030-06-04T09:00:00Z", "2030-06-04T08:00:00Z"),
        ("2030-06-04T09:00:00-04:00", "2030-06-04T12:00:00Z"),
        ("2030-06-04T09:00:00", "2030-06-04T10:00:00"),
        ("2030-06-04", "2030-06-05T10:00:00Z"),
        ("2030-06-05", "2030-06-04"),
        ("2030-06-04", "2031-06-06"),
        ("2030-06-04T09:00:00Z", "2031-06-06T09:00:00Z"),
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59"),
        ("0001-01-01T00:00:00+23:59", "2030-06-04T08:00:00Z"),
        (1906794000, 1906797600),
        ("1906794000", "1906797600"),
        (None, "2030-06-04T08:00:00Z"),
        (True, False),
        ([], {}),
    ],
)
def test_malformed_leave_is_refused(doctor: Person, start: Any, end: Any) -> None:
    answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", json={"start": start, "end": end})
    refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("reason", ["a\x00b", "\ud800", "x" * 2001])
def test_an_invalid_reason_is_refused(doctor: Person, reason: str) -> None:
    span = '{"start": "2030-06-04T09:00:00Z", "end": "2030-06-04T10:00:00Z", "reason": "%s"}'
    escaped = reason.encode("unicode_escape").decode().replace("\\x00", "\\u0000")
    headers = {"Content-Type": "application/json"}
    answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", content=span % escaped, headers=headers)
    assert answer.status_code in (400, 422), answer.text


def test_leave_is_listed_by_start_in_pages(doctor: Person) -> None:
    for days in (5, 1, 3, 2, 4):
        take_leave(doctor, at("09:00", days=days), at("10:00", days=days))
    first = done(doctor.client.get(f"/doctors/{doctor.id}/leaves", params={"limit": 3}))
    rest = done(
        doctor.client.get(f"/doctors/{doctor.id}/leaves", params={"limit": 3, "cursor": first["next_cursor"]})
    )
    starts = [row["start"] for row in (*first["items"], *rest["items"])]
    assert starts == [text(at("09:00", days=days)) for days in (1, 2, 3, 4, 5)]
    assert (len(first["items"]), rest["next_cursor"]) == (3, None)


def test_leave_can_t_be_deleted_through_another_doctor(
    run: Run[Any], clinic: Clinic, doctor: Person, nurse: Person
) -> None:
    other = factories.make_doctor(run, clinic, weekly_hours=[])
    leave = take_leave(doctor, at("09:00"), at("10:00"))
    refused(nurse.client.delete(f"/doctors/{other.id}/leaves/{leave['id']}"), 404, "LEAVE_NOT_FOUND")
    refused(nurse.client.delete(f"/doctors/{doctor.id}/leaves/{NOBODY}"), 404, "LEAVE_NOT_FOUND")
    done(nurse.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))


def test_leave_affects_one_doctor_only(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db
) -> None:
    other = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00"))
    opened(run, doctor, other)
    before = slots_in(db, other)
    take_leave(doctor, at("00:00"), at("00:00", days=10))
    assert slots_in(db, other) == before
    assert {slot["doctor_id"] for slot in search(api)} == {other.id}
