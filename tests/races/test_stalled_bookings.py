"""A booking has read its slot, then a withdrawal comes: the booking is refused, or it is on the withdrawal's list."""

import os
from typing import Any

import pytest

from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.support import (
    Db,
    Wired,
    active_in,
    add_slot,
    book_seat,
    booked,
    every_pause,
    forget_appointments,
    in_background,
    is_booking,
    is_reschedule,
    listed,
    make_book_of_hours,
    people,
    reaches,
    said,
    tomorrow,
)
from tests.support.book import check_book, check_slots

pytestmark = [pytest.mark.races, pytest.mark.long]

MEANWHILE = ["stays", "moves away", *(["cancels"] if os.environ.get("RACES") == "all" else [])]
REFUSED = {"SLOT_TAKEN", "SLOT_NOT_OPEN"}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("withdrawal", changes.WITHDRAWALS, ids=str)
def test_a_booking_under_way_is_refused_after_a_withdrawal(
    run: Run[Any],
    db: Db,
    admin: Person,
    first_wired: Wired,
    withdrawal: Change,
    capacity: int,
    meanwhile: str,
) -> None:
    book = make_book_of_hours(run, capacity=capacity)
    there = book.other_slot()
    early, late = book.patients(2)
    with first_wired.wire.holding(is_booking) as insert:
        call = in_background(book_seat, first_wired.client(late), book.slot)
        assert reaches(insert, call)
        appointment = booked(early.client, book.slot)
        if meanwhile == "moves away" and withdrawal in (changes.DOCTOR_AWAY, changes.CLINIC_SHUT):
            there = make_book_of_hours(run).slot
        answer = withdrawal.do(admin.client, book, {})
        assert answer.is_success
        assert appointment["id"] in listed(answer)
        path = f"/appointments/{appointment['id']}"
        if meanwhile == "cancels":
            assert early.client.post(f"{path}/cancel").is_success
        if meanwhile == "moves away":
            assert early.client.post(f"{path}/reschedule", json={"slot_id": str(there.id)}).status_code in (
                200,
                409,
            )
        insert.release()
        assert said(call.result()) in REFUSED
    assert active_in(db, book.slot) <= listed(answer)
    check_book(db)
    check_slots(db)


@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("withdrawal", changes.WITHDRAWALS, ids=str)
def test_a_reschedule_under_way_is_refused_after_a_withdrawal(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, withdrawal: Change, capacity: int
) -> None:
    book, elsewhere = make_book_of_hours(run, capacity=capacity), make_book_of_hours(run)
    early, late = book.patients(2)
    first, moving = booked(early.client, book.slot), booked(late.client, elsewhere.slot)
    assert early.client.post(f"/appointments/{first['id']}/cancel").is_success
    with first_wired.wire.holding(is_reschedule) as update:
        path = f"/appointments/{moving['id']}/reschedule"
        call = in_background(lambda: first_wired.client(late).post(path, json={"slot_id": str(book.slot.id)}))
        assert reaches(update, call)
        answer = withdrawal.do(admin.client, book, {})
        update.release()
        assert said(call.result()) in REFUSED
    assert listed(answer) == active_in(db, book.slot) == set()
    assert active_in(db, elsewhere.slot) == {moving["id"]}, "the old time was never let go"
    check_book(db)


@pytest.mark.parametrize(
    ("withdrawal", "capacity", "taken"),
    [(changes.LEAVE, 1, 0), (changes.LEAVE, 1, 1), (changes.LEAVE, 3, 2), (changes.REMOVAL, 1, 1)],
    ids=str,
)
def test_a_booking_during_a_withdrawal_is_refused_or_listed(
    run: Run[Any],
    db: Db,
    admin: Person,
    first_wired: Wired,
    second_wired: Wired,
    withdrawal: Change,
    capacity: int,
    taken: int,
) -> None:
    late, *early = people(run, 1 + taken)
    for pause in every_pause(second_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run, capacity=capacity)
        for person in early:
            booked(person.client, book.slot)
        with first_wired.wire.holding(is_booking) as insert:
            booking = in_background(book_seat, first_wired.client(late), book.slot)
            reaches(insert, booking)
            withdrawing = in_background(withdrawal.do, second_wired.client(admin), book, {})
            reaches(pause, withdrawing)
            insert.release()
            came = said(booking.result())
            pause.release()
        assert came == "201" or came in REFUSED
        assert active_in(db, book.slot) == listed(withdrawing.result()), f"stopped before {pause.command}"
        assert len(listed(withdrawing.result())) == taken + (came == "201")
        check_book(db)
        check_slots(db)


def test_two_bookings_during_a_withdrawal_never_overfill(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, second_wired: Wired
) -> None:
    """The one who was there cancels while the slot is being withdrawn, so that there is a seat to be fought for."""
    early, late, later = people(run, 3)
    for pause in every_pause(second_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run)
        appointment = booked(early.client, book.slot)
        # Only one of two holds takes the first insert that comes, and the other the second.
        with first_wired.wire.holding(is_booking) as one, first_wired.wire.holding(is_booking) as two:
            # One after the other: in the same moment they would be one command.
            calls = []
            for who, insert in ((late, one), (later, two)):
                calls.append(in_background(book_seat, first_wired.client(who), book.slot))
                assert insert.arrived()
            withdrawing = in_background(changes.LEAVE.do, second_wired.client(admin), book, {})
            reaches(pause, withdrawing)
            assert early.client.post(f"/appointments/{appointment['id']}/cancel").is_success
            one.release()
            two.release()
            came = [said(call.result()) for call in calls]
            pause.release()
        assert came.count("201") <= 1
        assert active_in(db, book.slot) <= listed(withdrawing.result())
        check_book(db)


@pytest.mark.parametrize("withdrawal", [changes.LEAVE, changes.REMOVAL], ids=str)
def test_a_seat_freed_during_a_withdrawal_goes_to_nobody(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, second_wired: Wired, withdrawal: Change
) -> None:
    early, late = people(run, 2)
    for pause in every_pause(second_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run)
        appointment = booked(early.client, book.slot)
        with first_wired.wire.holding(is_booking) as insert:
            call = in_background(book_seat, first_wired.client(late), book.slot)
            assert reaches(insert, call)
            withdrawing = in_background(withdrawal.do, second_wired.client(admin), book, {})
            reaches(pause, withdrawing)
            assert early.client.post(f"/appointments/{appointment['id']}/cancel").is_success
            pause.release()
            assert withdrawing.result().is_success
            insert.release()
            assert said(call.result()) in REFUSED, f"cancelled before {pause.command}"
        assert active_in(db, book.slot) == set()
        check_book(db)
        check_slots(db)


def test_a_reopened_slot_gives_no_seat_of_a_late_booking(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired
) -> None:
    """Withdrawn and opened again while a booking was on its way; with the seat free, and with somebody on it."""
    for taken in (False, True):
        book = make_book_of_hours(run)
        early, late, other = book.patients(3)
        with first_wired.wire.holding(is_booking) as insert:
            call = in_background(book_seat, first_wired.client(late), book.slot)
            assert reaches(insert, call)
            if taken:
                booked(early.client, book.slot)
            leave = changes.LEAVE.do(admin.client, book, {}).json()
            assert changes.END_OF_LEAVE.do(admin.client, book, leave).is_success
            if not taken:
                again = add_slot(run, book.doctor, book.clinic, tomorrow(17))
                booked(other.client, again)
            insert.release()
            assert said(call.result()) in REFUSED
        check_book(db)
        check_slots(db)
