"""A list that stays: what withdraws time marks the appointments that it hits, until a person has decided."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.accounts.profiles import WEEK, HoursBlock
from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.directory.documents import Clinic
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.decisions.withdrawals import ABANDONED, begin, settle
from backend.scheduling.directory_changes import finish_withdrawals
from backend.scheduling.documents import Leave
from backend.scheduling.hours.repository import delete_leave, insert_leave
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    TEN,
    Book,
    booked,
    done,
    history_of,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    stored,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
Row = dict[str, Any]

THEN = {"start": TEN.isoformat(), "end": (TEN + HOUR).isoformat()}


@pytest.fixture
def appointment(book: Book, patient: Person) -> Row:
    """The patient's, on Monday at ten."""
    return booked(patient, book.slot())


@pytest.fixture
def later(book: Book) -> Row:
    """Another patient's, out of the way of what withdraws the time at ten."""
    (other,) = make_patients(book.run, 1)
    return booked(other, book.slot(TEN + 4 * HOUR))


def undecided(person: Person, **params: Any) -> list[str]:
    """The ids in the list of what needs a decision."""
    params = {"needs_decision": True, **params}
    return [row["id"] for row in done(person.client.get("/appointments", params=params))["items"]]


def causes(person: Person, appointment: Row) -> list[tuple[str, str | None]]:
    """Kind and id of what withdrew an appointment's time."""
    found = done(person.client.get(f"/appointments/{appointment['id']}"))
    return [(cause["kind"], cause["id"]) for cause in found["needs_decision"] or []]


def take_leave(person: Person, doctor: Person, **span: str) -> str:
    """The id of a new leave, at ten for an hour unless the span says otherwise."""
    found: str = done(person.client.post(f"/doctors/{doctor.id}/leaves", json={**THEN, **span}), 201)["id"]
    return found


def _leave(book: Book, admin: Person, _: Row) -> str:
    return take_leave(admin, book.doctor)


def _closure(book: Book, admin: Person, _: Row) -> str:
    made = done(admin.client.post(f"/clinics/{book.clinic.id}/closures", json=THEN), 201)
    return str(made["id"])


def _slot(_: Book, admin: Person, appointment: Row) -> str:
    done(admin.client.delete(f"/slots/{appointment['slot_id']}"))
    return str(appointment["slot_id"])


def _doctor(book: Book, admin: Person, _: Row) -> str:
    done(admin.client.delete(f"/doctors/{book.doctor.id}"))
    return book.doctor.id


def _clinic(book: Book, admin: Person, _: Row) -> str:
    done(admin.client.delete(f"/clinics/{book.clinic.id}"))
    return str(book.clinic.id)


Withdraw = Callable[[Book, Person, Row], str]
WITHDRAWALS: list[tuple[str, Withdraw]] = [
    ("leave", _leave),
    ("closure", _closure),
    ("slot", _slot),
    ("doctor", _doctor),
    ("clinic", _clinic),
]


@pytest.mark.parametrize(("kind", "withdraw"), WITHDRAWALS)
def test_what_withdraws_time_marks_what_it_hits(
    book: Book, appointment: Row, later: Row, admin: Person, db: Db, kind: str, withdraw: Withdraw
) -> None:
    cause_id = withdraw(book, admin, appointment)
    assert causes(admin, appointment) == [(kind, cause_id)]
    assert (causes(admin, later) != []) == (kind in ("doctor", "clinic"))
    expected = [appointment["id"], later["id"]] if kind in ("doctor", "clinic") else [appointment["id"]]
    assert undecided(admin) == expected
    (row,) = done(admin.client.get("/appointments", params={"needs_decision": True, "to": "2037-06-01T15:00:00Z"}))[
        "items"
    ]
    assert row["needs_decision"] == [{"kind": kind, "id": cause_id, "since": "2037-06-01T10:00:00Z"}]
    assert (row["status"], row["version"]) == ("scheduled", 2)
    assert db["withdrawals"].count_documents({}, hint="_id_") == 0


def weekly(book: Book, *days: str) -> dict[str, Any]:
    """A week with an hour at ten on these days."""
    block = {"clinic_id": str(book.clinic.id), "start": "10:00", "end": "11:00"}
    return {"hours": [{**block, "weekday": day} for day in days]}


@pytest.fixture
def with_hours(run: Run[Any], clinic: Clinic) -> Book:
    """The book of a doctor with an hour at ten on every day."""
    block = {"clinic_id": clinic.clinic_id, "start": "10:00", "end": "11:00", "slot_minutes": 30}
    doctor = factories.make_doctor(run, clinic, weekly_hours=[HoursBlock(**block, weekday=day) for day in WEEK])
    run(reconcile(doctor.object_id))
    return Book(run=run, clinic=clinic, doctor=doctor)


