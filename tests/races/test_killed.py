"""A server process is killed amid changes of many books, in each at another command; the next run mends all."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from backend.scheduling.slots.slot_sync import SyncResult, reconcile
from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.support import (
    Db,
    DoctorSchedule,
    Wired,
    active_in,
    book_seat,
    booked,
    in_background,
    is_booking,
    make_book_of_hours,
    mentions,
    reaches,
    said,
    wired_server,
)
from tests.support.book import check_book, check_slots
from tests.support.wire import Held

pytestmark = [pytest.mark.races, pytest.mark.long]

MOST_COMMANDS = 60
HELD_AT_ONCE = 8


@dataclass(frozen=True)
class Doomed:
    """A server that will be killed, and the last command that it sends for each book, after `skip` others."""

    wired: Wired
    last_commands: list[Held]
    _stack: ExitStack
    skip: int

    def begins(self, change: Change, admin: Person, book: DoctorSchedule, prepared: dict[str, Any]) -> bool:
        """Begins a change; each goes on for one command longer than the one before. Whether it has so many."""
        held = self._stack.enter_context(
            self.wired.wire.holding(
                mentions(book.doctor.id, book.slot.id, book.clinic.id), skip=self.skip + len(self.last_commands)
            )
        )
        self.last_commands.append(held)
        return reaches(held, in_background(change.do, self.wired.client(admin), book, prepared))

    def dies(self) -> None:
        """kill -9, before the last commands are sent."""
        self.wired.program.kill()
        for held in self.last_commands:
            held.lose()


@contextmanager
def doomed_server(*, skip: int = 0) -> Iterator[Doomed]:
    """A server to be killed."""
    with wired_server() as wired, ExitStack() as stack:
        yield Doomed(wired, [], stack, skip)


@pytest.mark.parametrize("change", [changes.LEAVE, changes.REMOVAL, changes.CAPACITY], ids=str)
def test_the_next_run_finishes_the_change_of_a_dead_process(
    run: Run[Any], db: Db, admin: Person, change: Change
) -> None:
    books: list[DoctorSchedule] = []
    with doomed_server() as server:
        is_under_way = True
        while is_under_way and len(books) < MOST_COMMANDS:
            book = make_book_of_hours(run)
            booked(book.patients(1)[0].client, book.slot)
            is_under_way = server.begins(change, admin, book, change.prepare(admin.client, book))
            books.append(book)
        server.dies()
    assert 8 < len(books) < MOST_COMMANDS
    for book in books:
        run(reconcile(book.doctor.object_id))
        assert run(reconcile(book.doctor.object_id)) == SyncResult()
        (late,) = book.patients(1)
        came = said(book_seat(late.client, book.slot))
        assert len(active_in(db, book.slot)) == 1 + (came == "201")
    check_slots(db)
    check_book(db)


def test_a_leave_ended_elsewhere_lets_no_late_booking_in(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired
) -> None:
    """The process that takes leave dies anywhere in it; another brings the book in line; then comes the booking."""
    books: list[DoctorSchedule] = []
    came: list[str] = []
    is_under_way = True
    while is_under_way and len(books) < MOST_COMMANDS:
        is_under_way = _die_taking_leave(run, admin, first_wired, books, came)
    assert len(books) < MOST_COMMANDS
    for book, answer in zip(books, came, strict=True):
        on_leave = db["leaves"].count_documents({"doctor_id": book.doctor.object_id}) == 1
        assert answer in ({"SLOT_TAKEN", "SLOT_NOT_OPEN"} if on_leave else {"201"})
    assert "201" in came
    check_slots(db)
    check_book(db)


def _die_taking_leave(
    run: Run[Any], admin: Person, other: Wired, books: list[DoctorSchedule], came: list[str]
) -> bool:
    """Adds some books, and what the late booking in each was told. Returns whether a leave has more commands.

    Few at a time: no held booking waits so long that its server gives it up.
    """
    inserts, bookings, is_under_way = [], [], True
    first = len(books)
    with ExitStack() as stack, doomed_server(skip=first) as server:
        while is_under_way and len(books) < first + HELD_AT_ONCE:
            book = make_book_of_hours(run, capacity=1 + len(books) % 2)
            (late,) = book.patients(1)
            inserts.append(stack.enter_context(other.wire.holding(is_booking)))
            bookings.append(in_background(book_seat, other.client(late), book.slot))
            assert inserts[-1].arrived()
            is_under_way = server.begins(changes.LEAVE, admin, book, {})
            books.append(book)
        server.dies()
        for book in books[first:]:
            run(reconcile(book.doctor.object_id))
        for insert in inserts:
            insert.release()
        came.extend(said(booking.result()) for booking in bookings)
    return is_under_way
