"""A fit-in has read what it needs and is about to be stored. What happens in that moment, it finds out afterwards.

Whoever changed something has looked for appointments before the fit-in was there, so the fit-in itself has to look.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.appointments.fit_ins.support import read
from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.support import (
    Answer,
    Db,
    DoctorSchedule,
    Wired,
    booked,
    in_background,
    is_booking,
    is_reschedule,
    make_book_of_hours,
    reaches,
    stored,
)
from tests.races.test_fit_ins import fit_in
from tests.support.book import check_book, check_marks
from tests.support.wire import Which

pytestmark = [pytest.mark.races, pytest.mark.long]

Row = dict[str, Any]

CAUSES = {
    changes.LEAVE: "leave",
    changes.CLOSURE: "closure",
    changes.DOCTOR_AWAY: "doctor",
    changes.CLINIC_SHUT: "clinic",
    changes.TRANSFER: "hours",
    changes.REMOVAL: "hours",
}


@pytest.fixture
def book(run: Run[Any]) -> DoctorSchedule:
    """A book whose only slot of tomorrow has one seat."""
    return make_book_of_hours(run)


@pytest.fixture
def full(book: DoctorSchedule) -> Row:
    """The appointment that takes the seat."""
    return booked(book.patients(1)[0].client, book.slot)


@contextmanager
def stored_late(wired: Wired, call: Callable[[], Answer], write: Which = is_booking) -> Iterator[Callable[[], Row]]:
    """Asks for a fit-in, and holds it where it is to be stored. Yields what lets it go on and returns it."""
    with wired.wire.holding(write) as held:
        calling = in_background(call)
        assert reaches(held, calling)

        def released() -> Row:
            held.release()
            answer = calling.result()
            assert answer.is_success, answer.text
            return dict(answer.json())

        yield released


def causes(appointment: Row) -> list[str]:
    return [cause["kind"] for cause in appointment["needs_decision"] or []]


def change(admin: Person, book: DoctorSchedule, made: Change) -> Row:
    """Makes a change that nobody holds."""
    answer = made.do(admin.client, book, made.prepare(admin.client, book))
    assert answer.is_success, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("withdrawal", CAUSES, ids=str)
def test_it_sees_a_withdrawal_of_that_moment(
    book: DoctorSchedule, full: Row, admin: Person, first_wired: Wired, db: Db, withdrawal: Change
) -> None:
    (late,) = book.patients(1)
    here = first_wired.client(admin)
    with stored_late(first_wired, lambda: here.post("/appointments", json=fit_in(book, late, 30))) as released:
        change(admin, book, withdrawal)
        found = released()
    assert causes(found) == [CAUSES[withdrawal]]
    assert "recheck_at" not in stored(db, found)
    assert read(admin, found)["version"] == found["version"]
    assert list(db["withdrawals"].find({}, hint=[("_id", 1)])) == []
    check_marks(db)
    check_book(db)


def test_one_that_is_rescheduled_there_sees_it_too(
    book: DoctorSchedule, full: Row, admin: Person, first_wired: Wired, db: Db
) -> None:
    made = booked(book.patients(1)[0].client, book.other_slot())
    body = {"start": book.slot.start.isoformat(), "minutes": 30, "overbook": True, "why": "Urgent"}
    path, here = f"/appointments/{made['id']}/reschedule", first_wired.client(admin)
    with stored_late(first_wired, lambda: here.post(path, json=body), is_reschedule) as released:
        change(admin, book, changes.LEAVE)
        found = released()
    assert causes(found) == ["leave"]
    check_marks(db)


def test_a_leave_that_ends_while_it_marks_itself_leaves_no_mark(
    book: DoctorSchedule, full: Row, admin: Person, first_wired: Wired, db: Db
) -> None:
    """It has found the leave, and writes the mark when the leave is gone."""
    (late,) = book.patients(1)
    here = first_wired.client(admin)
    with (
        first_wired.wire.holding(lambda command: "needs_decision" in str(command.updates)) as marking,
        stored_late(first_wired, lambda: here.post("/appointments", json=fit_in(book, late, 30))) as released,
    ):
        leave = change(admin, book, changes.LEAVE)
        ending = in_background(released)
        assert reaches(marking, ending)
        assert changes.END_OF_LEAVE.do(admin.client, book, leave).is_success
        marking.release()
        found = ending.result()
    assert causes(found) == []
    check_marks(db)


def test_who_cancels_in_that_moment_gives_it_the_seat(
    book: DoctorSchedule, full: Row, admin: Person, first_wired: Wired, db: Db
) -> None:
    (late,) = book.patients(1)
    here = first_wired.client(admin)
    with stored_late(first_wired, lambda: here.post("/appointments", json=fit_in(book, late, 30))) as released:
        assert admin.client.post(f"/appointments/{full['id']}/cancel").is_success
        urgent = released()
    assert urgent["slot_ids"] == [str(book.slot.id)]
    assert stored(db, urgent)["overbooked_slots"] == []
    free = admin.client.get("/slots", params={"doctor_id": book.doctor.id, "limit": 100}).json()["items"]
    assert str(book.slot.id) not in {slot["id"] for slot in free}
    check_book(db)
