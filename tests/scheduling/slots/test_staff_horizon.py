"""What staff can book and patients can't: time beyond the patients' horizon, and slots that have begun."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.appointments.no_shows import mark_no_shows
from backend.core import clock
from backend.core.settings import settings
from backend.directory.documents import Clinic, Policy
from backend.scheduling.slots.horizon import extend_slots
from backend.scheduling.slots.search import SlotQuery
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    MS,
    NOW,
    Db,
    add_slot,
    at,
    book,
    done,
    every_day,
    offered,
    opened,
    reconciled,
    refused,
    search,
    slot_at,
    slots_in,
    text,
    try_booking,
)


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """Patients book two days ahead, staff five."""
    return factories.make_clinic(run, policy=Policy(horizon_days=2, staff_horizon_days=5))


def days_offered(client: httpx.Client, doctor: Person) -> list[bool]:
    return [offered(client, doctor, days=ahead) == MORNING for ahead in range(7)]


FOR_PATIENTS = [True] * 3 + [False] * 4
FOR_STAFF = [True] * 6 + [False]


def test_staff_find_more_days_than_patients(
    run: Run[Any], api: httpx.Client, doctor: Person, nurse: Person, patient: Person, admin: Person
) -> None:
    opened(run, doctor)
    for _ in range(2):  # once more, from the cache
        for client in (api, patient.client):
            assert days_offered(client, doctor) == FOR_PATIENTS
        for staff in (doctor, nurse, admin):
            assert days_offered(staff.client, doctor) == FOR_STAFF
    found = done(nurse.client.get(f"/doctors/{doctor.id}/slots", params={"limit": 100}))["items"]
    assert found == search(nurse.client, doctor_id=doctor.id) == search(nurse.client)
    assert len(found) == 24
    assert len(done(api.get(f"/doctors/{doctor.id}/slots", params={"limit": 100}))["items"]) == 12


def test_slots_say_from_when_patients_can_book_them(run: Run[Any], doctor: Person, nurse: Person) -> None:
    opened(run, doctor)
    for days in (0, 2, 3, 5):
        assert slot_at(nurse.client, doctor, "09:00", days=days)["online_from"] == text(at("00:00", days=days - 2))


def test_only_staff_book_a_check_up_far_ahead(
    run: Run[Any], api: httpx.Client, doctor: Person, nurse: Person, patient: Person
) -> None:
    opened(run, doctor)
    far = slot_at(nurse.client, doctor, "09:00", days=5)
    for client in (api, patient.client):
        refused(client.get(f"/slots/{far['id']}"), 404, "SLOT_NOT_FOUND")
    assert done(nurse.client.get(f"/slots/{far['id']}")) == far
    refusal = refused(try_booking(patient, far), 409, "SLOT_NOT_OPEN")
    assert refusal["alternatives"][0]["start"] == text(at("10:30", days=2))
    made = book(nurse, far, patient_id=patient.id)
    assert done(patient.client.get(f"/appointments/{made['id']}"))["start"] == far["start"]
    assert search(nurse.client, from_="2030-06-08")[0]["start"] == text(at("09:30", days=5))


def test_alternatives_for_staff_lie_far_ahead_too(
    run: Run[Any], doctor: Person, nurse: Person, patient: Person
) -> None:
    """The nearest three to a taken time at the end of the staff's horizon; a patient is offered nearer days."""
    opened(run, doctor)
    far = slot_at(nurse.client, doctor, "09:00", days=5)
    made = book(nurse, far, patient_id=patient.id)
    other = factories.make_user(run, Role.PATIENT)
    nearest = [text(at(time, days=5)) for time in ("09:30", "10:00", "10:30")]
    refusal = refused(try_booking(nurse, far, patient_id=other.id), 409, "SLOT_TAKEN")
    assert [slot["start"] for slot in refusal["alternatives"]] == nearest
    refusal = refused(try_booking(patient, far), 409, "SLOT_NOT_OPEN")
    assert refusal["alternatives"][0]["start"] == text(at("10:30", days=2))
    moved = book(patient, slot_at(patient.client, doctor, "09:00", days=1), patient_id=patient.id)
    path, body = f"/appointments/{moved['id']}/reschedule", {"slot_id": far["id"]}
    refusal = refused(nurse.client.post(path, json=body), 409, "SLOT_TAKEN")
    assert [slot["start"] for slot in refusal["alternatives"]] == nearest
    assert made["slot_id"] == far["id"]


