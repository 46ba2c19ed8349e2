"""A visit over midnight at a doctor with a limit of patients a day: search and booking agree, and it counts once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from backend.accounts.profiles import WEEK
from backend.directory.documents import OpeningHours
from backend.scheduling.slots import full_hint
from backend.scheduling.slots.search_repository import find_rows
from tests import factories
from tests.appointments.support import HOUR, MINUTE, Book, booked, done, make_patients, refused, stored, try_booking
from tests.appointments.visits import starts, visit_type
from tests.factories import Person, Run
from tests.support.book import check_book

LATE = datetime(2037, 6, 2, 3, 30, tzinfo=UTC)
"""Monday 23:30 in New York."""


@pytest.fixture
def night(run: Run[Any]) -> Book:
    """The book of a doctor who sees one patient a day, at a clinic that never closes."""
    all_day = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
    clinic = factories.make_clinic(run, opening_hours=all_day)
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=1)
    return Book(run, clinic, doctor)


Mark = Callable[[], None]


@pytest.fixture(params=[False, True], ids=["unmarked", "marked as full"])
def hint(request: pytest.FixtureRequest, run: Run[Any], night: Book) -> Mark:
    """Marks the slots that are full as searches do, or doesn't."""

    async def mark() -> None:
        rows = await find_rows({"doctor_id": night.doctor.object_id, "is_active": True}, limit=100)
        await full_hint.mark_full(rows)

    return (lambda: run(mark())) if request.param else (lambda: None)


def test_a_full_next_day_is_open_to_a_visit_that_began_before(
    night: Book, patient: Person, api: httpx.Client, db: Any, hint: Mark
) -> None:
    before, after, noon = night.slot(LATE), night.slot(LATE + 30 * MINUTE), night.slot(LATE + 12 * HOUR)
    kind = visit_type(night, 60)
    (other,) = make_patients(night.run, 1)
    booked(other, noon)
    hint()

    assert starts(api, kind) == [str(before.id)]
    made = booked(patient, before, visit_type_id=kind)

    assert made["slot_ids"] == [str(before.id), str(after.id)]
    assert stored(db, made)["clinic_day"] == "2037-06-01"
    check_book(db)


def test_a_full_first_day_is_closed_to_it(night: Book, patient: Person, api: httpx.Client, hint: Mark) -> None:
    evening, before, _ = night.slot(LATE - HOUR), night.slot(LATE), night.slot(LATE + 30 * MINUTE)
    kind = visit_type(night, 60)
    (other,) = make_patients(night.run, 1)
    booked(other, evening)
    hint()

    assert starts(api, kind) == []
    refused(try_booking(patient, before, visit_type_id=kind), 409, "DAY_FULL")


def test_a_seat_that_is_taken_after_midnight_is_taken(
    night: Book, patient: Person, api: httpx.Client, hint: Mark
) -> None:
    before, after = night.slot(LATE), night.slot(LATE + 30 * MINUTE)
    kind = visit_type(night, 60)
    (other,) = make_patients(night.run, 1)
    booked(other, after)
    hint()

    assert starts(api, kind) == []
    refused(try_booking(patient, before, visit_type_id=kind), 409, "SLOT_TAKEN")


def test_it_leaves_the_next_day_to_another(night: Book, patient: Person, api: httpx.Client, hint: Mark) -> None:
    before, _, noon = night.slot(LATE), night.slot(LATE + 30 * MINUTE), night.slot(LATE + 12 * HOUR)
    booked(patient, before, visit_type_id=visit_type(night, 60))
    hint()

    found = done(api.get("/slots", params={"doctor_id": night.doctor.id}))["items"]
    assert [slot["id"] for slot in found] == [str(noon.id)]
    (other,) = make_patients(night.run, 1)
    booked(other, noon)
