"""What the caller can do with an appointment, as responses say it; and edits in the history."""

from typing import Any

from pymongo.database import Database

from tests.appointments.support import (
    HOUR,
    MINUTE,
    TEN,
    Book,
    booked,
    done,
    history_of,
    make_transition,
    refused,
    stored,
    visiting,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def actions(found: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """From when until when each action is available."""
    assert all(set(each) == {"action", "status", "from", "until"} for each in found["allowed_actions"])
    return {each["action"]: (each["from"], each["until"]) for each in found["allowed_actions"]}


def test_each_caller_gets_their_own_actions(book: Book, patient: Person, nurse: Person) -> None:
    appointment = booked(patient, book.slot())
    assert appointment["allowed_actions"] is None
    start, end = "2037-06-01T14:00:00Z", "2037-06-01T14:30:00Z"
    confirm = {"confirm": ("2037-06-01T11:00:00Z", start)}
    change = {"cancel": (None, start), "reschedule": (None, start)}
    day = {"check_in": ("2037-06-01T13:00:00Z", end), "no_show": (start, None)}
    expected = [
        (patient, {**confirm, **change}),
        (nurse, {**confirm, **change, **day}),
        (book.doctor, {"cancel": (None, start), **day}),
    ]
    for person, theirs in expected:
        found = done(person.client.get(f"/appointments/{appointment['id']}"))
        assert actions(found) == theirs


def test_a_transition_returns_what_can_be_done_next(
    book: Book, patient: Person, nurse: Person, run: Run[Any]
) -> None:
    appointment = booked(patient, book.slot())
    waiting = done(make_transition(run, nurse, appointment, "check-in", at=TEN - MINUTE))
    assert actions(waiting) == {
        **dict.fromkeys(("cancel", "reschedule", "left"), (None, None)),
        "undo_check_in": (None, "2037-06-02T14:30:00Z"),
    }
    gone = done(make_transition(run, nurse, appointment, "left", at=TEN))
    assert gone["allowed_actions"] == []


def test_an_action_that_is_over_is_not_offered(book: Book, patient: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot())
    with visiting(run, patient, TEN) as client:
        assert done(client.get(f"/appointments/{appointment['id']}"))["allowed_actions"] == []


def test_a_correction_is_offered_for_each_status(book: Book, patient: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot())
    missed = done(make_transition(run, book.doctor, appointment, "no-show", at=TEN + HOUR))
    offered = [(each["action"], each["status"]) for each in missed["allowed_actions"]]
    assert offered == [("correct", "checked_in"), ("correct", "completed")]


def test_an_edit_is_a_line_of_history_without_its_text(book: Book, patient: Person, nurse: Person, db: Db) -> None:
    appointment = booked(patient, book.slot())
    path = f"/appointments/{appointment['id']}"
    done(patient.client.patch(path, json={"reason": "My knee"}))
    edited = done(nurse.client.patch(path, json={"notes": "Limps"}))
    assert history_of(edited) == [
        ("book", "scheduled", "patient"),
        ("edit", "scheduled", "patient"),
        ("edit", "scheduled", "nurse"),
    ]
    assert edited["history"][-1]["by"] == nurse.id
    lines = str(stored(db, appointment)["history"])
    assert "knee" not in lines
    assert "Limps" not in lines


def test_an_empty_or_outdated_edit_is_no_line_of_history(book: Book, patient: Person, db: Db) -> None:
    appointment = booked(patient, book.slot())
    path = f"/appointments/{appointment['id']}"
    done(patient.client.patch(path, json={}))
    refused(patient.client.patch(path, json={"reason": "x", "version": 2}), 409, "APPOINTMENT_CHANGED")
    assert len(stored(db, appointment)["history"]) == 1


def test_a_check_in_is_undone_after_an_edit(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot())
    done(make_transition(run, patient, appointment, "confirm", at=TEN - HOUR))
    done(make_transition(run, nurse, appointment, "check-in", at=TEN - MINUTE))
    done(nurse.client.patch(f"/appointments/{appointment['id']}", json={"notes": "Wrong patient"}))
    undone = done(make_transition(run, nurse, appointment, "undo-check-in", at=TEN))
    assert undone["status"] == "confirmed"