def test_only_staff_reschedule_far_ahead(run: Run[Any], doctor: Person, nurse: Person, patient: Person) -> None:
    opened(run, doctor)
    made = book(patient, slot_at(patient.client, doctor, "09:00"))
    far = slot_at(nurse.client, doctor, "09:00", days=5)
    path, body = f"/appointments/{made['id']}/reschedule", {"slot_id": far["id"]}
    refused(patient.client.post(path, json=body), 409, "SLOT_NOT_OPEN")
    assert done(nurse.client.post(path, json=body))["start"] == far["start"]


def test_a_token_that_no_longer_works_is_refused(run: Run[Any], api: httpx.Client, nurse: Person) -> None:
    """Else staff would silently see less."""
    for path in ("/slots", f"/doctors/{nurse.id}/slots"):
        refused(api.get(path, headers={"Authorization": "Bearer nonsense"}), 401, "NOT_AUTHENTICATED")


def test_each_midnight_brings_a_day_online(
    run: Run[Any], api: httpx.Client, doctor: Person, nurse: Person, patient: Person
) -> None:
    run(extend_slots())
    third = slot_at(nurse.client, doctor, "09:00", days=3)
    with clock.stopped(at("00:00", days=1) - MS):
        assert run(extend_slots()) == 0
        assert offered(api, doctor, days=3) == []
    with clock.stopped(at("00:00", days=1)):
        assert run(extend_slots()) == 1
        assert offered(api, doctor, days=3) == MORNING
        assert slot_at(api, doctor, "09:00", days=3) == third
        later = factories.log_in(run, nurse.user)
        assert offered(later.client, doctor, days=6) == MORNING
        book(factories.log_in(run, patient.user), third)


def test_another_horizon_brings_the_same_slots_online_or_takes_them_off(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, nurse: Person, admin: Person, db: Db
) -> None:
    opened(run, doctor)
    ids = [slot["_id"] for slot in slots_in(db, doctor)]
    for days in (4, 1, 5):
        done(admin.client.patch(f"/clinics/{clinic.clinic_id}", json={"policy": {"horizon_days": days}}))
        assert days_offered(api, doctor) == [ahead <= days for ahead in range(7)]
        assert days_offered(nurse.client, doctor) == FOR_STAFF
        assert [slot["_id"] for slot in slots_in(db, doctor)] == ids


