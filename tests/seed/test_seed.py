"""The seed script, run as its users run it: what it makes, that it repeats itself, and what it refuses."""

import json
import os
import pty
import stat
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pymongo
import pytest
from pymongo.database import Database

from backend.appointments.documents import Status
from tests.support.environment import ROOT

pytestmark = pytest.mark.long

Db = Database[dict[str, Any]]
NAMES = ("seed_test_one", "seed_test_two")
COLLECTIONS = (
    *("users", "patients", "patient_links", "clinics", "departments", "visit_types", "slots", "leaves"),
    *("appointments", "withdrawals", "seed_runs"),
)


def seed(
    database: str, folder: Path, *arguments: str, stderr: int = subprocess.PIPE, **environment: str
) -> subprocess.Popen[str]:
    """Starts the script on a database of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "seed", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_NAME": database, "DATA_DIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What it printed, once it has ended with this exit code."""
    output, errors = process.communicate(timeout=200)
    assert process.returncode == code, errors
    return output, errors


@contextmanager
def dropped(name: str) -> Iterator[str]:
    """A database's name; the database is dropped after the block."""
    yield name
    with pymongo.MongoClient[dict[str, Any]](os.environ["MONGODB_URL"]) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logins are kept."""
    return tmp_path_factory.mktemp("seed")


@pytest.fixture(scope="module")
def two(folder: Path) -> Iterator[tuple[Db, Db]]:
    """Two databases, seeded from the same number at the same time."""
    for process in [seed(name, folder, "--random-seed", "7") for name in NAMES]:
        finished(process)
    with pymongo.MongoClient[dict[str, Any]](os.environ["MONGODB_URL"], tz_aware=True) as client:
        yield client[NAMES[0]], client[NAMES[1]]
        for name in NAMES:
            client.drop_database(name)


@pytest.fixture
def demo(two: tuple[Db, Db]) -> Db:
    """One of them."""
    return two[0]


def snapshot(db: Db) -> dict[str, list[dict[str, Any]]]:
    """Every document, by id."""
    return {name: sorted(db[name].find(), key=lambda row: str(row["_id"])) for name in COLLECTIONS}


def booked(db: Db) -> list[dict[str, Any]]:
    """All appointments; blocks of withdrawn seats have no patient."""
    return [row for row in db["appointments"].find() if "patient_id" in row]


def test_it_makes_clinics_in_three_zones_and_the_people_who_work_there(demo: Db) -> None:
    assert len({clinic["time_zone"] for clinic in demo["clinics"].find()}) == 3
    roles = Counter(user["role"] for user in demo["users"].find())
    assert roles == {"admin": 1, "nurse": 2, "doctor": 12, "patient": 100}
    assert demo["departments"].count_documents({}) == 5


def test_every_phone_is_fictional(demo: Db) -> None:
    assert all(user["phone"].startswith("+1555") for user in demo["users"].find())
    assert all(clinic["phone"].startswith("+1555") for clinic in demo["clinics"].find())


def test_appointments_stand_in_every_status_before_and_behind_now(demo: Db) -> None:
    now, rows = datetime.now(UTC), booked(demo)
    assert len(rows) >= 250  # of 340: some find no free time, and how many depends on the day of the week
    past = Counter(row["status"] for row in rows if row["start"] < now)
    ahead = Counter(row["status"] for row in rows if row["start"] >= now)
    assert set(past) | set(ahead) == {status.value for status in Status}
    assert min(past["completed"], past["no_show"], past["cancelled"]) >= 10
    assert min(ahead["scheduled"], ahead["confirmed"], ahead["cancelled"]) >= 10


def test_every_clinic_offers_visit_types_and_patients_have_booked_them(demo: Db) -> None:
    for clinic in demo["clinics"].find():
        assert demo["visit_types"].count_documents({"clinic_id": clinic["_id"]}) == 5
    visits = Counter(row.get("visit_type_name") for row in booked(demo))
    assert {None, "First visit", "Follow-up", "Blood test", "Video visit"} == set(visits)
    assert any(len(row["seats"]) > 1 for row in booked(demo))


def test_a_mother_has_three_children_on_her_number_and_an_appointment_for_each(demo: Db) -> None:
    mother = demo["users"].find_one({"email": "patient1@demo.example.com", "is_active": True}) or {}
    links = {row["patient_id"]: row["relation"] for row in demo["patient_links"].find({"user_id": mother["_id"]})}
    assert sorted(links.values()) == ["parent", "parent", "parent", "self"]
    children = {row["_id"]: row for row in demo["patients"].find({"_id": {"$in": list(links)}})}
    assert {row["phone"] for row in children.values()} == {mother["phone"]}
    nearly = [date.fromisoformat(children[id]["date_of_birth"]) for id in links if links[id] == "parent"]
    until_of_age = min(nearly) + timedelta(days=18 * 365.25) - datetime.now(UTC).date()
    assert timedelta() < until_of_age < timedelta(days=30)

    visits = [row for row in booked(demo) if row["created_by"] == mother["_id"]]
    assert {links[row["patient_id"]] for row in visits} == {"parent"}
    assert sorted(row["visit_type_name"] for row in visits) == ["First visit", "Follow-up", "Video visit"]
    assert [len(row["seats"]) > 1 for row in visits if row["visit_type_name"] == "First visit"] == [True]


def test_a_nurse_is_a_patient_and_booked_as_one(demo: Db) -> None:
    nurse = demo["users"].find_one({"email": "nurse1@demo.example.com", "is_active": True}) or {}
    link = demo["patient_links"].find_one({"user_id": nurse["_id"], "relation": "self"}) or {}
    (visit,) = [row for row in booked(demo) if row["patient_id"] == link["patient_id"]]
    assert (visit["history"][0]["by"], visit["history"][0]["by_role"]) == (nurse["_id"], "patient")


def test_an_urgent_case_is_fitted_in_over_a_booked_time(demo: Db) -> None:
    (fit_in,) = [row for row in booked(demo) if row.get("overbooked")]
    others = {"doctor_id": fit_in["doctor_id"], "start": fit_in["start"], "_id": {"$ne": fit_in["_id"]}}
    assert demo.appointments.find_one({**others, "active": True})
    assert not fit_in.get("needs_decision")


def test_a_leave_over_booked_time_needs_decisions(demo: Db) -> None:
    (leave,) = demo["leaves"].find()
    undecided = [row for row in booked(demo) if row.get("needs_decision")]
    assert len(undecided) >= 2
    assert {cause["id"] for row in undecided for cause in row["needs_decision"]} == {leave["_id"]}
    assert all(leave["start"] <= row["start"] < leave["end"] for row in undecided)
    assert demo["withdrawals"].count_documents({}) == 0


def test_each_history_explains_its_status(demo: Db) -> None:
    for row in booked(demo):
        assert row["history"][0]["transition"] == "book"
        assert row["history"][-1]["status"] == row["status"]
        moments = [step["at"] for step in row["history"]]
        assert moments == sorted(moments)


def test_there_are_free_slots_tomorrow_in_every_clinic(demo: Db) -> None:
    taken = {held["slot"] for row in booked(demo) if row["active"] for held in row["seats"]}
    for clinic in demo["clinics"].find():
        tomorrow = datetime.now(ZoneInfo(clinic["time_zone"])).date() + timedelta(days=1)
        slots = demo["slots"].find(
            {
                "clinic_id": clinic["_id"],
                "is_active": True,
                "state": "open",
                "start": {"$gt": datetime.now(UTC)},
            }
        )
        free = [slot for slot in slots if slot["day"] == tomorrow.isoformat() and slot["_id"] not in taken]
        assert len(free) >= 10, clinic["name"]


def test_the_same_number_makes_the_same_demo(two: tuple[Db, Db]) -> None:
    def told(db: Db) -> tuple[Any, ...]:
        people = sorted((user["email"], user["name"], user["role"]) for user in db["users"].find())
        visits = sorted(
            (row["idempotency_key"], row["patient_name"], row["doctor_name"], row["status"]) for row in booked(db)
        )
        return people, visits

    assert told(two[0]) == told(two[1])


def test_a_second_run_changes_nothing(demo: Db, folder: Path) -> None:
    before = snapshot(demo)
    output, _ = finished(seed(NAMES[0], folder))
    assert snapshot(demo) == before
    assert "admin1@demo.example.com" in output


def test_an_interrupted_run_is_completed(demo: Db, folder: Path) -> None:
    rows, people = len(booked(demo)), demo["users"].count_documents({})
    demo["seed_runs"].update_one({"_id": "demo"}, {"$unset": {"finished_at": ""}})
    demo["users"].delete_one({"email": "patient100@demo.example.com", "is_active": True})
    finished(seed(NAMES[0], folder))
    assert demo["users"].count_documents({}) == people
    assert len(booked(demo)) >= rows
    assert "finished_at" in (demo["seed_runs"].find_one({"_id": "demo"}) or {})


def test_the_logins_are_stored_for_the_owner_alone(two: tuple[Db, Db], folder: Path) -> None:
    path = folder / f"demo-credentials-{NAMES[0]}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    logins = json.loads(path.read_text())
    assert [login["role"] for login in logins] == ["admin", "nurse", "doctor", "patient"]
    other = json.loads((folder / f"demo-credentials-{NAMES[1]}.json").read_text())
    assert logins[0]["password"] != other[0]["password"], "no two demos share a password"


def test_appointments_by_the_thousand_come_with_their_slots_and_once(demo: Db, folder: Path) -> None:
    before = len(booked(demo))
    for _ in range(2):
        finished(seed(NAMES[0], folder, "--appointments", "3000"))
    rows = booked(demo)
    assert len(rows) == before + 3000
    slots = {slot["_id"] for slot in demo["slots"].find()}
    assert all(held["slot"] in slots for row in rows for held in row["seats"])


def test_without_a_terminal_each_phase_is_one_line(folder: Path) -> None:
    with dropped("seed_test_lines") as name:
        _, errors = finished(seed(name, folder))
    assert [line.removeprefix("Demo data: ") for line in errors.splitlines() if "Demo data" in line] == [
        *("clinics and staff", "doctors and their slots", "patients", "past appointments"),
        *("slots up to the horizon", "appointments ahead", "families and exceptions"),
    ]


def test_a_terminal_shows_a_bar_up_to_the_end(folder: Path) -> None:
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    with dropped("seed_test_bar") as name:
        process = seed(name, folder, stderr=its)
        os.close(its)
        shown = "".join(iter(lambda: _read(ours), ""))
        assert process.wait(timeout=200) == 0, shown
        finished(process)
    os.close(ours)
    assert "Demo data: families and exceptions: 100%" in shown


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:  # Linux: the other end is closed
        return ""


def test_a_database_with_other_people_is_refused_unless_forced(folder: Path, db: Db) -> None:
    db["users"].insert_one({"name": "Somebody real", "role": "patient", "email": "real@example.com"})
    _, errors = finished(seed(db.name, folder), code=2)
    assert "--force" in errors
    assert db["users"].count_documents({}) == 1


def test_production_is_refused_unless_forced(folder: Path) -> None:
    _, errors = finished(seed("seed_test_production", folder, ENVIRONMENT="production"), code=2)
    assert "production" in errors