@pytest.fixture
def usual(with_hours: Book, patient: Person) -> Row:
    """The patient's appointment on Monday at ten, in the weekly hours."""
    params = {"doctor_id": with_hours.doctor.id}
    slot = done(patient.client.get("/slots", params=params))["items"][0]
    return done(patient.client.post("/appointments", json={"slot_id": slot["id"]}), 201)


def set_hours(admin: Person, book: Book, *days: str) -> Row:
    """Sets the hours to these days; the report."""
    report: Row = done(admin.client.put(f"/doctors/{book.doctor.id}/working-hours", json=weekly(book, *days)))[
        "report"
    ]
    return report


def test_changed_hours_mark_what_no_longer_fits_until_they_fit_again(
    with_hours: Book, usual: Row, admin: Person
) -> None:
    report = set_hours(admin, with_hours, "friday")
    assert [row["appointment_id"] for row in report["appointments"]] == [usual["id"]]
    assert causes(admin, usual) == [("hours", None)]
    set_hours(admin, with_hours, "thursday")
    assert causes(admin, usual) == [("hours", None)]
    set_hours(admin, with_hours, *WEEK)
    assert (causes(admin, usual), undecided(admin)) == ([], [])


def test_what_was_kept_is_not_marked_by_the_next_change_of_hours(with_hours: Book, usual: Row, admin: Person) -> None:
    set_hours(admin, with_hours, "friday")
    done(admin.client.post(f"/appointments/{usual['id']}/keep"))
    set_hours(admin, with_hours, "thursday")
    assert undecided(admin) == []
    leave = take_leave(admin, with_hours.doctor)
    assert causes(admin, usual) == [("leave", leave)]


def test_changed_opening_hours_mark_too(with_hours: Book, usual: Row, admin: Person) -> None:
    hours = [{"weekday": day, "opens": "12:00", "closes": "20:00"} for day in WEEK]
    done(admin.client.patch(f"/clinics/{with_hours.clinic.id}", json={"opening_hours": hours}))
    assert causes(admin, usual) == [("hours", None)]


def test_a_removed_slot_that_comes_back_clears_its_mark(with_hours: Book, usual: Row, admin: Person) -> None:
    done(admin.client.delete(f"/slots/{usual['slot_id']}"))
    assert causes(admin, usual) == [("slot", usual["slot_id"])]
    days = {"first_day": "2037-06-01", "last_day": "2037-06-01"}
    whose = {"doctor_id": with_hours.doctor.id, "clinic_id": str(with_hours.clinic.id)}
    done(admin.client.post("/slots/generate", json={**whose, **days}))
    assert causes(admin, usual) == []


@pytest.mark.parametrize("kind", ["leave", "closure"])
def test_what_is_taken_back_before_anybody_decided_clears_its_marks(
    book: Book, appointment: Row, admin: Person, db: Db, kind: str
) -> None:
    doctor, clinic = f"/doctors/{book.doctor.id}", f"/clinics/{book.clinic.id}"
    leave, closure = take_leave(admin, book.doctor), _closure(book, admin, appointment)
    assert causes(admin, appointment) == [("leave", leave), ("closure", closure)]
    gone, rest = (f"{doctor}/leaves/{leave}", [("closure", closure)])
    if kind == "closure":
        gone, rest = f"{clinic}/closures/{closure}", [("leave", leave)]
    done(admin.client.delete(gone))
    assert causes(admin, appointment) == rest
    assert undecided(admin) == [appointment["id"]]
    done(admin.client.delete(f"{doctor}/leaves/{leave}" if kind == "closure" else f"{clinic}/closures/{closure}"))
    assert (causes(admin, appointment), undecided(admin)) == ([], [])
    assert db["withdrawals"].count_documents({}, hint="_id_") == 0


def test_whoever_is_active_again_has_nothing_to_decide(book: Book, appointment: Row, admin: Person) -> None:
    for path in (f"/doctors/{book.doctor.id}", f"/clinics/{book.clinic.id}"):
        done(admin.client.delete(path))
        assert undecided(admin) == [appointment["id"]]
        done(admin.client.patch(path, json={"is_active": True}))
        assert undecided(admin) == []


