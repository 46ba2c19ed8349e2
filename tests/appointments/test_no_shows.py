"""No-shows that nobody marks: the system does, after each clinic's grace, once, however many processes try."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from backend.appointments.no_shows import mark_no_shows
from backend.core import clock
from backend.directory.documents import Policy
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    MS,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    make_transition,
    pending_messages,
    stored,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def mark(run: Run[Any], moment: datetime) -> int:
    """Runs the job at a moment; how many it has marked."""
    with clock.stopped(moment):
        marked: int = run(mark_no_shows())
    return marked


def test_a_no_show_is_marked_when_the_grace_is_over(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    appointment = booked(patient, book.slot())
    for moment in (TEN - HOUR, TEN, TEN + 15 * MINUTE - MS):
        assert mark(run, moment) == 0
    assert stored(db, appointment)["status"] == "scheduled"
    assert mark(run, TEN + 15 * MINUTE) == 1
    marked = done(patient.client.get(f"/appointments/{appointment['id']}"))
    assert marked["status"] == "no_show"
    assert marked["history"][-1] == {
        "transition": "no_show",
        "status": "no_show",
        "at": "2037-06-01T14:15:00Z",
        "by": None,
        "by_name": "system",
        "by_role": "system",
        "reason": None,
        "start": None,
        "exempt_from": None,
        "overbook_why": None,
    }
    assert pending_messages(db, appointment)[1:] == [("no_show", "patient", 0), ("no_show", "doctor", 0)]
    assert mark(run, TEN + DAY) == 0


@pytest.mark.parametrize("grace", [0, 5, 45, 600])
def test_each_clinic_has_its_own_grace(book: Book, run: Run[Any], grace: int, db: Db) -> None:
    clinic = factories.make_clinic(run, policy=Policy(no_show_grace_minutes=grace))
    there = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    one, two = make_patients(run, 2)
    usual, own = booked(one, book.slot()), booked(two, there.slot())
    due = sorted([(TEN + 15 * MINUTE, usual["id"]), (TEN + grace * MINUTE, own["id"])])
    for moment, an_id in due:
        assert mark(run, moment - MS) == 0
        assert mark(run, moment) == 1
        assert stored(db, {"id": an_id})["status"] == "no_show"


def test_only_who_was_expected_and_did_not_come_is_marked(book: Book, nurse: Person, run: Run[Any], db: Db) -> None:
    transitions = [[], ["confirm"], ["check-in"], ["check-in", "complete"], ["cancel"], ["no-show"]]
    slot = book.slot(capacity=len(transitions))
    made = []
    for patient, taken in zip(make_patients(run, len(transitions)), transitions, strict=True):
        appointment = booked(patient, slot)
        for transition in taken:
            who = book.doctor if transition == "complete" else nurse
            moment = TEN if transition in ("complete", "no-show") else TEN - MINUTE
            done(make_transition(run, who, appointment, transition, at=moment))
        made.append(appointment)
    before = [stored(db, appointment) for appointment in made]
    assert mark(run, TEN + DAY) == 2
    after = [stored(db, appointment) for appointment in made]
    assert [row["status"] for row in after[:2]] == ["no_show", "no_show"]
    assert after[2:] == before[2:]


def test_future_and_rescheduled_appointments_are_not_marked(book: Book, run: Run[Any]) -> None:
    early, *later = book.slots(3)
    one, two = make_patients(run, 2)
    moved = booked(one, early)
    done(make_transition(run, one, moved, "reschedule", at=TEN - MS, slot_id=str(later[1].id)))
    booked(two, later[0])
    assert mark(run, TEN + 20 * MINUTE) == 0
    assert mark(run, TEN + 45 * MINUTE) == 1
    assert mark(run, TEN + 75 * MINUTE) == 1


def test_a_no_show_message_belongs_to_the_last_reschedule(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    done(make_transition(run, patient, appointment, "reschedule", slot_id=str(second.id)))
    assert mark(run, TEN + HOUR) == 1
    assert pending_messages(db, appointment)[-2:] == [("no_show", "patient", 1), ("no_show", "doctor", 1)]


def expected_by_hundreds(book: Book, run: Run[Any], db: Db, count: int) -> None:
    """Copies one booking to as many patients, fifty at a time, half an hour apart."""
    (patient,) = make_patients(run, 1)
    model = stored(db, booked(patient, book.slot()))
    del model["_id"]
    copies = [
        {
            **model,
            "patient_id": ObjectId(),
            "seats": [{**model["seats"][0], "seat": number, "reserved": number}],
            "start": TEN + number // 50 * 30 * MINUTE,
        }
        for number in range(1, count)
    ]
    db["appointments"].insert_many(copies)


def test_more_than_a_batch_is_marked_in_one_run(book: Book, run: Run[Any], db: Db) -> None:
    expected_by_hundreds(book, run, db, 250)
    assert mark(run, TEN + 10 * HOUR) == 250
    assert db["appointments"].count_documents({"status": "no_show"}) == 250
    assert mark(run, TEN + 10 * HOUR) == 0


def test_those_within_the_grace_period_hide_nobody_behind(run: Run[Any], db: Db) -> None:
    patient_clinic = factories.make_clinic(run, policy=Policy(no_show_grace_minutes=1440))
    strict_clinic = factories.make_clinic(run)
    lenient, strict = (
        Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
        for clinic in (patient_clinic, strict_clinic)
    )
    expected_by_hundreds(lenient, run, db, 220)
    (late,) = make_patients(run, 1)
    appointment = booked(late, strict.slot(TEN + 5 * HOUR))
    assert mark(run, TEN + 6 * HOUR) == 1
    assert stored(db, appointment)["status"] == "no_show"


def test_runs_at_once_mark_each_once(book: Book, run: Run[Any], db: Db) -> None:
    expected_by_hundreds(book, run, db, 60)

    async def together() -> list[int]:
        return await asyncio.gather(*(mark_no_shows() for _ in range(4)))

    with clock.stopped(TEN + DAY):
        marked = run(together())
    assert sum(marked) == 60
    for row in db["appointments"].find():
        assert [line["transition"] for line in row["history"]] == ["book", "no_show"]
        assert len(row["pending_messages"]) == 3
        assert row["version"] == 2


def test_a_patient_who_is_checked_in_meanwhile_is_not_marked(
    book: Book, nurse: Person, run: Run[Any], db: Db
) -> None:
    expected_by_hundreds(book, run, db, 40)
    moment = TEN + 20 * MINUTE
    address = [f"/appointments/{row['_id']}/check-in" for row in db["appointments"].find()]
    with clock.stopped(moment):
        client = factories.log_in(run, nurse.user).client

        async def race() -> tuple[int, int]:
            marking = asyncio.create_task(mark_no_shows())
            answers = await asyncio.gather(*(asyncio.to_thread(client.post, path) for path in address))
            return await marking, sum(answer.status_code == 200 for answer in answers)

        marked, checked_in = run(race())
    assert marked + checked_in == 40
    by_status = [row["status"] for row in db["appointments"].find()]
    assert (by_status.count("no_show"), by_status.count("checked_in")) == (marked, checked_in)