def test_staff_reach_at_least_as_far_as_patients(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    policy = {"horizon_days": 6, "staff_horizon_days": 1}
    done(admin.client.patch(f"/clinics/{clinic.clinic_id}", json={"policy": policy}))
    assert days_offered(api, doctor) == days_offered(admin.client, doctor) == [True] * 7


def test_the_setting_applies_without_a_policy(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STAFF_HORIZON_DAYS", 183)
    clinic = factories.make_clinic(run, policy=Policy(horizon_days=1))
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30"))
    opened(run, doctor)
    assert slot_at(doctor.client, doctor, "09:00", days=183)["free"] == 1
    assert len(search(doctor.client)) == 184


def test_a_slot_that_staff_add_far_ahead_comes_online_too(
    run: Run[Any], api: httpx.Client, clinic: Clinic, free_doctor: Person
) -> None:
    slot = add_slot(free_doctor, clinic, "15:00", days=4)
    assert search(api) == []
    with clock.stopped(at("00:00", days=2)):
        assert reconciled(run, free_doctor) == (0, 0)
        assert search(api) == [slot]


@pytest.mark.parametrize("days", [0, -1, 733, 1.5, "x"])
def test_the_staff_s_horizon_has_bounds(clinic: Clinic, admin: Person, days: Any) -> None:
    change = {"policy": {"staff_horizon_days": days}}
    refused(admin.client.patch(f"/clinics/{clinic.clinic_id}", json=change), 422, "VALIDATION_ERROR")


@pytest.fixture
def session(clinic: Clinic, free_doctor: Person) -> dict[str, Any]:
    """A slot of two hours for ten patients, from 9:00 to 11:00."""
    added: dict[str, Any] = add_slot(free_doctor, clinic, "09:00", minutes=120, capacity=10)
    return added


def test_staff_book_into_a_slot_until_its_end(
    run: Run[Any], api: httpx.Client, session: dict[str, Any], nurse: Person, patient: Person
) -> None:
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    for moment, person in ((at("09:00"), people[0]), (at("11:00") - MS, people[1])):
        with clock.stopped(moment):
            staff, walk_in = factories.log_in(run, nurse.user), factories.log_in(run, patient.user)
            assert search(api) == search(walk_in.client) == []
            assert [slot["id"] for slot in search(staff.client)] == [session["id"]]
            refused(api.get(f"/slots/{session['id']}"), 404, "SLOT_NOT_FOUND")
            refused(try_booking(walk_in, session), 409, "SLOT_NOT_OPEN")
            made = book(staff, session, patient_id=person.id)
            done(staff.client.post(f"/appointments/{made['id']}/check-in", json={}))
    with clock.stopped(at("11:00")):
        staff = factories.log_in(run, nurse.user)
        assert search(staff.client) == []
        refused(try_booking(staff, session, patient_id=people[2].id), 409, "SLOT_NOT_OPEN")


def test_who_is_booked_into_a_slot_that_has_begun_is_no_no_show_at_once(
    run: Run[Any], session: dict[str, Any], nurse: Person, patient: Person, db: Db
) -> None:
    """They get no message either: they stand at the desk. The grace of 15 minutes counts from the booking."""
    with clock.stopped(at("10:00")):
        made = book(factories.log_in(run, nurse.user), session, patient_id=patient.id)
        assert run(mark_no_shows()) == 0
        (stored,) = db["appointments"].find({"patient_id": patient.object_id})
        assert stored["pending_messages"] == []
    with clock.stopped(at("10:15") - MS):
        assert run(mark_no_shows()) == 0
    with clock.stopped(at("10:15")):
        assert run(mark_no_shows()) == 1
    assert made["status"] == "scheduled"


def test_staff_reschedule_into_a_slot_that_has_begun(
    run: Run[Any],
    clinic: Clinic,
    session: dict[str, Any],
    free_doctor: Person,
    nurse: Person,
    patient: Person,
    db: Db,
) -> None:
    made = book(patient, add_slot(free_doctor, clinic, "15:00"))
    path, body = f"/appointments/{made['id']}/reschedule", {"slot_id": session["id"]}
    with clock.stopped(at("10:00")):
        walk_in, staff = factories.log_in(run, patient.user), factories.log_in(run, nurse.user)
        refused(walk_in.client.post(path, json=body), 409, "SLOT_NOT_OPEN")
        assert done(staff.client.post(path, json=body))["start"] == session["start"]
        assert run(mark_no_shows()) == 0
    (stored,) = db["appointments"].find({"patient_id": patient.object_id})
    assert [message["kind"] for message in stored["pending_messages"]] == ["booked"]


def _explained(db: Db, wanted: SlotQuery) -> dict[str, Any]:
    index = wanted.index()
    assert index is not None
    search_command = {
        "find": "slots",
        "filter": wanted.query(NOW),
        "sort": {"start": 1, "_id": 1},
        "hint": dict(index),
    }
    plan: dict[str, Any] = db.command("explain", search_command, verbosity="executionStats")
    return plan


def test_what_is_far_ahead_costs_a_full_public_book_nothing(run: Run[Any], doctor: Person, db: Db) -> None:
    opened(run, doctor)
    near = {"doctor_id": doctor.object_id, "is_active": True, "start": {"$lt": at("00:00", days=3)}}
    db["slots"].update_many(near, {"$set": {"known_full": True}})
    stats = _explained(db, SlotQuery(doctor_id=doctor.object_id))["executionStats"]
    assert (stats["nReturned"], stats["totalDocsExamined"]) == (0, 0)
    assert stats["totalKeysExamined"] <= 1


def test_a_search_for_staff_reads_in_order_and_sorts_nothing(run: Run[Any], doctor: Person, db: Db) -> None:
    opened(run, doctor)
    plan = _explained(db, SlotQuery(doctor_id=doctor.object_id, for_staff=True))
    assert plan["executionStats"]["nReturned"] == 24
    stages = str(plan["queryPlanner"]["winningPlan"])
    assert "'SORT_MERGE'" in stages
    assert "'SORT'" not in stages
