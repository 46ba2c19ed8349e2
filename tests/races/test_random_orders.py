"""Two changes of a book, a booking and a cancellation at once, their commands let go one by one in random order.

RACES_ROUNDS says how many orders are tried (default 40), RACES_SEED which; a failure names the seed of its round.
"""

import os
import random
from typing import Any

import pytest

from backend.scheduling.slots.slot_sync import SyncResult, reconcile
from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.support import (
    Answer,
    Db,
    Wired,
    active_in,
    book_seat,
    booked,
    forget_appointments,
    in_background,
    listed,
    make_book_of_hours,
    people,
    said,
)
from tests.support.book import check_book, check_slots
from tests.support.wire import Order

pytestmark = [pytest.mark.races, pytest.mark.long, pytest.mark.timeout(0)]

ROUNDS = int(os.environ.get("RACES_ROUNDS", "40"))
SEED = int(os.environ.get("RACES_SEED", "1"))
CHANGES = (*changes.WITHDRAWALS, *changes.RETURNS, *changes.OTHERS)


def test_the_schedule_is_right_in_any_order_of_commands(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, second_wired: Wired, third_wired: Wired
) -> None:
    early, late = people(run, 2)
    wires = (first_wired.wire, second_wired.wire, third_wired.wire)
    for seed in range(SEED, SEED + ROUNDS):
        chance = random.Random(seed)
        order = Order(chance)
        forget_appointments(db)
        book = make_book_of_hours(run, capacity=chance.choice([1, 1, 2]))
        path = f"/appointments/{booked(early.client, book.slot)['id']}/cancel"
        one, other = chance.choice(CHANGES), chance.choice(CHANGES)
        for_one, for_other = one.prepare(admin.client, book), other.prepare(admin.client, book)
        with wires[0].ordered(order), wires[1].ordered(order), wires[2].ordered(order):
            doing = in_background(one.do, first_wired.client(admin), book, for_one)
            doing_other = in_background(other.do, second_wired.client(admin), book, for_other)
            booking = in_background(book_or_cancel, third_wired, late, early, book.slot, path)
            order.run(dict(zip(wires, (doing, doing_other, booking), strict=True)))
        try:
            answers = ((one, doing.result(), other), (other, doing_other.result(), one))
            assert said(booking.result()) in {"200", "201", "SLOT_TAKEN", "SLOT_NOT_OPEN"}
            for change, answer, against in answers:
                check_withdrawn(db, book.slot, change, answer, against)
            check_slots(db)
            assert run(reconcile(book.doctor.object_id)) == SyncResult()
            check_book(db)
        except AssertionError as fault:
            story = "\n".join(order.log)
            raise AssertionError(f"seed {seed}: {one}, {other}: {fault}\n{story}") from fault


def book_or_cancel(wired: Wired, late: Person, early: Person, slot: Any, path: str) -> Answer:
    """Somebody books, then the one who was there cancels, then the first tries again."""
    answer = book_seat(wired.client(late), slot)
    wired.client(early).post(path).raise_for_status()
    return answer if answer.status_code == 201 else book_seat(wired.client(late), slot)


def check_withdrawn(db: Db, slot: Any, change: Change, answer: Answer, against: Change) -> None:
    """Whoever is there in the end is on the list of each withdrawal that was answered."""
    if change.withdraws and answer.is_success and against not in changes.UNDONE_BY.get(change, set()):
        assert active_in(db, slot) <= listed(answer), f"somebody came after the {change}"
