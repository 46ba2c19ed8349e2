"""The dashboard: totals, today and the next seven days, each clinic by its own calendar at the same instant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.accounts.users import deactivate_user
from backend.core import clock
from backend.directory.documents import Clinic
from backend.patients.records import deactivate_patient
from tests import factories
from tests.appointments.commands import recorded
from tests.appointments.support import TEN, Book, booked, done, make_patients, make_transition, refused
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
OpenIn = Callable[[str], Book]

NOTHING = {
    **{"scheduled": 0, "confirmed": 0, "checked_in": 0, "completed": 0},
    **{"cancelled": 0, "no_show": 0, "left": 0, "total": 0},
}


def dashboard(run: Run[Any], admin: Person, moment: datetime) -> dict[str, Any]:
    """The dashboard at a moment."""
    with clock.stopped(moment):
        return done(factories.log_in(run, admin.user).client.get("/admin/dashboard"))


def fill(book: Book, day: int, count: int, patient: Person, *, cancelled: bool = False) -> None:
    """Books so many appointments on a day of June at the clinic, the first at midnight and the last at 23:30."""
    zone = ZoneInfo(book.clinic.time_zone)
    for number in range(count):
        minutes = 0 if number == 0 else 24 * 60 - 30 * number
        start = datetime(2037, 6, day, tzinfo=zone) + timedelta(minutes=minutes)
        appointment = booked(patient, book.slot(start.astimezone(UTC)))
        if cancelled:
            done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))


@pytest.mark.parametrize(
    ("moment", "in_auckland", "in_honolulu"),
    [
        # The 3rd, 21:00 in Auckland; the 2nd, 23:00 in Honolulu.
        (datetime(2037, 6, 3, 9, tzinfo=UTC), (1, 2), (4, 3)),
        # Midnight in Honolulu: the 3rd in both.
        (datetime(2037, 6, 3, 9, 59, 59, 999_000, tzinfo=UTC), (1, 2), (4, 3)),
        (datetime(2037, 6, 3, 10, tzinfo=UTC), (1, 2), (3, 5)),
        # Midnight in Auckland: the 4th there, the 3rd in Honolulu.
        (datetime(2037, 6, 3, 11, 59, 59, 999_000, tzinfo=UTC), (1, 2), (3, 5)),
        (datetime(2037, 6, 3, 12, tzinfo=UTC), (2, 6), (3, 5)),
    ],
)
def test_today_is_by_each_clinics_calendar(
    open_in: OpenIn,
    admin: Person,
    run: Run[Any],
    moment: datetime,
    in_auckland: tuple[int, int],
    in_honolulu: tuple[int, int],
) -> None:
    auckland, honolulu = open_in("Pacific/Auckland"), open_in("Pacific/Honolulu")
    one, two = make_patients(run, 2)
    for day, count in ((3, 1), (4, 2), (11, 6), (12, 1)):
        fill(auckland, day, count, one, cancelled=True)
    for day, count in ((2, 4), (3, 3), (10, 5), (11, 1)):
        fill(honolulu, day, count, two)
    found = dashboard(run, admin, moment)
    for name, place in (("today", 0), ("next_7_days", 1)):
        counts = (found[name]["cancelled"], found[name]["scheduled"])
        assert counts == (in_auckland[place], in_honolulu[place]), name
        assert found[name]["total"] == sum(counts)
    assert datetime.fromisoformat(found["at"]) == moment


@pytest.mark.parametrize(
    ("zone", "moment", "today"),
    [
        ("Pacific/Kiritimati", datetime(2037, 6, 3, 20, tzinfo=UTC), 4),  # 14 hours ahead
        ("Pacific/Pago_Pago", datetime(2037, 6, 5, 5, tzinfo=UTC), 4),  # 11 hours behind
    ],
)
def test_the_next_seven_days_are_counted_in_every_zone(
    open_in: OpenIn, admin: Person, patient: Person, run: Run[Any], zone: str, moment: datetime, today: int
) -> None:
    book = open_in(zone)
    for ahead, count in ((-1, 1), (0, 2), (1, 3), (7, 4), (8, 1)):
        fill(book, today + ahead, count, patient)
    found = dashboard(run, admin, moment)
    assert (found["today"]["total"], found["next_7_days"]["total"]) == (2, 7)
    assert found["appointments"]["total"] == 11


def test_appointments_are_counted_by_status(open_in: OpenIn, admin: Person, run: Run[Any]) -> None:
    book = open_in("America/New_York")
    transitions = [[], [], ["confirm"], ["check-in"], ["check-in", "complete"], ["no-show"], ["cancel"]]
    slot = book.slot(capacity=7)
    for patient, taken in zip(make_patients(run, 7), transitions, strict=True):
        appointment = booked(patient, slot)
        for transition in taken:
            moment = TEN if transition in ("complete", "no-show") else TEN - timedelta(minutes=1)
            done(make_transition(run, admin, appointment, transition, at=moment))
    expected = {
        **{"scheduled": 2, "confirmed": 1, "checked_in": 1, "completed": 1},
        **{"no_show": 1, "left": 0, "cancelled": 1, "total": 7},
    }
    found = dashboard(run, admin, TEN)
    assert (found["appointments"], found["today"], found["next_7_days"]) == (expected, expected, NOTHING)
    found = dashboard(run, admin, TEN - timedelta(days=7))
    assert (found["appointments"], found["today"], found["next_7_days"]) == (expected, NOTHING, expected)
    found = dashboard(run, admin, TEN + timedelta(days=1))
    assert (found["appointments"], found["today"], found["next_7_days"]) == (expected, NOTHING, NOTHING)


def test_without_appointments_all_counts_are_zero(run: Run[Any], admin: Person) -> None:
    found = dashboard(run, admin, TEN)
    assert found["appointments"] == found["today"] == found["next_7_days"] == NOTHING
    people = ("patients", "doctors", "nurses", "clinics")
    assert {name: found[name] for name in people} == dict.fromkeys(people, 0)


def test_only_active_people_and_clinics_are_counted(
    run: Run[Any], admin: Person, clinic: Clinic, nurse: Person, db: Db
) -> None:
    people = make_patients(run, 4)
    for _ in range(3):
        factories.make_doctor(run, clinic)
    closed = factories.make_clinic(run)
    found = done(admin.client.get("/admin/dashboard"))
    assert [found[name] for name in ("patients", "doctors", "nurses", "clinics")] == [4, 3, 1, 2]
    run(deactivate_patient(people[0].object_id))
    run(deactivate_user(nurse.object_id))
    db["clinics"].update_one({"_id": closed.id}, {"$set": {"is_active": False}})
    found = done(admin.client.get("/admin/dashboard"))
    assert [found[name] for name in ("patients", "doctors", "nurses", "clinics")] == [3, 3, 0, 1]


def test_the_dashboard_is_for_administrators(
    doctor: Person, nurse: Person, patient: Person, api: httpx.Client, run: Run[Any]
) -> None:
    for person in (doctor, nurse, patient, factories.make_user(run, Role.NURSE)):
        refused(person.client.get("/admin/dashboard"), 403, "NOT_ALLOWED")
    refused(api.get("/admin/dashboard"), 401, "NOT_AUTHENTICATED")


def test_the_dashboard_is_one_aggregation_on_indexes(open_in: OpenIn, admin: Person, patient: Person, db: Db) -> None:
    book = open_in("America/New_York")
    for slot in book.slots(5):
        booked(patient, slot)
    with recorded(db) as commands:
        done(admin.client.get("/admin/dashboard"))
    assert commands.reads == [("aggregate", "appointments")]
    (counting,) = (entry for entry in commands.entries if "aggregate" in entry["command"])
    assert counting["docsExamined"] == 0
