"""Fit-ins against what withdraws their time: whichever comes first, afterwards every one in it needs a decision."""

import random
from typing import Any

import pytest

from backend.appointments.booking.fit_in import finish_fit_ins
from backend.core import clock
from backend.core.clock import EPOCH, utc_now
from backend.scheduling.directory_changes import finish_withdrawals
from backend.scheduling.fit_ins import LEFT_AFTER
from tests.factories import Person, Run
from tests.races import changes
from tests.races.changes import Change
from tests.races.rush import all_at_once, post
from tests.races.support import (
    Db,
    DoctorSchedule,
    Wired,
    booked,
    every_pause,
    forget_appointments,
    in_background,
    make_book_of_hours,
    people,
    reaches,
    said,
)
from tests.races.test_killed import MOST_COMMANDS, doomed_server
from tests.races.test_withdrawals_in_a_rush import withdrawal
from tests.support.book import check_book, check_marks, check_slots

pytestmark = [pytest.mark.races, pytest.mark.long]

Servers = tuple[str, str]

ROUNDS = 4
MINUTES = (5, 30, 60, 90)


def fit_in(book: DoctorSchedule, person: Person, minutes: int) -> dict[str, Any]:
    """The body that fits a patient in at the start of the book's slot."""
    place = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "patient_id": person.id}
    return {**place, "start": book.slot.start.isoformat(), "minutes": minutes, "overbook": True, "why": "Urgent"}


def check_fit_ins(db: Db, book: DoctorSchedule) -> None:
    """Every active fit-in of a withdrawn slot needs a decision; none is still to be looked at."""
    for row in db["appointments"].find(
        {"doctor_id": book.doctor.object_id, "active": True, "start": book.slot.start}
    ):
        assert "recheck_at" not in row
        where = [*(held["slot"] for held in row["seats"]), *row.get("overbooked_slots", [])]
        slots = list(db["slots"].find({"_id": {"$in": where}}))
        if any(slot["state"] != "open" or not slot["is_active"] for slot in slots):
            assert row.get("needs_decision"), row


@pytest.mark.parametrize("name", ["leave", "closure", "removal", "no hours", "doctor away"])
def test_fit_ins_in_a_rush_are_all_marked(
    run: Run[Any], db: Db, admin: Person, two_servers: Servers, name: str
) -> None:
    chance = random.Random(name)
    crowd = people(run, 24)
    for _ in range(ROUNDS):
        book = make_book_of_hours(run, capacity=3)
        calls = [post(admin, "/appointments", fit_in(book, each, chance.choice(MINUTES))) for each in crowd[:16]]
        calls += [post(each, "/appointments", {"slot_id": str(book.slot.id)}) for each in crowd[16:]]
        chance.shuffle(calls)
        at = chance.randrange(len(calls))
        calls.insert(at, withdrawal(admin, book, name))
        answers = all_at_once(two_servers, calls)
        came = {said(answer) for answer in answers}
        assert came <= {"200", "201", "SLOT_TAKEN", "SLOT_NOT_OPEN", "TIME_NOT_AVAILABLE"}
        assert answers[at].is_success
        stored = db["appointments"].count_documents({"overbooked": True, "doctor_id": book.doctor.object_id})
        assert stored == sum("overbooked" in answer.json() and answer.json()["overbooked"] for answer in answers)
        if name == "doctor away":
            rows = db["appointments"].find({"doctor_id": book.doctor.object_id, "active": True})
            assert all(row.get("needs_decision") for row in rows)
        check_fit_ins(db, book)
        check_marks(db)
        check_slots(db)
        check_book(db)
        forget_appointments(db)


@pytest.mark.parametrize("change", [changes.LEAVE, changes.REMOVAL], ids=str)
@pytest.mark.parametrize("taken", [0, 1])
def test_a_stalled_fit_in_sees_what_was_withdrawn(
    run: Run[Any], db: Db, admin: Person, first_wired: Wired, change: Change, taken: int
) -> None:
    """It is stopped before each of its commands in turn; meanwhile its time is withdrawn."""
    early, late = people(run, 2)
    here, marked = first_wired.client(admin), 0
    for pause in every_pause(first_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run)
        if taken:
            booked(early.client, book.slot)
        calling = in_background(lambda at=book: here.post("/appointments", json=fit_in(at, late, 60)))
        reaches(pause, calling)
        assert change.do(admin.client, book, change.prepare(admin.client, book)).is_success
        pause.release()
        assert said(calling.result()) in {"201", "TIME_NOT_AVAILABLE"}, str(pause.command)
        check_fit_ins(db, book)
        check_marks(db)
        check_book(db)
        marked += db["appointments"].count_documents({"overbooked": True, "needs_decision.since": {"$gt": EPOCH}})
    assert marked > 0


def test_a_stalled_leave_finds_who_was_fitted_in(run: Run[Any], db: Db, admin: Person, first_wired: Wired) -> None:
    early, late = people(run, 2)
    here = first_wired.client(admin)
    for pause in every_pause(first_wired.wire):
        forget_appointments(db)
        book = make_book_of_hours(run)
        booked(early.client, book.slot)
        leaving = in_background(changes.LEAVE.do, here, book, {})
        reaches(pause, leaving)
        assert said(admin.client.post("/appointments", json=fit_in(book, late, 60))) in {"201", "TIME_NOT_AVAILABLE"}
        pause.release()
        assert leaving.result().is_success
        check_fit_ins(db, book)
        check_marks(db)
        check_book(db)


def test_the_jobs_finish_what_a_dead_process_left(run: Run[Any], db: Db, admin: Person) -> None:
    """Killed before each command in turn, while a leave was taken: then the fit-in is marked, or not there."""
    books: list[DoctorSchedule] = []
    patients = people(run, MOST_COMMANDS)
    with doomed_server() as server:
        is_under_way = True
        while is_under_way and len(books) < MOST_COMMANDS:
            book = make_book_of_hours(run)
            booked(book.patients(1)[0].client, book.slot)
            body = fit_in(book, patients[len(books)], 60)
            fitting_in = Change("fit-in", lambda client, _, wanted: client.post("/appointments", json=wanted))
            is_under_way = server.begins(fitting_in, admin, book, body)
            assert changes.LEAVE.do(admin.client, book, {}).is_success
            books.append(book)
        server.dies()
    assert 8 < len(books) < MOST_COMMANDS
    left = db["appointments"].count_documents({"recheck_at": {"$gt": EPOCH}})
    assert left > 0
    with clock.stopped(utc_now() + LEFT_AFTER):
        run(finish_withdrawals())
        assert run(finish_fit_ins()) == left
    for book in books:
        check_fit_ins(db, book)
    check_marks(db)
    check_book(db)
