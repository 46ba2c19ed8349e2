"""A withdrawal in the midst of many bookings, moves and cancellations at two server processes."""

import random
from typing import Any

import pytest

from backend.scheduling.slots.slot_sync import SyncResult, reconcile
from tests.factories import Person, Run
from tests.races import changes
from tests.races.rush import Call, all_at_once, post
from tests.races.support import (
    Db,
    DoctorSchedule,
    booked,
    forget_appointments,
    listed,
    make_book,
    make_book_of_hours,
    people,
    said,
)
from tests.support.book import check_book, check_slots

pytestmark = [pytest.mark.races, pytest.mark.long]

Servers = tuple[str, str]

ROUNDS = 4
ANSWERS = {"200", "201", "SLOT_TAKEN", "SLOT_NOT_OPEN", "APPOINTMENT_CHANGED", "INVALID_TRANSITION"}


def withdrawal(admin: Person, book: DoctorSchedule, name: str) -> Call:
    """One of the ways to take the book's slot away, as a call."""
    hours, doctor = {"hours": list[Any]()}, book.doctor.id
    return {
        "leave": post(admin, f"/doctors/{doctor}/leaves", book.whole_slot),
        "closure": post(admin, f"/clinics/{book.clinic.id}/closures", book.whole_slot),
        "removal": Call(admin, "DELETE", f"/slots/{book.slot.id}"),
        "no hours": Call(admin, "PUT", f"/doctors/{doctor}/working-hours", hours),
        "doctor away": Call(admin, "DELETE", f"/doctors/{doctor}"),
    }[name]


@pytest.mark.parametrize("name", ["leave", "closure", "removal", "no hours", "doctor away"])
def test_who_books_before_a_withdrawal_is_on_its_list(
    run: Run[Any], db: Db, admin: Person, two_servers: Servers, name: str
) -> None:
    chance = random.Random(name)
    crowd = people(run, 24)
    for number in range(ROUNDS):
        book, elsewhere = make_book_of_hours(run, capacity=6), make_book(run, capacity=12)
        here, there = {"slot_id": str(book.slot.id)}, {"slot_id": str(elsewhere.slot.id)}
        leaving, moving, coming = crowd[:4], crowd[4:8], crowd[8:12]
        calls = [post(person, "/appointments", here) for person in crowd[12:]]
        for person in leaving[: 2 + number % 3]:
            calls.append(post(person, f"/appointments/{booked(person.client, book.slot)['id']}/cancel"))
        for person in moving[:2]:
            calls.append(post(person, f"/appointments/{booked(person.client, book.slot)['id']}/reschedule", there))
        for person in coming:
            calls.append(
                post(person, f"/appointments/{booked(person.client, elsewhere.slot)['id']}/reschedule", here)
            )
        chance.shuffle(calls)
        at = chance.randrange(len(calls) // 4, len(calls))
        calls.insert(at, withdrawal(admin, book, name))
        answers = all_at_once(two_servers, calls)
        assert {said(answer) for answer in answers} <= ANSWERS
        assert answers[at].is_success
        left = db["appointments"].find({"seats.slot": book.slot.id, "active": True, "patient_id": {"$exists": True}})
        assert {str(row["_id"]) for row in left} <= listed(answers[at])
        late = [post(person, "/appointments", here) for person in people(run, 2)]
        assert {said(answer) for answer in all_at_once(two_servers, late)} == {"SLOT_NOT_OPEN"}
        check_slots(db)
        check_book(db)
        forget_appointments(db)


def test_a_schedule_many_change_at_once_comes_out_right(
    run: Run[Any], db: Db, admin: Person, two_servers: Servers
) -> None:
    """Leave taken and ended, hours changed, slots made, removed and put back, all at the same moment."""
    chance = random.Random(5)
    for _ in range(2 * ROUNDS):
        book = make_book_of_hours(run)
        doctor, slot = book.doctor.id, book.slot
        ended = changes.LEAVE.do(admin.client, book, {}).json()["id"]
        day = slot.start.date().isoformat()
        where = {"doctor_id": doctor, "clinic_id": str(book.clinic.id)}
        calls = [
            post(admin, f"/doctors/{doctor}/leaves", book.whole_slot),
            Call(admin, "DELETE", f"/doctors/{doctor}/leaves/{ended}"),
            Call(admin, "PUT", f"/doctors/{doctor}/working-hours", hours_of(book, "14:30", "15:30")),
            Call(admin, "PUT", f"/doctors/{doctor}/working-hours", hours_of(book, "15:00", "17:00")),
            post(admin, "/slots/generate", {**where, "first_day": day, "last_day": day}),
            post(
                admin,
                "/slots/generate",
                {**where, "first_day": day, "last_day": day, "start": "15:15", "end": "18:00", "minutes": 20},
            ),
            post(admin, "/slots", {**where, "start": slot.start.isoformat(), "minutes": 15}),
            post(admin, "/slots", {**where, "start": slot.end.isoformat(), "minutes": 30}),
            Call(admin, "PATCH", f"/doctors/{doctor}", {"max_patients_per_day": chance.randint(1, 9)}),
            Call(admin, "PATCH", f"/doctors/{doctor}", {"name": f"Doctor {chance.randint(1, 999)}"}),
            *(post(person, "/appointments", {"slot_id": str(slot.id)}) for person in people(run, 3)),
        ]
        chance.shuffle(calls)
        answers = all_at_once(two_servers, calls)
        assert all(answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
        check_slots(db)
        assert run(reconcile(book.doctor.object_id)) == SyncResult()
        check_book(db)


def hours_of(book: DoctorSchedule, start: str, end: str) -> dict[str, Any]:
    """A week of the same hours on each day."""
    block = {"clinic_id": str(book.clinic.id), "start": start, "end": end, "slot_minutes": 30}
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return {"hours": [{**block, "weekday": day} for day in days]}
