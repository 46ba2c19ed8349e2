"""Several visits booked together, against others who want the same, withdrawals, and the death of the process."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from backend.appointments.batches.book_batch import ABANDONED, finish_batches
from backend.core import clock
from backend.scheduling.documents import Slot
from tests.factories import Person, Run
from tests.races.rush import all_at_once, post
from tests.races.support import (
    HOUR,
    Answer,
    Db,
    DoctorSchedule,
    Wired,
    active_in,
    add_slot,
    book_seat,
    every_pause,
    in_background,
    listed,
    make_book,
    people,
    reaches,
    said,
    wired_server,
)
from tests.support.book import check_book, check_marks, check_slots
from tests.support.wire import Command

pytestmark = [pytest.mark.races, pytest.mark.long]

MOST_COMMANDS = 30
ROUNDS = 20


def visits_in(*slots: Slot) -> dict[str, Any]:
    """The body of a batch with a visit in each slot."""
    return {"visits": [{"slot_id": str(slot.id)} for slot in slots]}


def book_batch(client: httpx.Client, *slots: Slot) -> Answer:
    """A patient asks for a visit in each slot."""
    return client.post("/appointments/batch", json=visits_in(*slots))


@dataclass(frozen=True)
class Wish:
    """A patient who wants two slots of a book."""

    patient: Person
    slots: tuple[Slot, Slot]

    @classmethod
    def of(cls, book: DoctorSchedule) -> "Wish":
        """Somebody who wants the book's slot and another one."""
        (patient,) = book.patients(1)
        return cls(patient, (book.slot, book.other_slot()))

    def held(self, db: Db) -> int:
        """How many of the two visits are there."""
        return db["appointments"].count_documents({"patient_id": self.patient.object_id, "active": True})


def test_a_dead_process_leaves_all_or_nothing(run: Run[Any], db: Db) -> None:
    """It is killed amid batches of many books, in each at another command; then a job does what is left."""
    wishes: list[Wish] = []
    with wired_server() as wired, ExitStack() as stack:
        held, is_under_way = [], True
        while is_under_way and len(wishes) < MOST_COMMANDS:
            wish = Wish.of(make_book(run))
            person, slots = wish.patient, wish.slots
            held.append(stack.enter_context(wired.wire.holding(_is_write, skip=len(wishes))))
            is_under_way = reaches(held[-1], in_background(book_batch, wired.client(person), *slots))
            wishes.append(wish)
        wired.program.kill()
        for each in held:
            each.lose()
    assert 4 < len(wishes) < MOST_COMMANDS
    with clock.shifted(2 * ABANDONED):
        run(finish_batches())
    for wish in wishes:
        count = wish.held(db)
        assert count in (0, 2)
        rows = list(db["appointments"].find({"patient_id": wish.patient.object_id}))
        assert [[each["kind"] for each in row["pending_messages"]] for row in rows] == [["booked"]] * count
        assert all("open_batch_id" not in row for row in rows)
        (late,) = people(run, 1)
        assert {said(book_seat(late.client, slot)) for slot in wish.slots} == {"SLOT_TAKEN" if count else "201"}
    assert {wish.held(db) for wish in wishes} == {0, 2}
    check_book(db)


def _is_write(command: Command) -> bool:
    """Whether a command writes batches or appointments. All books but the last are held already."""
    return command.collection in {"batches", "appointments"} and command.name not in {"find", "aggregate"}


def test_of_those_who_want_the_same_slots_one_gets_all(run: Run[Any], db: Db, two_servers: tuple[str, str]) -> None:
    for _ in range(ROUNDS):
        book = make_book(run)
        slots = book.slot, book.other_slot(), book.other_slot(book.slot.start + 3 * HOUR)
        crowd = people(run, 6)
        orders = [slots if number % 2 else slots[::-1] for number in range(len(crowd))]
        calls = [
            post(person, "/appointments/batch", visits_in(*order))
            for person, order in zip(crowd, orders, strict=True)
        ]
        answers = all_at_once(two_servers, calls)
        assert Counter(map(said, answers)) == {"201": 1, "SLOT_TAKEN": len(crowd) - 1}
        (winner,) = (row for row in answers if row.status_code == 201)
        ids = {row["id"] for row in winner.json()["items"]}
        assert {each for slot in slots for each in active_in(db, slot)} == ids
    check_book(db)


def test_of_batches_that_overlap_in_a_ring_none_is_half(run: Run[Any], db: Db, two_servers: tuple[str, str]) -> None:
    for _ in range(ROUNDS):
        book = make_book(run)
        slots = [book.slot, book.other_slot(), book.other_slot(book.slot.start + 3 * HOUR)]
        crowd = people(run, 3)
        wanted = [(slots[number], slots[(number + 1) % 3]) for number in range(3)]
        calls = [
            post(person, "/appointments/batch", visits_in(*pair)) for person, pair in zip(crowd, wanted, strict=True)
        ]
        answers = all_at_once(two_servers, calls)
        assert {said(answer) for answer in answers} <= {"201", "SLOT_TAKEN"}
        assert [said(answer) for answer in answers].count("201") == 1
        for person, answer in zip(crowd, answers, strict=True):
            held = db["appointments"].count_documents({"patient_id": person.object_id, "active": True})
            assert held == (2 if answer.status_code == 201 else 0)
    check_book(db)


def test_a_leave_at_any_command_of_a_batch_lets_nothing_slip(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired
) -> None:
    outcomes = Counter[str]()
    for pause in every_pause(first_wired.wire):
        book = make_book(run)
        other = add_slot(run, book.doctor, book.clinic, book.slot.start + 4 * HOUR)
        (patient,) = book.patients(1)
        booking = in_background(book_batch, first_wired.client(patient), book.slot, other)
        reaches(pause, booking)
        leave = admin.client.post(f"/doctors/{book.doctor.id}/leaves", json=book.whole_slot)
        pause.release()
        answer = said(booking.result())
        outcomes[answer] += 1
        held = [active_in(db, slot) for slot in (book.slot, other)]
        assert [len(each) for each in held] == ([1, 1] if answer == "201" else [0, 0])
        assert held[0] <= listed(leave), "it came after the leave"
    assert set(outcomes) == {"201", "SLOT_TAKEN", "SLOT_NOT_OPEN"}
    check_book(db)
    check_slots(db)
    check_marks(db)
