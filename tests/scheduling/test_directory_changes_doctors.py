"""Changes of a doctor and what they do to slots: clinics, names, slot length, deactivation."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    NOBODY,
    NOBODY_MET,
    Db,
    add_slot,
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
    try_booking,
)


def patch(admin: Person, doctor: Person, **change: Any) -> Any:
    return done(admin.client.patch(f"/doctors/{doctor.id}", json=change))


@pytest.fixture
def two_places(run: Run[Any], clinic: Clinic) -> tuple[Clinic, Person]:
    """A second clinic, and a doctor who is at the first from 9:00 and at the second from 10:00 to 11:00."""
    other = factories.make_clinic(run, policy=Policy(horizon_days=2))
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, other.clinic_id],
        weekly_hours=[*every_day(clinic, "09:00", "10:00"), *every_day(other, "10:00", "11:00")],
    )
    opened(run, doctor)
    return other, doctor


def test_leaving_a_clinic_withdraws_the_slots_there(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person, two_places: tuple[Clinic, Person]
) -> None:
    other, doctor = two_places
    patient = factories.make_user(run, Role.PATIENT)
    stays = book(patient, slot_at(api, doctor, "09:00"))
    falls_out = book(patient, slot_at(api, doctor, "10:30"))
    changed = patch(admin, doctor, clinic_ids=[str(clinic.clinic_id)])
    assert listed(changed["report"]) == [falls_out["id"]]
    assert changed["report"]["slots_withdrawn"] == 6
    assert {slot["clinic_id"] for slot in search(api)} == {str(clinic.clinic_id)}
    assert status_of(patient, stays) == status_of(patient, falls_out) == "scheduled"
    # The hours there are remembered.
    back = patch(admin, doctor, clinic_ids=[str(other.clinic_id), str(clinic.clinic_id)])
    assert listed(back["report"]) == []
    assert offered(api, doctor) == ["09:30", "10:00"]


def test_leaving_a_clinic_withdraws_added_slots_too(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person, two_places: tuple[Clinic, Person]
) -> None:
    other, doctor = two_places
    add_slot(doctor, other, "15:00")
    patch(admin, doctor, clinic_ids=[str(clinic.clinic_id)])
    assert offered(api, doctor) == ["09:00", "09:30"]


def test_a_new_name_shows_on_slots_and_all_appointments(
    run: Run[Any], api: httpx.Client, doctor: Person, admin: Person, patient: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "09:00"))
    patch(admin, doctor, name="Dr. Élodie Ångström")
    assert {slot["doctor_name"] for slot in search(api)} == {"Dr. Élodie Ångström"}
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["doctor_name"] == "Dr. Élodie Ångström"
    assert [row["doctor_name"] for row in done(patient.client.get("/appointments"))["items"]] == [
        "Dr. Élodie Ångström"
    ]


@pytest.mark.parametrize("by", ["doctor", "admin"])
def test_a_doctor_renamed_as_a_user_is_renamed_on_slots(
    run: Run[Any], api: httpx.Client, doctor: Person, admin: Person, by: str
) -> None:
    opened(run, doctor)
    patient = factories.make_user(run, Role.PATIENT)
    booked = book(patient, slot_at(api, doctor, "09:00"))
    if by == "doctor":
        done(doctor.client.patch("/users/me", json={"name": "Dr. New"}))
    else:
        done(admin.client.patch(f"/users/{doctor.id}", json={"name": "Dr. New"}))
    assert {slot["doctor_name"] for slot in search(api)} == {"Dr. New"}
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["doctor_name"] == "Dr. New"
    done(patient.client.patch("/users/me", json={"name": "New Patient"}))
    assert done(doctor.client.get(f"/appointments/{booked['id']}"))["patient_name"] == "New Patient"


def test_renaming_affects_one_doctor_only(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    other = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00"))
    opened(run, doctor, other)
    patient = factories.make_user(run, Role.PATIENT)
    booked = book(patient, slot_at(api, other, "09:00"))
    patch(admin, doctor, name="Somebody Else")
    assert {slot["doctor_name"] for slot in search(api, doctor_id=other.id)} == {other.user.name}
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["doctor_name"] == other.user.name


def test_the_search_finds_the_new_specialty(run: Run[Any], api: httpx.Client, doctor: Person, admin: Person) -> None:
    opened(run, doctor)
    changed = patch(admin, doctor, specialty="Pédiatrie")
    assert changed["report"] == {"slots_opened": 0, "slots_withdrawn": 0, **NOBODY_MET}
    assert len(search(api, specialty="pediatrie")) == 12
    assert search(api, specialty="cardiology") == []


def test_a_new_slot_length_changes_default_hours(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    usual = factories.make_doctor(run, clinic)
    opened(run, doctor, usual)
    assert len(offered(api, usual)) == 24
    patch(admin, usual, slot_minutes=120)
    assert len(offered(api, usual)) == 6
    patch(admin, usual, slot_minutes=None)
    assert len(offered(api, usual)) == 24
    patch(admin, doctor, slot_minutes=120)
    assert offered(api, doctor) == MORNING


def test_deactivating_a_doctor_lists_every_coming_visit(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2))
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    slot = slot_at(api, doctor, "09:00")
    booked = [
        book(people[0], slot),
        book(people[1], slot_at(api, doctor, "10:00", days=2)),
        book(people[2], slot_at(api, doctor, "10:00")),
    ]
    done(people[2].client.post(f"/appointments/{booked[2]['id']}/cancel", json={}))
    report = done(admin.client.delete(f"/doctors/{doctor.id}"))
    assert listed(report) == [booked[0]["id"], booked[1]["id"]]
    assert report["slots_withdrawn"] == 12
    assert search(api) == []
    refused(try_booking(people[2], slot), 409, "SLOT_NOT_OPEN")
    refused(doctor.client.get("/users/me"), 401, "NOT_AUTHENTICATED")
    assert listed(done(admin.client.delete(f"/doctors/{doctor.id}"))) == listed(report)
    back = patch(admin, doctor, is_active=True)
    assert back["report"]["slots_opened"] == 12
    assert offered(api, doctor) == MORNING
    assert slot_at(api, doctor, "09:00")["free"] == 1
    assert status_of(people[0], booked[0]) == "scheduled"


def test_removed_slots_stay_removed_when_a_doctor_returns(
    run: Run[Any], api: httpx.Client, doctor: Person, admin: Person
) -> None:
    opened(run, doctor)
    done(doctor.client.delete(f"/slots/{slot_at(api, doctor, '09:30')['id']}"))
    done(admin.client.delete(f"/doctors/{doctor.id}"))
    patch(admin, doctor, is_active=True)
    assert offered(api, doctor) == ["09:00", "10:00", "10:30"]


def test_a_refused_change_leaves_slots_alone(run: Run[Any], doctor: Person, admin: Person, db: Db) -> None:
    inactive = factories.make_clinic(run, is_active=False)
    opened(run, doctor)
    before = slots_in(db, doctor)
    one = f"/doctors/{doctor.id}"
    for clinic_id in (NOBODY, str(inactive.clinic_id)):
        refused(admin.client.patch(one, json={"clinic_ids": [clinic_id]}), 422, "UNKNOWN_CLINIC")
    refused(admin.client.patch(one, json={"department_id": NOBODY}), 422, "UNKNOWN_DEPARTMENT")
    for change in (
        {"clinic_ids": []},
        {"max_patients_per_day": 0},
        {"max_patients_per_day": 2**40},
        {"slot_minutes": 7},
        {"is_active": False},
        {"weekly_hours": []},
        {"name": None},
    ):
        refused(admin.client.patch(one, json=change), 422, "VALIDATION_ERROR")
    assert slots_in(db, doctor) == before


def test_only_administrators_change_doctors(
    run: Run[Any], api: httpx.Client, doctor: Person, nurse: Person, patient: Person
) -> None:
    one = f"/doctors/{doctor.id}"
    for person in (doctor, nurse, patient):
        refused(person.client.patch(one, json={"experience_years": 99}), 403, "NOT_ALLOWED")
        refused(person.client.delete(one), 403, "NOT_ALLOWED")
    refused(api.patch(one, json={"experience_years": 9}), 401, "NOT_AUTHENTICATED")
    admin = factories.make_user(run, Role.ADMIN)
    for nobody in (NOBODY, nurse.id):
        refused(admin.client.patch(f"/doctors/{nobody}", json={"name": "X"}), 404, "DOCTOR_NOT_FOUND")
        refused(admin.client.delete(f"/doctors/{nobody}"), 404, "DOCTOR_NOT_FOUND")