@pytest.mark.parametrize("decision", ["keep", "cancel", "reschedule"])
def test_a_decision_clears_the_mark(
    book: Book, appointment: Row, nurse: Person, run: Run[Any], db: Db, decision: str
) -> None:
    target = book.slot(TEN + 6 * HOUR)
    take_leave(nurse, book.doctor)
    messages = pending_messages(db, appointment)
    body = {"slot_id": str(target.id)} if decision == "reschedule" else {}
    decided = done(make_transition(run, nurse, appointment, decision, at=NOW, **body))
    assert decided["needs_decision"] in (None, [])
    assert undecided(nurse) == []
    status = {"keep": "scheduled", "cancel": "cancelled", "reschedule": "scheduled"}[decision]
    assert history_of(decided)[-1] == (decision, status, "nurse")
    assert (pending_messages(db, appointment) == messages) == (decision == "keep")
    refused(make_transition(run, nurse, appointment, "keep"), 409, "NO_DECISION_NEEDED")


def test_what_was_kept_is_kept_when_the_same_leave_is_settled_again(
    book: Book, appointment: Row, nurse: Person, run: Run[Any]
) -> None:
    leave = take_leave(nurse, book.doctor)
    done(nurse.client.post(f"/appointments/{appointment['id']}/keep"))
    again = begin(CauseKind.LEAVE, subject=PydanticObjectId(leave), doctor_id=book.doctor.object_id)
    run(settle(run(again)))
    assert undecided(nurse) == []


def test_an_appointment_that_ends_needs_no_decision(
    book: Book, appointment: Row, nurse: Person, run: Run[Any]
) -> None:
    take_leave(nurse, book.doctor)
    done(make_transition(run, nurse, appointment, "check-in", at=TEN - MINUTE))
    assert undecided(nurse) == [appointment["id"]]
    done(make_transition(run, nurse, appointment, "left", at=TEN))
    assert undecided(nurse) == []


def test_the_waiting_room_is_marked_when_the_doctor_falls_ill(
    book: Book, appointment: Row, nurse: Person, run: Run[Any]
) -> None:
    done(make_transition(run, nurse, appointment, "check-in", at=TEN - MINUTE))
    with visiting(run, nurse, TEN + 5 * MINUTE) as client:
        done(client.post(f"/doctors/{book.doctor.id}/leaves", json=THEN), 201)
    assert undecided(nurse) == [appointment["id"]]


def test_a_visit_that_is_over_is_not_marked(book: Book, appointment: Row, nurse: Person, run: Run[Any]) -> None:
    done(make_transition(run, nurse, appointment, "check-in", at=TEN - MINUTE))
    with visiting(run, nurse, TEN + 45 * MINUTE) as client:
        made = done(client.post(f"/doctors/{book.doctor.id}/leaves", json=THEN), 201)
    assert [row["appointment_id"] for row in made["report"]["appointments"]] == [appointment["id"]]
    assert undecided(nurse) == []


def run_jobs(run: Run[Any], at: datetime) -> int:
    """Runs the job that marks no-shows; how many it marked."""
    with clock.stopped(at):
        marked: int = run(mark_no_shows())
    return marked


@pytest.mark.parametrize(("kind", "withdraw"), WITHDRAWALS)
def test_what_the_clinic_called_off_is_nobodys_no_show(
    book: Book, appointment: Row, admin: Person, run: Run[Any], db: Db, kind: str, withdraw: Withdraw
) -> None:
    withdraw(book, admin, appointment)
    assert run_jobs(run, TEN + HOUR) == 0
    refused(make_transition(run, admin, appointment, "no-show", at=TEN + HOUR), 409, "DECISION_NEEDED")
    assert pending_messages(db, appointment) == [("booked", "patient", 0)]
    # The start has passed, and it can still be decided.
    found = done(make_transition(run, admin, appointment, "keep", at=TEN + HOUR))
    assert found["status"] == "scheduled"
    assert run_jobs(run, TEN + HOUR) == 1


@pytest.mark.parametrize("decision", ["cancel", "reschedule"])
def test_staff_decide_after_the_start_too(
    book: Book, appointment: Row, nurse: Person, patient: Person, run: Run[Any], decision: str
) -> None:
    target = book.slot(TEN + DAY)
    take_leave(nurse, book.doctor)
    body = {"slot_id": str(target.id)} if decision == "reschedule" else {}
    refused(make_transition(run, patient, appointment, decision, at=TEN + DAY - HOUR, **body), 409, "TOO_LATE")
    done(make_transition(run, nurse, appointment, decision, at=TEN + DAY - HOUR, **body))


