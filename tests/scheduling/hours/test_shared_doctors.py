"""A doctor of two clinics: each front desk sees and sets its own part of the week, and no more."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import HoursBlock, Weekday
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    NOW,
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
    slot_at,
    text,
)

MONDAY = Weekday.MONDAY
HERE, THERE = ("09:00", "10:00"), ("14:00", "15:00")


@pytest.fixture
def elsewhere(run: Run[Any]) -> Clinic:
    """The other clinic."""
    return factories.make_clinic(run, policy=Policy(horizon_days=2))


@pytest.fixture
def shared(run: Run[Any], clinic: Clinic, elsewhere: Clinic) -> Person:
    """Works at the nurse's clinic in the morning and at the other one in the afternoon."""
    both = [clinic.clinic_id, elsewhere.clinic_id]
    week = [*every_day(clinic, *HERE), *every_day(elsewhere, *THERE)]
    doctor = factories.make_doctor(run, clinic, clinic_ids=both, weekly_hours=week)
    opened(run, doctor)
    return doctor


def ask(person: Person, doctor: Person, blocks: list[HoursBlock]) -> httpx.Response:
    return person.client.put(f"/doctors/{doctor.id}/working-hours", json=as_json(blocks))


def put(person: Person, doctor: Person, blocks: list[HoursBlock]) -> Any:
    return done(ask(person, doctor, blocks))


def test_a_nurse_sets_the_hours_at_their_own_clinic_only(
    api: httpx.Client, clinic: Clinic, elsewhere: Clinic, nurse: Person, shared: Person
) -> None:
    changed = put(nurse, shared, hours(clinic, "11:00", "12:00", MONDAY))
    assert offered(api, shared) == ["11:00", "11:30", "14:00", "14:30"]
    assert sum(b["clinic_id"] == str(elsewhere.clinic_id) for b in changed["hours"]) == 7
    put(nurse, shared, [])
    assert offered(api, shared) == ["14:00", "14:30"]


def test_a_nurse_can_send_the_whole_week_back_with_a_change(
    api: httpx.Client, clinic: Clinic, nurse: Person, shared: Person
) -> None:
    week = done(nurse.client.get(f"/doctors/{shared.id}/working-hours"))["hours"]
    for block in week:
        if block["clinic_id"] == str(clinic.clinic_id):
            block["slot_minutes"] = 60
    done(nurse.client.put(f"/doctors/{shared.id}/working-hours", json={"hours": week}))
    assert offered(api, shared) == ["09:00", "14:00", "14:30"]


@pytest.mark.parametrize("over", [{"end": "16:00"}, {"capacity": 2}, {"weekday": Weekday.SUNDAY, "end": "16:00"}])
def test_a_change_of_the_hours_at_another_clinic_is_refused(
    api: httpx.Client, elsewhere: Clinic, nurse: Person, shared: Person, over: dict[str, Any]
) -> None:
    there = hours(elsewhere, *THERE, MONDAY)[0].model_copy(update=over)
    refused(ask(nurse, shared, [there]), 403, "OTHER_CLINIC_HOURS")
    assert offered(api, shared) == ["09:00", "09:30", "14:00", "14:30"]


def test_hours_over_those_at_another_clinic_are_refused(
    api: httpx.Client, clinic: Clinic, nurse: Person, shared: Person
) -> None:
    refused(ask(nurse, shared, hours(clinic, "14:30", "16:00", MONDAY)), 409, "HOURS_OVERLAP")
    assert offered(api, shared) == ["09:00", "09:30", "14:00", "14:30"]


def test_default_hours_stay_when_a_second_clinic_sets_its_own(
    run: Run[Any], api: httpx.Client, clinic: Clinic, elsewhere: Clinic, nurse: Person
) -> None:
    both = [elsewhere.clinic_id, clinic.clinic_id]
    doctor = factories.make_doctor(run, clinic, clinic_ids=both, slot_minutes=240)
    opened(run, doctor)
    assert offered(api, doctor) == ["08:00", "12:00", "16:00"]
    put(nurse, doctor, [])
    assert offered(api, doctor) == ["08:00", "12:00", "16:00"]


def test_the_doctor_and_administrators_replace_the_week(
    run: Run[Any], api: httpx.Client, clinic: Clinic, shared: Person
) -> None:
    for person in (shared, factories.make_user(run, Role.ADMIN)):
        put(person, shared, hours(clinic, *HERE, MONDAY))
        assert offered(api, shared) == ["09:00", "09:30"]


@pytest.mark.long
def test_two_front_desks_at_once_don_t_undo_each_other(
    run: Run[Any], api: httpx.Client, clinic: Clinic, elsewhere: Clinic, nurse: Person, shared: Person
) -> None:
    other = factories.make_nurse(run, elsewhere)
    with ThreadPoolExecutor(2) as pool:
        for minutes in (20, 30) * 4:
            asked = [
                pool.submit(ask, nurse, shared, every_day(clinic, *HERE, slot_minutes=minutes)),
                pool.submit(ask, other, shared, every_day(elsewhere, *THERE, slot_minutes=minutes)),
            ]
            assert [answer.result().status_code for answer in asked] == [200, 200]
            week = done(shared.client.get(f"/doctors/{shared.id}/working-hours"))["hours"]
            assert [block["slot_minutes"] for block in week] == [minutes] * 14
            assert len(offered(api, shared)) == 2 * 60 // minutes


def test_a_nurse_s_report_only_counts_other_clinics_visits(
    run: Run[Any], api: httpx.Client, nurse: Person, shared: Person
) -> None:
    patient = factories.make_user(run, Role.PATIENT)
    here = book(patient, slot_at(api, shared, "09:00"))
    there = book(patient, slot_at(api, shared, "14:00"))
    span = {"start": text(NOW), "end": text(at("23:00"))}
    report = done(nurse.client.post(f"/doctors/{shared.id}/leaves", json=span), 201)["report"]
    assert (listed(report), report["appointments_elsewhere"]) == ([here["id"]], 1)
    report = put(nurse, shared, [])["report"]
    assert (listed(report), report["appointments_elsewhere"]) == ([here["id"]], 1)
    report = done(shared.client.post(f"/doctors/{shared.id}/leaves", json=span), 201)["report"]
    assert (listed(report), report["appointments_elsewhere"]) == ([here["id"], there["id"]], 0)
