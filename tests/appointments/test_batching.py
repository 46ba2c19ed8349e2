"""Bookings and lists that come in the same turn of the loop are few commands, and each is answered as if alone."""

import asyncio
import json
from typing import Any

from beanie import PydanticObjectId
from pymongo.database import Database

from backend.appointments.booking import book
from backend.appointments.booking.book import Booking, BookingRequest
from backend.appointments.errors import PatientDoubleBooked, SlotTaken
from backend.appointments.queries import Filters, list_appointments
from backend.core.http.pagination import PageRequest
from backend.scheduling.documents import Slot
from backend.scheduling.errors import SlotNotFound
from tests import factories
from tests.appointments.commands import recorded
from tests.appointments.support import NOBODY, TEN, Book, booked, make_patients
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
Answers = list[Booking | BaseException]


async def _book_all(wanted: list[tuple[Person, Any]]) -> Answers:
    # Whose visit it is follows from the caller's links, which one command reads for all.
    requests = (book.book(person.user, BookingRequest(slot_id=slot_id)) for person, slot_id in wanted)
    return await asyncio.gather(*requests, return_exceptions=True)


def _ids(slots: list[Slot]) -> list[Any]:
    return [slot.id for slot in slots]


def test_everybody_gets_the_slot_they_asked_for(book: Book, run: Run[Any], db: Db) -> None:
    people, slots = make_patients(run, 6), book.slots(6)
    with recorded(db) as commands:
        answers = run(_book_all(list(zip(people, _ids(slots), strict=True))))
    assert [(each.document["patient_id"], each.document["seats"][0]["slot"]) for each in answers] == [
        (person.object_id, slot.id) for person, slot in zip(people, slots, strict=True)
    ]
    assert commands.reads == [("aggregate", "slots")]
    assert set(commands.writes) == {("insert", "appointments")}
    assert commands.documents_examined <= 4 * len(people)  # with the caller's link and record


def test_a_lost_race_for_a_seat_costs_no_other_booking(book: Book, run: Run[Any], db: Db) -> None:
    people, (slot, other) = make_patients(run, 12), book.slots(2)
    wanted = [(person, slot.id) for person in people[:10]] + [
        (people[10], other.id),
        (people[11], PydanticObjectId(NOBODY)),
    ]
    *rivals, alone, nowhere = run(_book_all(wanted))
    assert sum(isinstance(each, Booking) for each in rivals) == 1
    assert sum(isinstance(each, SlotTaken) for each in rivals) == 9
    assert isinstance(alone, Booking)
    assert isinstance(nowhere, SlotNotFound)
    in_these = {"seats.slot": {"$in": [slot.id, other.id]}, "active": True}
    assert db.appointments.count_documents(in_these) == 2


def test_seats_of_one_slot_go_to_as_many_as_there_are(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot(capacity=3)
    answers = run(_book_all([(person, slot.id) for person in make_patients(run, 8)]))
    assert sum(isinstance(each, Booking) for each in answers) == 3
    assert sum(isinstance(each, SlotTaken) for each in answers) == 5
    held = db.appointments.find({"seats.slot": slot.id, "active": True})
    assert sorted(row["seats"][0]["seat"] for row in held) == [slot.first_seat + number for number in range(3)]


def test_a_patient_who_books_twice_for_one_time_gets_one(book: Book, run: Run[Any]) -> None:
    other = Book(run=run, clinic=book.clinic, doctor=factories.make_doctor(run, book.clinic, weekly_hours=[]))
    (person,) = make_patients(run, 1)
    answers = run(_book_all([(person, book.slot(TEN).id), (person, other.slot(TEN).id)]))
    assert {type(each) for each in answers} == {Booking, PatientDoubleBooked}


def test_simultaneous_lists_are_each_persons_own(book: Book, run: Run[Any], db: Db) -> None:
    people, slots = make_patients(run, 9), book.slots(18)
    for number, slot in enumerate(slots):
        booked(people[number % len(people)], slot)

    async def lists() -> list[Any]:
        return await asyncio.gather(*(list_appointments(person.user, Filters(), PageRequest()) for person in people))

    with recorded(db) as commands:
        answers = run(lists())
    pages = [json.loads(answer.body)["items"] for answer in answers]
    assert [{row["patient_id"] for row in page} for page in pages] == [{str(each.id)} for each in people]
    assert [len(page) for page in pages] == [2] * len(people)
    assert [[row["start"] for row in page] for page in pages] == [
        sorted(row["start"] for row in page) for page in pages
    ]
    assert commands.reads == [("find", "appointments")] * len(people)
    assert commands.documents_examined <= len(slots) + 3 * len(
        people
    )  # with each caller, their link and their record