def test_a_kept_visit_is_reminded_of_although_the_leave_stays(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    start = TEN + DAY + 4 * HOUR
    appointment = booked(patient, book.slot(start))
    take_leave(nurse, book.doctor, start=start.isoformat(), end=(start + HOUR).isoformat())
    with clock.stopped(start - DAY):
        run(enqueue_due_reminders())
    assert pending_messages(db, appointment) == [("booked", "patient", 0)]
    done(nurse.client.post(f"/appointments/{appointment['id']}/keep"))
    with clock.stopped(start - 2 * HOUR):
        run(enqueue_due_reminders())
    assert pending_messages(db, appointment)[1:] == [("reminder", "patient", 0)]


def test_the_mark_makes_what_was_read_before_outdated(
    book: Book, appointment: Row, nurse: Person, run: Run[Any]
) -> None:
    take_leave(nurse, book.doctor)
    answer = make_transition(run, nurse, appointment, "cancel", version=appointment["version"])
    refused(answer, 409, "APPOINTMENT_CHANGED")


def test_the_list_is_the_staffs_and_scoped(
    book: Book, appointment: Row, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    take_leave(nurse, book.doctor)
    other_clinic = factories.make_clinic(run)
    assert undecided(book.doctor) == [appointment["id"]]
    assert undecided(factories.make_nurse(run, other_clinic)) == []
    assert undecided(nurse, doctor_id=book.doctor.id, status="scheduled") == [appointment["id"]]
    refused(patient.client.get("/appointments", params={"needs_decision": True}), 403, "NOT_ALLOWED")
    for found in (
        done(patient.client.get(f"/appointments/{appointment['id']}")),
        done(patient.client.get("/appointments"))["items"][0],
    ):
        assert found["needs_decision"] is None
    refused(patient.client.post(f"/appointments/{appointment['id']}/keep"), 403, "NOT_ALLOWED")


def test_allowed_actions_say_what_can_be_decided(book: Book, appointment: Row, nurse: Person) -> None:
    take_leave(nurse, book.doctor)
    found = done(nurse.client.get(f"/appointments/{appointment['id']}"))
    offered = {each["action"]: (each["from"], each["until"]) for each in found["allowed_actions"]}
    assert {"keep", "cancel", "reschedule"} <= set(offered)
    assert "no_show" not in offered
    assert offered["keep"] == offered["cancel"] == offered["reschedule"] == (None, None)


# A process that dies


def stored_leave(book: Book) -> Leave:
    """A leave at ten, written as the process had it before it died."""
    leave = Leave(doctor_id=book.doctor.object_id, start=TEN, end=TEN + HOUR, created_by=book.doctor.object_id)
    book.run(insert_leave(leave))
    return leave


def finish(book: Book) -> int:
    """Runs the job when the withdrawal has been left alone for long enough."""
    assert book.run(finish_withdrawals()) == 0
    with clock.stopped(NOW + ABANDONED):
        finished: int = book.run(finish_withdrawals())
    return finished


@pytest.mark.parametrize("died", ["before the leave", "after the leave", "after the slots", "after the marks"])
def test_a_withdrawal_whose_process_died_is_finished(
    book: Book, appointment: Row, nurse: Person, db: Db, died: str
) -> None:
    leave = Leave(doctor_id=book.doctor.object_id, start=TEN, end=TEN + HOUR, created_by=book.doctor.object_id)
    withdrawal = book.run(begin(CauseKind.LEAVE, subject=leave.id, doctor_id=book.doctor.object_id))
    if died != "before the leave":
        book.run(insert_leave(leave))
    if died in ("after the slots", "after the marks"):
        book.run(reconcile(book.doctor.object_id))
    if died == "after the marks":
        book.run(settle(withdrawal))
        book.run(withdrawal.insert())
    assert finish(book) == 1
    assert causes(nurse, appointment) == ([] if died == "before the leave" else [("leave", str(leave.id))])
    assert stored(db, appointment)["version"] == (1 if died == "before the leave" else 2)
    slot = db["slots"].find_one({"_id": PydanticObjectId(appointment["slot_id"])})
    assert slot is not None
    assert slot["state"] == ("open" if died == "before the leave" else "closed")
    assert finish(book) == 0


def test_a_leave_whose_deletion_died_is_cleared(book: Book, appointment: Row, nurse: Person) -> None:
    leave = take_leave(nurse, book.doctor)
    whose = {"subject": PydanticObjectId(leave), "doctor_id": book.doctor.object_id}
    book.run(begin(CauseKind.LEAVE, **whose))
    book.run(delete_leave(whose["subject"], doctor_id=whose["doctor_id"]))
    assert causes(nurse, appointment) == [("leave", leave)]
    assert finish(book) == 1
    assert causes(nurse, appointment) == []


def test_an_unmarked_leave_sends_nobody_we_missed_you(book: Book, appointment: Row, run: Run[Any]) -> None:
    stored_leave(book)  # its process has died, and the job hasn't run
    assert run_jobs(run, TEN + HOUR) == 0
