"""How many database commands it takes: two reads and one insert to book, one write for any other transition."""

from typing import Any

import pytest
from pymongo.database import Database

from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.commands import recorded
from tests.appointments.support import (
    DAY,
    HOUR,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    patients_placed,
    refused,
    try_booking,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]

BOOKING_READS = [("aggregate", "slots")]
INSERT = [("insert", "appointments")]
UPDATE = [("findAndModify", "appointments")]


@pytest.mark.parametrize("capacity", [1, 3])
def test_a_patients_booking_is_two_reads_and_one_insert(book: Book, patient: Person, db: Db, capacity: int) -> None:
    slot = book.slot(capacity=capacity)
    with recorded(db) as commands:
        booked(patient, slot)
    assert commands.all_reads == [("find", "users"), *BOOKING_READS]  # the links come with the slot
    assert commands.writes == INSERT
    assert commands.others == []
    assert commands.documents_examined <= 4  # the slot; the caller, their link and their record


def test_a_booking_with_a_key_costs_nothing_more(book: Book, patient: Person, db: Db) -> None:
    slot = book.slot()
    with recorded(db) as commands:
        done(try_booking(patient, slot, key="once"), 201)
    assert (commands.reads, commands.writes) == (BOOKING_READS, INSERT)


def test_a_booking_by_the_staff_is_two_reads_and_one_insert(
    book: Book, nurse: Person, admin: Person, run: Run[Any], db: Db
) -> None:
    people = make_patients(run, 3)
    for person, patient, slot in zip((nurse, admin, book.doctor), people, book.slots(3), strict=True):
        with recorded(db) as commands:
            booked(person, slot, patient_id=patient.id)
        assert commands.reads == BOOKING_READS
        assert commands.writes == INSERT
        assert commands.others == []
        assert commands.documents_examined <= 3


def test_a_booking_under_a_day_limit_is_two_reads_and_one_insert(
    book: Book, clinic: Clinic, run: Run[Any], db: Db
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=4)
    slots = Book(run=run, clinic=clinic, doctor=doctor).slots(4)
    for person, slot in zip(make_patients(run, 4), slots, strict=True):
        with recorded(db) as commands:
            booked(person, slot)
        assert (commands.reads, commands.writes) == (BOOKING_READS, INSERT)


def test_a_full_schedule_makes_a_booking_no_dearer(book: Book, run: Run[Any], db: Db) -> None:
    slots = book.slots(12)
    for person, slot in zip(make_patients(run, 11), slots, strict=False):
        booked(person, slot)
    (last,) = make_patients(run, 1)
    with recorded(db) as commands:
        booked(last, slots[11])
    assert (commands.reads, commands.writes) == (BOOKING_READS, INSERT)


def test_the_second_patient_of_a_slot_needs_one_attempt(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot(capacity=3)
    first, second = patients_placed(run, 1, 1, capacity=3)
    booked(first, slot)
    with recorded(db) as commands:
        booked(second, slot)
    assert (commands.reads, commands.writes) == (BOOKING_READS, INSERT)


def test_a_refused_booking_changes_nothing(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot()
    one, two = make_patients(run, 2)
    booked(one, slot)
    with recorded(db) as commands:
        refused(try_booking(two, slot), 409, "SLOT_TAKEN")
    assert commands.writes == INSERT
    assert commands.others == []


def test_rescheduling_is_one_write(book: Book, patient: Person, nurse: Person, clinic: Clinic, db: Db) -> None:
    limited = factories.make_doctor(book.run, clinic, weekly_hours=[], max_patients_per_day=3)
    others = Book(run=book.run, clinic=clinic, doctor=limited)
    first, second = book.slots(2)
    appointment = booked(patient, first)
    targets = [
        second,
        book.slot(TEN + 2 * HOUR, capacity=3),
        others.slot(TEN),
        others.slot(TEN + HOUR),
        others.slot(TEN + DAY, capacity=2),
        first,
    ]
    for number, slot in enumerate(targets):
        mover = (patient, nurse)[number % 2]
        with recorded(db) as commands:
            body = {"slot_id": str(slot.id)}
            moved = done(mover.client.post(f"/appointments/{appointment['id']}/reschedule", json=body))
        assert moved["slot_id"] == str(slot.id)
        assert commands.writes == UPDATE
        assert commands.others == []
        who_acts = commands.reads.count(("aggregate", "patient_links"))  # of the caller; may be remembered
        assert len(commands.reads) - who_acts <= 4 + (slot.doctor_id == limited.object_id)
        assert who_acts <= 1


def test_a_refused_reschedule_attempts_one_write(book: Book, run: Run[Any], db: Db) -> None:
    first, second = book.slots(2)
    one, two = make_patients(run, 2)
    appointment = booked(one, first)
    booked(two, second)
    with recorded(db) as commands:
        answer = one.client.post(f"/appointments/{appointment['id']}/reschedule", json={"slot_id": str(second.id)})
    refused(answer, 409, "SLOT_TAKEN")
    assert commands.writes == UPDATE
    assert commands.others == []


@pytest.mark.parametrize(
    "transitions",
    [
        ["confirm", "cancel"],
        ["check-in", "complete"],
        ["check-in", "undo-check-in", "check-in", "left"],
        ["no-show", "correct-no-show:checked_in", "complete"],
        ["no-show", "correct-no-show:completed"],
    ],
    ids=" ".join,
)
def test_every_transition_is_one_write(
    book: Book, patient: Person, admin: Person, db: Db, transitions: list[str]
) -> None:
    appointment = booked(patient, book.slot())
    with visiting(book.run, admin, TEN - HOUR if "cancel" in transitions else TEN) as client:
        for transition in transitions:
            name, _, status = transition.partition(":")
            with recorded(db) as commands:
                body = {"status": status} if status else {}
                done(client.post(f"/appointments/{appointment['id']}/{name}", json=body))
            assert commands.writes == UPDATE
            assert commands.others == []
            # The clinic's policy decides on the transition, and then on what the caller can do next.
            assert commands.reads == [("find", "appointments"), ("find", "clinics"), ("find", "clinics")]


def test_changing_the_reason_is_one_write(book: Book, patient: Person, db: Db) -> None:
    appointment = booked(patient, book.slot())
    with recorded(db) as commands:
        done(patient.client.patch(f"/appointments/{appointment['id']}", json={"reason": "Pain"}))
    assert commands.writes == UPDATE


def test_a_list_is_one_read(book: Book, patient: Person, nurse: Person, admin: Person, db: Db) -> None:
    for slot in book.slots(3):
        booked(patient, slot)
    for person in (patient, book.doctor, nurse, admin):
        with recorded(db) as commands:
            rows = done(person.client.get("/appointments"))["items"]
        assert len(rows) == 3
        assert commands.reads == [("find", "appointments")]
        assert (commands.writes, commands.others) == ([], [])
        assert commands.documents_examined <= 6  # the caller, their link and their record, which may be remembered
