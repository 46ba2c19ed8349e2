"""Changes of a clinic and what they do to its slots: opening hours, zone, policy, names, deactivation."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import WEEK
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    NOBODY,
    NOBODY_MET,
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


def patch(admin: Person, clinic: Clinic, **change: Any) -> Any:
    return done(admin.client.patch(f"/clinics/{clinic.clinic_id}", json=change))


def opening(opens: str, closes: str) -> list[dict[str, str]]:
    return [{"weekday": day.value, "opens": opens, "closes": closes} for day in WEEK]


def test_shorter_opening_hours_withdraw_free_slots(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(2)]
    inside, outside = (
        book(person, slot_at(api, doctor, start)) for person, start in zip(people, ("09:30", "10:30"), strict=True)
    )
    changed = patch(admin, clinic, opening_hours=opening("09:30", "10:45"))
    assert [hours["closes"] for hours in changed["opening_hours"]] == ["10:45"] * 7
    assert listed(changed["report"]) == [outside["id"]]
    assert changed["report"]["slots_withdrawn"] == 6
    assert offered(api, doctor) == ["10:00"]
    assert status_of(people[0], inside) == status_of(people[1], outside) == "scheduled"
    back = patch(admin, clinic, opening_hours=opening("08:00", "20:00"))
    assert listed(back["report"]) == []
    assert offered(api, doctor) == ["09:00", "10:00"]


def test_default_hours_follow_a_change_of_opening_hours(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person
) -> None:
    doctor = factories.make_doctor(run, clinic)
    opened(run, doctor)
    assert len(offered(api, doctor)) == 24
    changed = patch(admin, clinic, opening_hours=opening("10:00", "11:00"), policy={"slot_minutes": 20})
    assert changed["policy"]["slot_minutes"] == 20
    assert offered(api, doctor) == ["10:00", "10:20", "10:40"]
    patch(admin, clinic, opening_hours=[])
    assert search(api) == []


@pytest.mark.parametrize(("days", "reach"), [(1, 2), (4, 5), (2, 3)])
def test_a_new_horizon_opens_or_withdraws_its_last_days(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, days: int, reach: int
) -> None:
    admin = factories.make_user(run, Role.ADMIN)
    opened(run, doctor)
    before = {slot["id"] for slot in search(api)}
    changed = patch(admin, clinic, policy={"horizon_days": days})
    found = search(api)
    assert len(found) == 4 * reach
    assert {slot["id"] for slot in found} & before == (before if reach >= 3 else {s["id"] for s in found})
    assert changed["report"]["slots_opened"] == max(0, 4 * (reach - 3))
    assert changed["report"]["slots_withdrawn"] == max(0, 4 * (3 - reach))


def test_a_new_zone_moves_slots_and_reports_all_bookings(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "10:00"))
    changed = patch(factories.make_user(run, Role.ADMIN), clinic, time_zone="America/Chicago")
    assert listed(changed["report"]) == [booked["id"]]
    found = search(api, doctor_id=doctor.id)
    assert {slot["time_zone"] for slot in found} == {"America/Chicago"}
    # 9:00 in Chicago is 10:00 in New York, where somebody is booked.
    assert offered(api, doctor, zone="America/Chicago") == MORNING[1:]
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["start"] == text(at("10:00"))
    assert status_of(patient, booked) == "scheduled"


def test_a_new_name_and_city_show_at_once(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "09:00"))
    changed = patch(factories.make_user(run, Role.ADMIN), clinic, name="Møller Clinic", city="Århus")
    assert changed["report"] == {"slots_opened": 0, "slots_withdrawn": 0, **NOBODY_MET}
    found = search(api, city="arhus")
    assert len(found) == 11
    assert {(s["clinic_name"], s["city"]) for s in found} == {("Møller Clinic", "Århus")}
    assert search(api, city="new york") == []
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["clinic_name"] == "Møller Clinic"
    new = book(factories.make_user(run, Role.PATIENT), slot_at(api, doctor, "09:30"))
    assert new["clinic_name"] == "Møller Clinic"


def test_an_unrelated_change_leaves_slots_alone(
    run: Run[Any], clinic: Clinic, doctor: Person, admin: Person, db: Db
) -> None:
    opened(run, doctor)
    before = [{**slot, "revision": 0} for slot in slots_in(db, doctor)]
    changed = patch(admin, clinic, phone="+15550100999", policy={"no_show_grace_minutes": 30})
    assert changed["report"] == {"slots_opened": 0, "slots_withdrawn": 0, **NOBODY_MET}
    assert [{**slot, "revision": 0} for slot in slots_in(db, doctor)] == before


def test_deactivating_a_clinic_lists_every_coming_visit(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    opened(run, doctor)
    other = factories.make_clinic(run, policy=Policy(horizon_days=1))
    elsewhere = factories.make_doctor(run, other, weekly_hours=every_day(other, "09:00", "10:00"))
    opened(run, elsewhere)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    slot = slot_at(api, doctor, "09:00")
    booked = [
        book(people[0], slot),
        book(people[1], slot_at(api, doctor, "10:00", days=1)),
        book(people[2], slot_at(api, elsewhere, "09:00")),
    ]
    report = done(admin.client.delete(f"/clinics/{clinic.clinic_id}"))
    assert listed(report) == [booked[0]["id"], booked[1]["id"]]
    assert report["slots_withdrawn"] == 12
    assert {found["clinic_id"] for found in search(api)} == {str(other.clinic_id)}
    refused(try_booking(people[2], slot), 409, "SLOT_NOT_OPEN")
    assert status_of(people[0], booked[0]) == "scheduled"
    # Back in use.
    back = patch(admin, clinic, is_active=True)
    assert back["report"]["slots_opened"] == 12
    assert listed(back["report"]) == []
    assert offered(api, doctor) == MORNING[1:]


def test_a_refused_change_leaves_slots_alone(
    run: Run[Any], clinic: Clinic, doctor: Person, admin: Person, db: Db
) -> None:
    taken = factories.make_clinic(run)
    opened(run, doctor)
    before = slots_in(db, doctor)
    one = f"/clinics/{clinic.clinic_id}"
    refused(admin.client.patch(one, json={"name": taken.name, "city": taken.city}), 409, "CLINIC_TAKEN")
    for change in (
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"opening_hours": [{"weekday": "monday", "opens": "10:00", "closes": "09:01"}]},
        {"opening_hours": None},
        {"policy": {"horizon_days": 0}},
        {"policy": {"slot_minutes": 7}},
        {"is_active": False},
        {"closures": []},
    ):
        refused(admin.client.patch(one, json=change), 422, "VALIDATION_ERROR")
    assert slots_in(db, doctor) == before


def test_only_administrators_change_clinics(
    run: Run[Any], api: httpx.Client, clinic: Clinic, nurse: Person, doctor: Person
) -> None:
    one = f"/clinics/{clinic.clinic_id}"
    for person in (nurse, doctor, factories.make_user(run, Role.PATIENT)):
        refused(person.client.patch(one, json={"name": "Mine"}), 403, "NOT_ALLOWED")
        refused(person.client.delete(one), 403, "NOT_ALLOWED")
    refused(api.patch(one, json={"name": "Mine"}), 401, "NOT_AUTHENTICATED")
    refused(api.delete(one), 401, "NOT_AUTHENTICATED")
    admin = factories.make_user(run, Role.ADMIN)
    refused(admin.client.patch(f"/clinics/{NOBODY}", json={"name": "None"}), 404, "CLINIC_NOT_FOUND")
    refused(admin.client.delete(f"/clinics/{NOBODY}"), 404, "CLINIC_NOT_FOUND")
