"""Setting a doctor's weekly hours: what it opens, what it withdraws, and which appointments it reports."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import HoursBlock, Weekday
from backend.directory.documents import Clinic, OpeningHours, Policy
from tests import factories
from tests.appointments.support import at_once
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    NOBODY_MET,
    Db,
    as_json,
    at,
    book,
    done,
    every_day,
    hours,
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

MONDAY, TUESDAY = Weekday.MONDAY, Weekday.TUESDAY


def put(person: Person, doctor: Person, blocks: list[HoursBlock], status: int = 200) -> Any:
    return done(person.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(blocks)), status)


def test_without_weekly_hours_the_opening_hours_apply(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, slot_minutes=240)
    shown = done(doctor.client.get(f"/doctors/{doctor.id}/working-hours"))
    assert shown["is_default"] is True
    assert [(b["weekday"], b["start"], b["end"], b["slot_minutes"]) for b in shown["hours"]][:2] == [
        ("monday", "08:00", "20:00", 240),
        ("tuesday", "08:00", "20:00", 240),
    ]
    opened(run, doctor)
    assert offered(api, doctor) == ["08:00", "12:00", "16:00"]


def test_the_first_hours_replace_the_default(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, slot_minutes=240)
    opened(run, doctor)
    changed = put(doctor, doctor, hours(clinic, "09:00", "10:00", MONDAY))
    assert changed["is_default"] is False
    assert changed["report"] == {"slots_opened": 2, "slots_withdrawn": 9, **NOBODY_MET}
    assert offered(api, doctor) == ["09:00", "09:30"]
    assert done(doctor.client.get(f"/doctors/{doctor.id}/working-hours"))["hours"] == changed["hours"]


def test_several_blocks_a_day_at_several_clinics(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person
) -> None:
    other = factories.make_clinic(run, policy=Policy(horizon_days=1, slot_minutes=20))
    doctor = factories.make_doctor(run, clinic, clinic_ids=[clinic.clinic_id, other.clinic_id])
    week = {
        "hours": [
            {"clinic_id": str(other.clinic_id), "weekday": "monday", "start": "13:00", "end": "14:00"},
            {"clinic_id": str(clinic.clinic_id), "weekday": "monday", "start": "09:00", "end": "10:00"},
            {
                "clinic_id": str(clinic.clinic_id),
                "weekday": "monday",
                "start": "10:00",
                "end": "11:00",
                "slot_minutes": 60,
                "capacity": 5,
            },
        ]
    }
    changed = done(admin.client.put(f"/doctors/{doctor.id}/working-hours", json=week))
    assert [(b["slot_minutes"], b["capacity"]) for b in changed["hours"]] == [(20, 1), (30, 1), (60, 5)]
    found = search(api, doctor_id=doctor.id)
    assert [(s["start"], s["clinic_name"], s["capacity"]) for s in found] == [
        (text(at("09:00")), clinic.name, 1),
        (text(at("09:30")), clinic.name, 1),
        (text(at("10:00")), clinic.name, 5),
        (text(at("13:00")), other.name, 1),
        (text(at("13:20")), other.name, 1),
        (text(at("13:40")), other.name, 1),
    ]


def test_an_empty_week_withdraws_all_slots(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    assert put(doctor, doctor, [])["report"]["slots_withdrawn"] == 12
    assert search(api) == []


def test_the_same_hours_again_change_nothing(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db
) -> None:
    opened(run, doctor)
    before = slots_in(db, doctor)
    changed = put(doctor, doctor, every_day(clinic, "09:00", "11:00"))
    assert changed["report"] == {"slots_opened": 0, "slots_withdrawn": 0, **NOBODY_MET}
    assert slots_in(db, doctor) == before


def test_the_report_lists_appointments_that_no_longer_fit(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    fits, falls_out, cancelled = (
        book(person, slot_at(api, doctor, start))
        for person, start in zip(people, ("09:00", "10:30", "10:00"), strict=True)
    )
    tomorrow = book(people[0], slot_at(api, doctor, "10:30", days=1))
    done(people[2].client.post(f"/appointments/{cancelled['id']}/cancel", json={}))

    report = put(doctor, doctor, every_day(clinic, "09:00", "10:00"))["report"]
    assert listed(report) == [falls_out["id"], tomorrow["id"]]
    assert report["appointments"][0] == {
        "appointment_id": falls_out["id"],
        "patient_id": people[1].id,
        "patient_name": people[1].user.name,
        "doctor_id": doctor.id,
        "doctor_name": doctor.user.name,
        "clinic_id": str(clinic.clinic_id),
        "clinic_name": clinic.name,
        "time_zone": "America/New_York",
        "start": text(at("10:30")),
        "end": text(at("11:00")),
        "status": "scheduled",
        "overbooked": False,
    }
    assert status_of(people[0], fits) == status_of(people[1], falls_out) == "scheduled"
    again = put(doctor, doctor, every_day(clinic, "09:00", "10:00"))["report"]
    assert listed(again) == listed(report)
    # With the hours their slots open again, and they leave the list.
    back = put(doctor, doctor, every_day(clinic, "09:00", "11:00"))["report"]
    assert listed(back) == []
    assert offered(api, doctor) == ["09:30", "10:00"]
    assert status_of(people[1], falls_out) == "scheduled"


def test_a_new_slot_length_withdraws_free_slots(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "09:30"))
    report = put(doctor, doctor, every_day(clinic, "09:00", "11:00", slot_minutes=20))["report"]
    assert listed(report) == [booked["id"]]
    # The booked half hour is kept free of others: 9:20 and 9:40 would run into it.
    assert offered(api, doctor) == ["09:00", "10:00", "10:20", "10:40"]
    done(patient.client.post(f"/appointments/{booked['id']}/cancel", json={}))
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00", "09:20", "09:40", "10:00", "10:20", "10:40"]


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_a_new_capacity_keeps_patients_and_offers_the_rest(
    run: Run[Any], api: httpx.Client, clinic: Clinic, capacity: int
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=3))
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(8)]
    booked = book(people.pop(), slot_at(api, doctor, "09:00"))
    report = put(doctor, doctor, every_day(clinic, "09:00", "10:00", capacity=capacity))["report"]
    assert listed(report) == []
    assert slot_at(api, doctor, "09:30")["free"] == capacity
    free = {slot["start"]: slot["free"] for slot in search(api, doctor_id=doctor.id)}
    assert free.get(text(at("09:00")), 0) == capacity - 1
    for _ in range(capacity - 1):
        book(people.pop(), slot_at(api, doctor, "09:00"))
    for person in people[:3]:
        refused(try_booking(person, {"id": booked["slot_id"]}), 409, "SLOT_TAKEN")


def test_a_capacity_below_the_bookings_admits_nobody(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=3))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    people = [factories.make_user(run, Role.PATIENT) for _ in range(8)]
    booked = [book(person, slot) for person in people[:3]]
    report = put(doctor, doctor, every_day(clinic, "09:00", "09:30", capacity=2))["report"]
    assert sorted(listed(report)) == sorted(a["id"] for a in booked)
    assert offered(api, doctor) == []
    for person in people[3:5]:
        assert try_booking(person, slot).status_code == 409
    # One leaves: the slot is just full. Two: one seat is to be had again.
    for leaving, free in ((0, []), (1, ["09:00"])):
        done(people[leaving].client.post(f"/appointments/{booked[leaving]['id']}/cancel", json={}))
        opened(run, doctor)
        assert offered(api, doctor) == free
    book(people[5], slot)
    refused(try_booking(people[6], slot), 409, "SLOT_TAKEN")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("09:00", "10:00"), ("09:55", "11:00")),
        (("09:00", "12:00"), ("10:00", "11:00")),
        (("09:00", "10:00"), ("09:00", "10:00")),
        (("23:00", "24:00"), ("23:55", "24:00")),
        (("23:00", "03:00"), ("23:30", "24:00")),
        (("12:00", "12:00"), ("23:00", "23:30")),
    ],
)
def test_overlapping_hours_are_refused_even_at_two_clinics(
    run: Run[Any], clinic: Clinic, first: tuple[str, str], second: tuple[str, str]
) -> None:
    other = factories.make_clinic(run)
    doctor = factories.make_doctor(run, clinic, clinic_ids=[clinic.clinic_id, other.clinic_id])
    body = as_json([*hours(clinic, *first, MONDAY), *hours(other, *second, MONDAY)])
    refused(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=body), 422, "VALIDATION_ERROR")
    body = as_json([*hours(clinic, *first, MONDAY), *hours(other, *second, TUESDAY)])
    assert doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=body).json().get("errors") is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("07:55", "09:00"),
        ("19:00", "20:05"),
        ("00:00", "24:00"),
        ("11:00", "13:00"),
        ("19:00", "08:00"),
        ("09:00", "09:00"),
    ],
)
def test_hours_outside_the_opening_hours_are_refused(run: Run[Any], api: httpx.Client, start: str, end: str) -> None:
    with_break = [
        OpeningHours(weekday=MONDAY, opens="08:00", closes="12:00"),
        OpeningHours(weekday=MONDAY, opens="12:30", closes="20:00"),
    ]
    clinic = factories.make_clinic(run, opening_hours=with_break, policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(run, clinic, weekly_hours=hours(clinic, "09:00", "11:00", MONDAY))
    opened(run, doctor)
    schedule = f"/doctors/{doctor.id}/working-hours"
    outside = as_json(hours(clinic, start, end, MONDAY))
    refused(doctor.client.put(schedule, json=outside), 422, "OUTSIDE_OPENING_HOURS")
    closed = as_json(hours(clinic, "09:00", "10:00", TUESDAY))
    refused(doctor.client.put(schedule, json=closed), 422, "OUTSIDE_OPENING_HOURS")
    assert offered(api, doctor) == MORNING


def test_hours_at_another_doctor_s_clinic_are_refused(
    run: Run[Any], clinic: Clinic, doctor: Person, admin: Person
) -> None:
    other = factories.make_clinic(run)
    body = as_json([*hours(clinic, "09:00", "10:00", MONDAY), *hours(other, "09:00", "10:00", TUESDAY)])
    answer = admin.client.put(f"/doctors/{doctor.id}/working-hours", json=body)
    refused(answer, 422, "NOT_THE_DOCTORS_CLINIC")
    shown = done(doctor.client.get(f"/doctors/{doctor.id}/working-hours"))["hours"]
    assert len(shown) == 7


@pytest.mark.parametrize(
    "change",
    [
        {"start": "9:00"},
        {"start": "09:03"},
        {"start": "24:00"},
        {"end": "24:05"},
        {"weekday": "Monday"},
        {"weekday": 0},
        {"slot_minutes": 0},
        {"slot_minutes": 7},
        {"slot_minutes": 485},
        {"slot_minutes": -30},
        {"slot_minutes": 10**20},
        {"capacity": 0},
        {"capacity": 101},
        {"capacity": 2**63},
        {"capacity": None},
        {"clinic_id": None},
        {"clinic_id": "x"},
        {"surprise": 1},
    ],
)
def test_malformed_hours_are_refused(clinic: Clinic, doctor: Person, change: dict[str, Any]) -> None:
    body = as_json(hours(clinic, "09:00", "10:00", MONDAY))
    body["hours"][0] |= change
    refused(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=body), 422, "VALIDATION_ERROR")


def test_a_week_of_too_many_slots_or_seats_is_refused(api: httpx.Client, clinic: Clinic, doctor: Person) -> None:
    for blocks in (
        every_day(clinic, "08:00", "20:00", slot_minutes=5),
        every_day(clinic, "08:00", "20:00", slot_minutes=10, capacity=10),
    ):
        answer = doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(blocks))
        refused(answer, 422, "WEEK_TOO_FULL")
    assert done(doctor.client.get(f"/doctors/{doctor.id}/working-hours"))["hours"][0]["end"] == "11:00"


def _put_if(doctor: Person, blocks: list[HoursBlock], etag: str) -> httpx.Response:
    path = f"/doctors/{doctor.id}/working-hours"
    return doctor.client.put(path, json=as_json(blocks), headers={"If-Match": etag})


def test_hours_are_set_only_at_the_expected_version(clinic: Clinic, doctor: Person) -> None:
    path = f"/doctors/{doctor.id}/working-hours"
    first = doctor.client.get(path).headers["ETag"]
    set_once = _put_if(doctor, hours(clinic, "09:00", "10:00", MONDAY), first)
    done(set_once)
    assert set_once.headers["ETag"] == doctor.client.get(path).headers["ETag"] != first
    refused(_put_if(doctor, hours(clinic, "09:00", "11:00", MONDAY), first), 412, "EDIT_CONFLICT")
    assert [block["end"] for block in done(doctor.client.get(path))["hours"]] == ["10:00"]
    done(_put_if(doctor, hours(clinic, "09:00", "11:00", MONDAY), "*"))


def test_of_two_changes_of_one_version_one_is_made(clinic: Clinic, doctor: Person) -> None:
    etag = doctor.client.get(f"/doctors/{doctor.id}/working-hours").headers["ETag"]
    weeks = [hours(clinic, "09:00", end, MONDAY) for end in ("10:00", "11:00")]
    answers = at_once(*(lambda week=week: _put_if(doctor, week, etag) for week in weeks))
    assert sorted(answer.status_code for answer in answers) == [200, 412]
