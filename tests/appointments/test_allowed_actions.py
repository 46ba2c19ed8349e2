"""What the caller can do with an appointment, as responses say it; and edits in the history."""

from typing import Any

import httpx
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.appointments.documents import TransitionName
from backend.directory.documents import Clinic, Policy
from tests.appointments.support import (
    HOUR,
    MINUTE,
    MS,
    TEN,
    Book,
    booked,
    done,
    history_of,
    instant,
    make_transition,
    refused,
    stored,
    visiting,
)
from tests.appointments.visits import visit_type
from tests.directory.support import made
from tests.factories import Person, Run, make_clinic, make_user

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


def listed(client: httpx.Client, path: str = "/appointments", **params: Any) -> dict[str, Any]:
    """What a list says can be done with each appointment, by id."""
    rows = done(client.get(path, params={"include": "allowed_actions", "limit": 100, **params}))["items"]
    return {row["id"]: row["allowed_actions"] for row in rows}


def test_a_list_says_of_each_what_the_appointment_says(
    book: Book, patient: Person, nurse: Person, admin: Person, clinic: Clinic, run: Run[Any], db: Db
) -> None:
    other = Book(run=run, clinic=make_clinic(run, policy=Policy(check_in_window_minutes=600)), doctor=book.doctor)
    db["users"].update_one({"_id": book.doctor.user.id}, {"$addToSet": {"doctor.clinic_ids": other.clinic.id}})
    kind = visit_type(book, 30, cancellation_notice_minutes=120)
    slots = book.slots(10)
    body = {"user_id": nurse.account_id, "relation": "self"}
    visits = [booked(patient, slot) for slot in slots[:7]]
    visits.append(booked(patient, slots[7], visit_type_id=kind))
    mine = make_user(run, Role.PATIENT)
    visits.append(booked(mine, slots[8]))
    visits.append(booked(admin, other.slot(TEN + 6 * HOUR), patient_id=patient.id))
    ends = [["check-in"], ["confirm"], ["cancel"], ["check-in", "complete"], ["no-show"], ["confirm", "check-in"]]
    for visit, names in zip(visits, ends, strict=False):
        for name in names:
            at = TEN - MINUTE if name == "cancel" else instant(visit["start"])
            done(make_transition(run, admin, visit, name, at=at - (MINUTE if name == "confirm" else 0 * MINUTE)))
    done(book.doctor.client.delete(f"/slots/{slots[6].id}"))
    db["patient_links"].delete_many({"patient_id": mine.object_id})
    made(admin.client, f"/patients/{mine.id}/links", body)

    seen: set[str] = set()
    for moment in (TEN - HOUR, TEN + 3 * HOUR):
        for person in (patient, book.doctor, nurse, admin):
            with visiting(run, person, moment) as client:
                found = listed(client)
                assert found == {id: done(client.get(f"/appointments/{id}"))["allowed_actions"] for id in found}
                seen |= {each["action"] for actions in found.values() for each in actions}
                assert listed(client, f"/patients/{patient.id}/appointments").items() <= found.items()
        with visiting(run, nurse, moment) as client:
            assert listed(client)[visits[8]["id"]] == [], "a colleague's affair"
            assert list(listed(client, as_patient=True)) == [visits[8]["id"]]
    assert seen == {name.value for name in TransitionName} - {"book", "edit"}


def test_a_list_leaves_actions_out_unless_asked(book: Book, patient: Person) -> None:
    booked(patient, book.slot())
    for _ in range(2):
        (row,) = done(patient.client.get("/appointments"))["items"]
        assert row["allowed_actions"] is None
        (asked,) = done(patient.client.get("/appointments", params={"include": "allowed_actions"}))["items"]
        assert asked == {**row, "allowed_actions": asked["allowed_actions"]}
        assert set(actions(asked)) == {"confirm", "cancel", "reschedule"}
    for wrong in ("everything", "", "history"):
        refused(patient.client.get("/appointments", params={"include": wrong}), 422, "VALIDATION_ERROR")


def test_a_list_with_actions_follows_clock_and_policy(
    book: Book, nurse: Person, patient: Person, admin: Person, run: Run[Any]
) -> None:
    visit = booked(patient, book.slot())
    with visiting(run, patient, TEN - MS) as client:
        assert [each["action"] for each in listed(client)[visit["id"]]] == ["confirm", "cancel", "reschedule"]
    with visiting(run, patient, TEN) as client:
        assert listed(client) == {visit["id"]: []}
    policy = {"policy": {"confirm_window_minutes": 60}}
    assert done(patient.client.get("/appointments", params={"include": "allowed_actions"}))
    done(admin.client.patch(f"/clinics/{book.clinic.id}", json=policy))
    assert listed(patient.client)[visit["id"]][0]["from"] == "2037-06-01T13:00:00Z"


def test_patients_do_not_see_in_lists_what_needs_a_decision(book: Book, patient: Person) -> None:
    slot = book.slot()
    booked(patient, slot)
    done(book.doctor.client.delete(f"/slots/{slot.id}"))
    for params in ({}, {"include": "allowed_actions"}):
        (row,) = done(patient.client.get("/appointments", params=params))["items"]
        assert row["needs_decision"] is None


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
