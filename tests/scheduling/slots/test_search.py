"""The public search: what it finds, in which order, and its filters."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic, Department, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    DAY,
    MORNING,
    MS,
    NOBODY,
    NOW,
    at,
    book,
    done,
    every_day,
    offered,
    on_the_wall,
    opened,
    refused,
    search,
    slot_at,
    text,
)


def test_a_slot_shows_all_that_a_patient_needs(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person
) -> None:
    opened(run, doctor)
    first = search(api, doctor_id=doctor.id)[0]
    assert first.pop("id")
    assert first == {
        "doctor_id": doctor.id,
        "doctor_name": doctor.user.name,
        "specialty": "Cardiology",
        "department_id": None,
        "clinic_id": str(clinic.clinic_id),
        "clinic_name": clinic.name,
        "city": "New York",
        "time_zone": "America/New_York",
        "start": "2030-06-03T13:00:00Z",
        "end": "2030-06-03T13:30:00Z",
        "capacity": 1,
        "free": 1,
        "online_from": "2030-06-01T04:00:00Z",
    }


def test_the_search_needs_no_login_and_may_find_nothing(api: httpx.Client) -> None:
    assert done(api.get("/slots")) == {"items": [], "next_cursor": None}
    assert done(api.get(f"/doctors/{NOBODY}/slots")) == {"items": [], "next_cursor": None}


def test_slots_are_sorted_by_start_whoever_the_doctor_is(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    late = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:30", "10:30"))
    early = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00"))
    opened(run, late, early)
    found = search(api)
    assert [slot["start"] for slot in found] == sorted(slot["start"] for slot in found)
    assert [(s["doctor_id"], on_the_wall(s["start"])) for s in found[:1]] == [(early.id, "09:00")]
    assert {on_the_wall(s["start"]) for s in found[1:3]} == {"09:30"}


@pytest.fixture
def variety(run: Run[Any]) -> dict[str, Person]:
    """Doctors in several cities, departments and specialties, with one slot a day each."""
    department = Department(name="Heart", name_key="heart")
    run(department.insert())
    people = {}
    for key, city, specialty, zone in (
        ("ny", "New York", "Cardiology", "America/New_York"),
        ("sp", "São Paulo", "Cardiología", "America/Sao_Paulo"),
        ("mu", "München", "Ear, nose & throat", "Europe/Berlin"),
    ):
        clinic = factories.make_clinic(run, city=city, time_zone=zone, policy=Policy(horizon_days=1))
        people[key] = factories.make_doctor(
            run,
            clinic,
            specialty=specialty,
            department_id=department.department_id if key != "mu" else None,
            weekly_hours=every_day(clinic, "14:00", "14:30"),
        )
    opened(run, *people.values())
    return people


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"ny", "sp", "mu"}),
        ({"city": "são paulo"}, {"sp"}),
        ({"city": "SAO PAULO"}, {"sp"}),
        ({"city": "  Sao   Paulo "}, {"sp"}),
        ({"city": "Sa\u0303o Paulo"}, {"sp"}),
        ({"city": "munchen"}, {"mu"}),
        ({"city": "Sao"}, set()),
        ({"city": "Lima"}, set()),
        ({"specialty": "CARDIOLOGIA"}, {"sp"}),
        ({"specialty": "cardiology"}, {"ny"}),
        ({"specialty": "ear, NOSE & throat"}, {"mu"}),
        ({"specialty": "cardiology", "city": "new york"}, {"ny"}),
        ({"specialty": "cardiology", "city": "münchen"}, set()),
        ({"specialty": "$ne"}, set()),
        ({"city": ".*"}, set()),
    ],
)
def test_case_accents_and_spaces_don_t_matter(
    api: httpx.Client, variety: dict[str, Person], filters: dict[str, str], expected: set[str]
) -> None:
    names = {person.id: key for key, person in variety.items()}
    assert {names[slot["doctor_id"]] for slot in search(api, **filters)} == expected


def test_filters_by_doctor_clinic_and_department_combine(api: httpx.Client, variety: dict[str, Person]) -> None:
    ny, sp = variety["ny"], variety["sp"]
    clinic_of = {s["doctor_id"]: s["clinic_id"] for s in search(api)}
    department = search(api, doctor_id=ny.id)[0]["department_id"]
    assert {s["doctor_id"] for s in search(api, clinic_id=clinic_of[sp.id])} == {sp.id}
    assert {s["doctor_id"] for s in search(api, department_id=department)} == {ny.id, sp.id}
    assert {s["doctor_id"] for s in search(api, department_id=department, city="new york")} == {ny.id}
    assert search(api, doctor_id=ny.id, clinic_id=clinic_of[sp.id]) == []
    assert search(api, department_id=NOBODY) == []
    assert done(api.get(f"/doctors/{sp.id}/slots"))["items"] == search(api, doctor_id=sp.id)


def test_from_is_inclusive_and_to_is_exclusive(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)

    def starts(since: str, until: str) -> list[str]:
        return [on_the_wall(s["start"]) for s in search(api, from_=since, to=until)]

    assert starts(text(at("09:30")), text(at("10:30"))) == ["09:30", "10:00"]
    assert starts(text(at("09:30") + MS), text(at("10:30") + MS)) == ["10:00", "10:30"]
    assert starts("2030-06-03T15:00:00+01:30", "2030-06-03T10:00:00.001-04:00") == ["09:30", "10:00"]
    assert starts(text(at("10:30")), text(at("09:30"))) == []
    assert len(search(api, from_="1900-01-01T00:00:00Z", to="2199-12-31T23:59:59Z")) == 12


def test_a_date_means_the_day_at_the_clinic(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    found = search(api, doctor_id=doctor.id, from_="2030-06-04", to="2030-06-04")
    assert [slot["start"] for slot in found] == [text(at(start, days=1)) for start in MORNING]


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2030-6-3"},
        {"from": "2030-06-03T09:00:00"},
        {"from": "9999-12-31T23:59:59-14:00"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "1750000000"},
        {"to": "NaN"},
        {"doctor_id": "me"},
        {"clinic_id": "6b01a5e15cfa6f855f45c9b"},
        {"city": ""},
        {"city": "x" * 121},
        {"city": "a\x00b"},
        {"specialty": "two\nlines"},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": str(2**70)},
    ],
)
def test_a_malformed_filter_is_refused(api: httpx.Client, params: dict[str, str]) -> None:
    refused(api.get("/slots", params=params), 422, "VALIDATION_ERROR")


def test_a_slot_is_offered_until_the_moment_it_begins(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("09:00") - MS):
        assert offered(api, doctor) == MORNING
        assert done(api.get(f"/slots/{slot['id']}"))["free"] == 1
    with clock.stopped(at("09:00")):
        assert offered(api, doctor) == MORNING[1:]
        refused(api.get(f"/slots/{slot['id']}"), 404, "SLOT_NOT_FOUND")
        assert search(api, doctor_id=doctor.id, from_="2030-06-03T00:00:00Z")[0]["id"] != slot["id"]
    with clock.stopped(NOW + 3 * DAY):
        assert search(api) == []


def test_free_is_capacity_less_active_appointments(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=3))
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    appointments = []
    for taken, person in enumerate(people, start=1):
        assert slot_at(api, doctor, "09:00")["free"] == 4 - taken
        appointments.append(book(person, slot))
        assert done(api.get(f"/slots/{slot['id']}"))["free"] == 3 - taken
    assert offered(api, doctor) == ["09:30"]
    for free, (person, appointment) in enumerate(zip(people, appointments, strict=True), start=1):
        done(person.client.post(f"/appointments/{appointment['id']}/cancel", json={}))
        assert slot_at(api, doctor, "09:00")["free"] == free
        assert slot_at(api, doctor, "09:00")["capacity"] == 3


def test_a_full_slot_can_be_read_but_isn_t_offered(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:30")
    book(patient, slot)
    assert offered(api, doctor) == ["09:00", "10:00", "10:30"]
    assert done(api.get(f"/slots/{slot['id']}")) == {**slot, "free": 0}


def test_a_full_day_is_offered_again_after_a_cancellation(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(
        run,
        clinic,
        max_patients_per_day=2,
        weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2),
    )
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(2)]
    first = book(people[0], slot_at(api, doctor, "09:00"))
    assert offered(api, doctor) == MORNING
    book(people[1], slot_at(api, doctor, "10:00"))
    assert offered(api, doctor) == []
    assert offered(api, doctor, days=1) == MORNING
    done(people[0].client.post(f"/appointments/{first['id']}/cancel", json={}))
    assert offered(api, doctor) == MORNING


def test_the_day_of_a_limit_is_the_clinic_s_day(run: Run[Any], api: httpx.Client) -> None:
    """23:30 on Monday in Los Angeles is Tuesday in UTC, where 8:00 on Monday is still Monday."""
    clinic = factories.make_clinic(run, time_zone="America/Los_Angeles", policy=Policy(horizon_days=1))
    run(_open_day_and_night(clinic))
    doctor = factories.make_doctor(
        run,
        clinic,
        max_patients_per_day=1,
        weekly_hours=[*every_day(clinic, "08:00", "08:30"), *every_day(clinic, "23:30", "24:00")],
    )
    opened(run, doctor)
    person = factories.make_user(run, Role.PATIENT)
    found = search(api, doctor_id=doctor.id)
    assert [on_the_wall(s["start"], "America/Los_Angeles") for s in found] == ["08:00", "23:30"] * 2
    book(person, found[1])
    assert search(api, doctor_id=doctor.id) == found[2:]


async def _open_day_and_night(clinic: Clinic) -> None:
    hours = [{"weekday": h.weekday.value, "opens": "00:00", "closes": "24:00"} for h in clinic.opening_hours]
    await Clinic.find_one({"_id": clinic.clinic_id}).update({"$set": {"opening_hours": hours}})


def test_an_unknown_slot_is_not_found(api: httpx.Client) -> None:
    refused(api.get(f"/slots/{NOBODY}"), 404, "SLOT_NOT_FOUND")
    refused(api.get("/slots/none"), 422, "VALIDATION_ERROR")


def test_the_next_day_of_the_horizon_is_offered_once_added(run: Run[Any], api: httpx.Client, doctor: Person) -> None:
    opened(run, doctor)
    assert offered(api, doctor, days=3) == []
    with clock.stopped(NOW + timedelta(days=1)):
        opened(run, doctor)
        assert offered(api, doctor, days=3) == MORNING
