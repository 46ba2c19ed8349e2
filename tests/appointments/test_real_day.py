"""A clinic's real day: visits of two lengths, an urgent case, a check-in by mistake, a check-up in half a year."""

from typing import Any

import pytest
from pymongo.database import Database

from backend.core import clock
from backend.core.settings import Settings, settings
from backend.scheduling.slots.horizon import extend_slots
from tests.appointments.fit_ins.support import fitted_in
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    TEN,
    Book,
    booked,
    done,
    instant,
    make_patients,
    make_transition,
    refused,
    try_booking,
    visiting,
)
from tests.appointments.visits import starts, visit_type
from tests.factories import Person, Run
from tests.support.book import check_book
from tests.support.visits import check_visits

Db = Database[dict[str, Any]]


def test_a_real_day(book: Book, nurse: Person, run: Run[Any], db: Db) -> None:
    """The doctor's slots are of 20 minutes; a first visit takes two of them and a follow-up one."""
    slots = [book.slot(TEN + number * 20 * MINUTE, minutes=20) for number in range(4)]
    first_visit, follow_up = visit_type(book, 40), visit_type(book, 20)
    new, known, other, urgent = make_patients(run, 4)

    long = booked(new, slots[0], visit_type_id=first_visit)
    short = booked(known, slots[2], visit_type_id=follow_up)
    assert [len(visit["slot_ids"]) for visit in (long, short)] == [2, 1]
    assert (instant(long["end"]), instant(short["end"])) == (TEN + 40 * MINUTE, TEN + HOUR)
    assert starts(other.client, first_visit) == []
    assert starts(other.client, follow_up) == [str(slots[3].id)]
    booked(other, slots[3], visit_type_id=follow_up)

    case = fitted_in(nurse, book, urgent, TEN + 20 * MINUTE, 20)
    assert (case["overbooked"], case["slot_ids"]) == (True, [])

    done(make_transition(run, nurse, long, "check-in", at=TEN - 5 * MINUTE))
    undone = done(make_transition(run, nurse, long, "undo-check-in", at=TEN - 4 * MINUTE))
    assert undone["status"] == "scheduled"
    done(make_transition(run, nurse, case, "check-in", at=TEN - 4 * MINUTE))
    with clock.stopped(TEN):
        check_book(db)
        check_visits(db)


def test_a_check_up_in_half_a_year_is_booked_at_the_desk(
    book: Book, nurse: Person, patient: Person, run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the settings as they come: `BOOKING_HORIZON_DAYS` is for patients, who can book it later."""
    monkeypatch.setattr(settings, "STAFF_HORIZON_DAYS", Settings.model_fields["STAFF_HORIZON_DAYS"].default)
    check_up, next_one = book.slot(TEN + 182 * DAY), book.slot(TEN + 183 * DAY)
    refused(try_booking(patient, check_up), 409, "SLOT_NOT_OPEN")
    made = booked(nurse, check_up, patient_id=patient.id)
    assert done(patient.client.get(f"/appointments/{made['id']}"))["start"] == made["start"]
    with visiting(run, patient, TEN + 150 * DAY) as client:
        run(extend_slots())
        done(client.post("/appointments", json={"slot_id": str(next_one.id)}), 201)
