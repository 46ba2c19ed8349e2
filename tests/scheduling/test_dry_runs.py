"""Dry runs: the report that the change itself then gives, and not a byte of the database changed."""

from dataclasses import dataclass
from typing import Any

import pytest
from bson import encode

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    HOUR,
    NOW,
    Db,
    add_slot,
    as_json,
    at,
    book,
    done,
    every_day,
    opened,
    refused,
    search,
    slot_at,
    text,
)

Row = dict[str, Any]


@dataclass
class Desk:
    """A doctor's book with everything in it: leave, a closed and a removed slot, patients, a full slot."""

    clinic: Clinic
    doctor: Person
    admin: Person


@pytest.fixture
def desk(run: Run[Any], api: Any, clinic: Clinic, doctor: Person) -> Desk:
    admin = factories.make_user(run, Role.ADMIN)
    colleague = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "10:00", capacity=2))
    opened(run, doctor, colleague)

    def patient() -> Person:
        return factories.make_user(run, Role.PATIENT)

    book(patient(), slot_at(api, doctor, "09:00", days=1))
    book(patient(), slot_at(api, doctor, "10:30", days=1))
    for _ in range(2):
        book(patient(), slot_at(api, colleague, "09:00", days=1))
    book(patient(), slot_at(api, colleague, "09:30", days=1))
    extra = add_slot(doctor, clinic, "15:00", days=1)
    book(patient(), extra)
    done(admin.client.delete(f"/slots/{slot_at(api, doctor, '09:30', days=1)['id']}"))
    removed = slot_at(api, doctor, "10:00", days=2)
    book(patient(), removed)
    done(admin.client.delete(f"/slots/{removed['id']}"))
    away = slot_at(api, doctor, "09:00", days=2)
    book(patient(), away)
    span = {"start": text(at("09:00", days=2)), "end": text(at("09:30", days=2))}
    done(admin.client.post(f"/doctors/{doctor.id}/leaves", json=span), 201)
    return Desk(clinic, doctor, admin)


def contents(db: Db) -> dict[str, bytes]:
    """Every collection, byte for byte."""
    return {
        name: b"".join(encode(row) for row in db[name].find({}, hint=[("_id", 1)]))
        for name in sorted(db.list_collection_names())
    }


def both(desk: Desk, db: Db, method: str, path: str, json: Any = None) -> tuple[Row, Row]:
    """The report of a dry run, which must change nothing, and that of the change."""
    before = contents(db)
    answer = desk.admin.client.request(method, path, params={"dry_run": True}, json=json)
    dry = done(answer, 200)
    assert "Location" not in answer.headers
    assert contents(db) == before
    answer = desk.admin.client.request(method, path, json=json)
    assert answer.is_success, answer.text
    return dry.get("report", dry), answer.json().get("report", answer.json())


def test_a_dry_run_of_a_leave(desk: Desk, db: Db) -> None:
    span = {"start": text(at("08:00", days=1)), "end": text(at("10:45", days=1))}
    dry, real = both(desk, db, "POST", f"/doctors/{desk.doctor.id}/leaves", span)
    assert dry == real
    assert (dry["slots_withdrawn"], len(dry["appointments"])) == (3, 2)


def test_a_dry_run_of_a_closure(desk: Desk, db: Db) -> None:
    span = {"start": text(at("08:00", days=1)), "end": text(at("16:00", days=2))}
    dry, real = both(desk, db, "POST", f"/clinics/{desk.clinic.id}/closures", span)
    assert dry == real
    assert len(dry["appointments"]) == 8


@pytest.mark.parametrize(
    ("start", "end", "over"),
    [
        ("09:00", "11:00", {}),
        ("09:00", "11:00", {"slot_minutes": 20}),
        ("09:00", "11:00", {"capacity": 3}),
        ("10:15", "12:15", {}),
        ("12:00", "14:00", {"slot_minutes": 60}),
        ("14:00", "16:00", {"capacity": 2}),
    ],
)
def test_a_dry_run_of_working_hours(desk: Desk, db: Db, start: str, end: str, over: Row) -> None:
    week = as_json(every_day(desk.clinic, start, end, **over))
    dry, real = both(desk, db, "PUT", f"/doctors/{desk.doctor.id}/working-hours", week)
    assert dry == real


def test_a_dry_run_of_no_hours_shows_the_week_as_it_would_be(desk: Desk, db: Db) -> None:
    path = f"/doctors/{desk.doctor.id}/working-hours"
    planned = done(desk.admin.client.put(path, params={"dry_run": True}, json={"hours": []}))
    assert planned["hours"] == []
    assert done(desk.admin.client.get(path))["hours"] != []
    dry, real = both(desk, db, "PUT", path, {"hours": []})
    assert dry == real == planned["report"]


def test_a_dry_run_of_hours_that_come_back(desk: Desk, db: Db) -> None:
    path = f"/doctors/{desk.doctor.id}/working-hours"
    done(desk.admin.client.put(path, json={"hours": []}))
    dry, real = both(desk, db, "PUT", path, as_json(every_day(desk.clinic, "09:00", "11:00")))
    assert dry == real
    assert dry["slots_opened"] > 4


def test_a_dry_run_of_a_removed_slot(desk: Desk, api: Any, db: Db) -> None:
    for slot in search(api, doctor_id=desk.doctor.id)[:2]:
        dry, real = both(desk, db, "DELETE", f"/slots/{slot['id']}")
        assert dry == real


def test_a_dry_run_of_a_deactivated_doctor(desk: Desk, db: Db) -> None:
    dry, real = both(desk, db, "DELETE", f"/doctors/{desk.doctor.id}")
    assert dry == real
    assert len(dry["appointments"]) == 5


def test_a_dry_run_of_a_deactivated_clinic(desk: Desk, db: Db) -> None:
    dry, real = both(desk, db, "DELETE", f"/clinics/{desk.clinic.id}")
    assert dry == real
    assert len(dry["appointments"]) == 8


def test_a_dry_run_refuses_what_the_change_refuses(desk: Desk, run: Run[Any], db: Db) -> None:
    before = contents(db)
    admin, dry = desk.admin.client, {"dry_run": True}
    past = {"start": text(NOW - 2 * HOUR), "end": text(NOW - HOUR)}
    doctor, clinic = f"/doctors/{desk.doctor.id}", f"/clinics/{desk.clinic.id}"
    refused(admin.post(f"{doctor}/leaves", params=dry, json=past), 422, "IN_THE_PAST")
    refused(admin.post(f"{clinic}/closures", params=dry, json=past), 422, "IN_THE_PAST")
    night = as_json(every_day(desk.clinic, "05:00", "06:00"))
    refused(admin.put(f"{doctor}/working-hours", params=dry, json=night), 422, "OUTSIDE_OPENING_HOURS")
    stale = {"If-Match": '"99"'}
    answer = admin.put(f"{doctor}/working-hours", params=dry, json={"hours": []}, headers=stale)
    refused(answer, 412, "EDIT_CONFLICT")
    refused(admin.delete("/slots/6b01a5e15cfa6f855f45c9b2", params=dry), 404, "SLOT_NOT_FOUND")
    assert contents(db) == before
