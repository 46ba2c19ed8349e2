"""Two changes of one book at once: the first stopped before each of its commands in turn, the second done meanwhile.

`RACES=all` tries every pair; without it those that have something to fight about.
"""

import os
from typing import Any

import pytest

from backend.scheduling.slots.slot_sync import SyncResult, reconcile
from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.support import (
    Answer,
    Db,
    DoctorSchedule,
    Wired,
    active_in,
    book_seat,
    booked,
    every_pause,
    forget_appointments,
    in_background,
    is_booking,
    listed,
    make_book_of_hours,
    people,
    reaches,
    said,
)
from tests.support.book import check_book, check_slots
from tests.support.wire import Command

pytestmark = [pytest.mark.races, pytest.mark.long]

EVERYTHING = (*changes.WITHDRAWALS, *changes.RETURNS, *changes.OTHERS)
REFUSED = {"SLOT_TAKEN", "SLOT_NOT_OPEN"}
EXPECTED = {
    *("200", "201"),
    # The slot that is to be removed, or put over the other one's time, is gone or taken; or the time is.
    *("SLOT_NOT_FOUND", "SLOT_OVERLAPS", "TIME_NOT_AVAILABLE", "NOT_THE_DOCTORS_CLINIC"),
}
PAIRS = [
    (changes.LEAVE, changes.LEAVE),
    (changes.REMOVAL, changes.LEAVE),
    (changes.CAPACITY, changes.REMOVAL),
    (changes.TRANSFER, changes.CLINIC_SHUT),
]
if os.environ.get("RACES") == "all":
    PAIRS = [(one, other) for one in EVERYTHING for other in EVERYTHING]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=str)
def test_a_stalled_change_undoes_no_other_change(
    run: Run[Any],
    db: Db,
    admin: Person,
    first_wired: Wired,
    second_wired: Wired,
    first: Change,
    second: Change,
) -> None:
    here, there = first_wired.client(admin), second_wired.client(admin)
    early, late, later = people(run, 3)
    faults = []
    for pause in every_pause(first_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run)
        appointment = booked(early.client, book.slot)
        with second_wired.wire.holding(is_booking) as insert:
            booking = in_background(book_seat, second_wired.client(late), book.slot)
            reaches(insert, booking)
            for_first, for_second = first.prepare(there, book), second.prepare(there, book)
            doing = in_background(first.do, here, book, for_first)
            reaches(pause, doing)
            answer = second.do(there, book, for_second)
            assert early.client.post(f"/appointments/{appointment['id']}/cancel").is_success
            insert.release()
            came, comes = said(booking.result()), said(book_seat(later.client, book.slot))
            pause.release()
        try:
            check_withdrawn(db, book, second, answer, came, comes)
            assert said(doing.result()) in EXPECTED
            assert said(answer) in EXPECTED
            check_settled(run, db, book)
        except AssertionError as fault:
            faults.append(f"{first} stopped before {pause.command}, {second}: {fault}")
    assert not faults, "\n\n".join(faults)


def test_of_two_withdrawals_of_one_generation_one_ends_it(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, second_wired: Wired
) -> None:
    """Were the round ended twice, who is booked would be left on a seat that nobody counts."""
    book = make_book_of_hours(run)
    early, late = people(run, 2)
    booked(early.client, book.slot)
    with (
        second_wired.wire.holding(reads_leave) as second_reads,
        first_wired.wire.holding(finds_closing) as first_finds,
        second_wired.wire.holding(ends_round) as second_ends,
    ):
        leaving = in_background(changes.LEAVE.do, second_wired.client(admin), book, {})
        assert second_reads.arrived(), "the leave is written"
        filling = in_background(changes.FILLING.do, first_wired.client(admin), book, {})
        assert first_finds.arrived(), "the first has read the leave too, and begun to withdraw"
        second_reads.release()
        assert second_ends.arrived(), "the second has taken the seats"
        first_finds.release()
        assert filling.result().is_success
        second_ends.release()
        leave = leaving.result()
    assert changes.END_OF_LEAVE.do(admin.client, book, leave.json()).is_success
    assert said(book_seat(late.client, book.slot)) == "SLOT_TAKEN"
    check_settled(run, db, book)


def reads_leave(command: Command) -> bool:
    """The facts are being read."""
    return command.name == "find" and command.collection == "leaves"


def finds_closing(command: Command) -> bool:
    """A withdrawal has counted up the revisions, and reads its slots."""
    return (
        command.name == "find" and command.collection == "slots" and command.body["filter"].get("state") == "closing"
    )


def ends_round(command: Command) -> bool:
    """A withdrawal has taken the seats, and says so."""
    return command.collection == "slots" and any("first_seat" in str(each["u"]) for each in command.updates)


def check_withdrawn(db: Db, book: DoctorSchedule, change: Change, answer: Answer, *came: str) -> None:
    """When a withdrawal has answered, nobody comes any more, and who is there is on its list."""
    if change.withdraws and answer.is_success:
        assert set(came) <= REFUSED
        assert active_in(db, book.slot) <= listed(answer)


def check_settled(run: Run[Any], db: Db, book: DoctorSchedule) -> None:
    """What all changes together have left holds, and nothing is left to be done."""
    check_slots(db)
    assert run(reconcile(book.doctor.object_id)) == SyncResult()
    check_book(db)
