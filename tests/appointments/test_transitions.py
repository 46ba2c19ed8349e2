"""Confirming, cancelling, checking in, completing and no-shows through the API: when, and what they write down."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.directory.documents import Policy
from tests import factories
from tests.appointments.support import (
    HOUR,
    MINUTE,
    MS,
    TEN,
    Book,
    at_once,
    booked,
    done,
    history_of,
    make_patients,
    make_transition,
    pending_messages,
    refused,
    stored,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
END = TEN + 30 * MINUTE


@pytest.fixture
def appointment(book: Book, patient: Person) -> dict[str, Any]:
    """The patient's, at ten o'clock, for half an hour."""
    return booked(patient, book.slot())


# The transition, who asks, when its window opens and closes (None: never), and what was done before.
WINDOWS = [
    ("confirm", "patient", TEN - 180 * MINUTE, TEN, None),
    ("confirm", "nurse", TEN - 180 * MINUTE, TEN, None),
    ("cancel", "patient", None, TEN, None),
    ("cancel", "doctor", None, TEN, None),
    ("check-in", "nurse", TEN - 60 * MINUTE, END, None),
    ("check-in", "doctor", TEN - 60 * MINUTE, END, None),
    ("complete", "doctor", TEN, None, "check-in"),
    ("no-show", "nurse", TEN, None, None),
]


@pytest.mark.parametrize(("transition", "who", "opens", "closes", "before"), WINDOWS)
def test_a_transition_keeps_its_window_to_the_millisecond(
    request: pytest.FixtureRequest,
    book: Book,
    run: Run[Any],
    transition: str,
    who: str,
    opens: datetime | None,
    closes: datetime | None,
    before: str | None,
) -> None:
    moments = [(TEN - 300 * MINUTE, 200)] if opens is None else [(opens - MS, 409), (opens, 200)]
    moments += [(TEN + 400 * HOUR, 200)] if closes is None else [(closes - MS, 200), (closes, 409)]
    slot = book.slot(capacity=len(moments))
    nurse = request.getfixturevalue("nurse")
    for patient, (moment, status) in zip(make_patients(run, len(moments)), moments, strict=True):
        appointment = booked(patient, slot)
        if before:
            done(make_transition(run, nurse, appointment, before, at=TEN - MS))
        person = patient if who == "patient" else request.getfixturevalue(who)
        answer = make_transition(run, person, appointment, transition, at=moment)
        if status == 200:
            done(answer)
        else:
            refused(answer, 409, "TOO_LATE" if moment == closes else "TOO_EARLY")
            edge = closes if moment == closes else opens
            assert datetime.fromisoformat(answer.json()["at"]) == edge
            found = done(patient.client.get(f"/appointments/{appointment['id']}"))
            assert found["version"] == (2 if before else 1)


def test_a_clinic_has_windows_of_its_own(run: Run[Any]) -> None:
    policy = Policy(confirm_window_minutes=1440, check_in_window_minutes=5)
    clinic = factories.make_clinic(run, policy=policy)
    book = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    nurse = factories.make_nurse(run, clinic)
    (patient,) = make_patients(run, 1)
    appointment = booked(patient, book.slot(TEN + 24 * HOUR))
    refused(make_transition(run, patient, appointment, "confirm", at=TEN - MS), 409, "TOO_EARLY")
    done(make_transition(run, patient, appointment, "confirm", at=TEN))
    start = TEN + 24 * HOUR
    refused(make_transition(run, nurse, appointment, "check-in", at=start - 5 * MINUTE - MS), 409, "TOO_EARLY")
    done(make_transition(run, nurse, appointment, "check-in", at=start - 5 * MINUTE))


def test_a_visit_from_booking_to_completion(
    appointment: dict[str, Any], patient: Person, nurse: Person, doctor: Person, run: Run[Any], db: Db
) -> None:
    at = {"confirm": TEN - 2 * HOUR, "check-in": TEN - 5 * MINUTE, "complete": TEN + 20 * MINUTE}
    done(make_transition(run, patient, appointment, "confirm", at=at["confirm"]))
    done(make_transition(run, nurse, appointment, "check-in", at=at["check-in"]))
    last = done(make_transition(run, doctor, appointment, "complete", at=at["complete"]))
    assert history_of(last) == [
        ("book", "scheduled", "patient"),
        ("confirm", "confirmed", "patient"),
        ("check_in", "checked_in", "nurse"),
        ("complete", "completed", "doctor"),
    ]
    assert [line["at"] for line in last["history"]] == [
        "2037-06-01T10:00:00Z",
        "2037-06-01T12:00:00Z",
        "2037-06-01T13:55:00Z",
        "2037-06-01T14:20:00Z",
    ]
    people = [patient, patient, nurse, doctor]
    assert [(line["by"], line["by_name"]) for line in last["history"]] == [
        (p.account_id, p.user.name) for p in people
    ]
    assert last["status"] == last["history"][-1]["status"] == "completed"
    assert last["version"] == 4
    assert pending_messages(db, last) == [("booked", "patient", 0), ("confirmed", "doctor", 0)]
    assert stored(db, last)["active"] is False


def test_a_cancellation_says_when_by_whom_and_why(
    appointment: dict[str, Any], patient: Person, run: Run[Any], db: Db
) -> None:
    cancelled = done(make_transition(run, patient, appointment, "cancel", at=TEN - HOUR, reason="Travelling"))
    assert cancelled["status"] == "cancelled"
    assert cancelled["cancelled_at"] == "2037-06-01T13:00:00Z"
    assert (cancelled["cancelled_by"], cancelled["cancel_reason"]) == (patient.account_id, "Travelling")
    assert cancelled["history"][-1] == {
        "transition": "cancel",
        "status": "cancelled",
        "at": "2037-06-01T13:00:00Z",
        "by": patient.account_id,
        "by_name": patient.user.name,
        "by_role": "patient",
        "reason": "Travelling",
        "start": None,
        "exempt_from": None,
        "overbook_why": None,
    }
    assert pending_messages(db, appointment)[1:] == [("cancelled_by_patient", "doctor", 0)]


def test_a_cancellation_needs_no_reason_and_no_body(appointment: dict[str, Any], patient: Person) -> None:
    cancelled = done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    assert cancelled["cancel_reason"] is None
    assert cancelled["history"][-1]["reason"] is None


@pytest.mark.parametrize("who", ["doctor", "nurse", "admin"])
def test_a_patient_gets_a_message_when_staff_cancel(
    request: pytest.FixtureRequest, appointment: dict[str, Any], run: Run[Any], db: Db, who: str
) -> None:
    done(make_transition(run, request.getfixturevalue(who), appointment, "cancel"))
    assert pending_messages(db, appointment)[1:] == [("cancelled", "patient", 0)]


def test_a_cancelled_time_is_free_at_once(
    appointment: dict[str, Any], book: Book, patient: Person, run: Run[Any], api: httpx.Client
) -> None:
    (other,) = make_patients(run, 1)
    assert done(api.get("/slots", params={"doctor_id": book.doctor.id}))["items"] == []
    done(make_transition(run, patient, appointment, "cancel"))
    (slot,) = done(api.get("/slots", params={"doctor_id": book.doctor.id}))["items"]
    assert (slot["id"], slot["free"]) == (appointment["slot_id"], 1)
    done(other.client.post("/appointments", json={"slot_id": slot["id"]}), 201)


def test_a_no_show_notifies_the_patient_and_an_unaware_doctor(
    book: Book, nurse: Person, run: Run[Any], db: Db
) -> None:
    one, two = make_patients(run, 2)
    first, second = (booked(p, slot) for p, slot in zip((one, two), book.slots(2), strict=True))
    done(make_transition(run, nurse, first, "no-show", at=TEN + HOUR))
    assert pending_messages(db, first)[1:] == [("no_show", "patient", 0), ("no_show", "doctor", 0)]
    done(make_transition(run, book.doctor, second, "no-show", at=TEN + HOUR))
    assert pending_messages(db, second)[1:] == [("no_show", "patient", 0)]


@pytest.mark.parametrize(
    "transition", ["confirm", "cancel", "check-in", "complete", "no-show", "undo-check-in", "left"]
)
@pytest.mark.parametrize("status", ["cancelled", "completed", "no_show", "left"])
def test_nothing_happens_to_an_appointment_that_is_over(
    appointment: dict[str, Any], admin: Person, run: Run[Any], status: str, transition: str
) -> None:
    ends = {"cancelled": "cancel", "completed": "complete", "no_show": "no-show", "left": "left"}
    before = [*(["check-in"] if status in ("completed", "left") else []), ends[status]]
    for earlier in before:
        done(make_transition(run, admin, appointment, earlier, at=TEN - MS if earlier == "cancel" else TEN))
    body = refused(make_transition(run, admin, appointment, transition, at=TEN), 409, "INVALID_TRANSITION")
    assert status.replace("_", " ") in body["detail"]
    found = done(admin.client.get(f"/appointments/{appointment['id']}"))
    assert (found["status"], len(found["history"])) == (status, 1 + len(before))


def test_a_visit_that_has_not_begun_is_not_completed(
    appointment: dict[str, Any], doctor: Person, run: Run[Any]
) -> None:
    refused(make_transition(run, doctor, appointment, "complete", at=TEN - HOUR), 409, "INVALID_TRANSITION")
    done(make_transition(run, doctor, appointment, "check-in", at=TEN - HOUR))
    refused(make_transition(run, doctor, appointment, "complete", at=TEN - MS), 409, "TOO_EARLY")


@pytest.mark.parametrize("transition", ["confirm", "cancel", "reschedule", "check-in", "complete", "no-show"])
def test_a_transition_applies_to_the_version_that_was_read(
    appointment: dict[str, Any], book: Book, admin: Person, run: Run[Any], transition: str
) -> None:
    body = {"slot_id": str(book.slot(TEN + HOUR).id)} if transition == "reschedule" else {}
    done(admin.client.patch(f"/appointments/{appointment['id']}", json={"reason": "Changed"}))
    if transition == "complete":
        done(make_transition(run, admin, appointment, "check-in", at=TEN))
    version = 3 if transition == "complete" else 2
    moment = TEN if transition in ("complete", "no-show") else TEN - 30 * MINUTE
    for wrong in (1, version + 1):
        answer = make_transition(run, admin, appointment, transition, at=moment, version=wrong, **body)
        refused(answer, 409, "APPOINTMENT_CHANGED")
    assert (
        done(make_transition(run, admin, appointment, transition, at=moment, version=version, **body))["version"]
        == version + 1
    )


def test_of_many_cancellations_at_once_one_succeeds(appointment: dict[str, Any], patient: Person, db: Db) -> None:
    answers = at_once(*[lambda: patient.client.post(f"/appointments/{appointment['id']}/cancel")] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    codes = {answer.json()["error_code"] for answer in answers if answer.status_code == 409}
    assert codes <= {"APPOINTMENT_CHANGED", "INVALID_TRANSITION"}
    assert len(stored(db, appointment)["history"]) == 2


def test_confirming_and_cancelling_at_once_match_the_state(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot(TEN - 2 * HOUR, capacity=8)
    for patient in make_patients(run, 8):
        appointment = booked(patient, slot)
        address = f"/appointments/{appointment['id']}"
        answers = at_once(
            lambda p=patient, a=address: p.client.post(f"{a}/confirm"),  # type: ignore[misc]
            lambda p=patient, a=address: p.client.post(f"{a}/cancel"),  # type: ignore[misc]
        )
        granted = [answer.json()["status"] for answer in answers if answer.status_code == 200]
        found = stored(db, appointment)
        assert granted
        assert found["status"] == ("cancelled" if "cancelled" in granted else "confirmed")
        assert [line["status"] for line in found["history"]][1:] == sorted(granted, reverse=True)
        assert found["version"] == 1 + len(granted)


def test_reason_and_notes_change_and_are_cleared(
    appointment: dict[str, Any], patient: Person, nurse: Person, db: Db
) -> None:
    address = f"/appointments/{appointment['id']}"
    changed = done(patient.client.patch(address, json={"reason": "Follow-up"}))
    assert (changed["reason"], changed["version"]) == ("Follow-up", 2)
    changed = done(nurse.client.patch(address, json={"notes": "Allergic to latex", "version": 2}))
    assert (changed["reason"], changed["notes"]) == ("Follow-up", "Allergic to latex")
    refused(nurse.client.patch(address, json={"notes": "Stale", "version": 2}), 409, "APPOINTMENT_CHANGED")
    changed = done(nurse.client.patch(address, json={"reason": None, "notes": None}))
    assert (changed["reason"], changed["notes"]) == (None, None)
    assert not {"reason", "notes"} & set(stored(db, appointment))
    lines = [("book", "patient"), ("edit", "patient"), ("edit", "nurse"), ("edit", "nurse")]
    assert history_of(changed) == [(name, "scheduled", role) for name, role in lines]


def test_a_change_of_nothing_changes_nothing(appointment: dict[str, Any], patient: Person, db: Db) -> None:
    before = stored(db, appointment)
    for body in ({}, {"version": 1}):
        answer = patient.client.patch(f"/appointments/{appointment['id']}", json=body)
        assert {**done(answer), "allowed_actions": None} == appointment
    assert stored(db, appointment) == before


def test_a_slot_stays_taken_while_the_patient_is_there(
    appointment: dict[str, Any], nurse: Person, run: Run[Any]
) -> None:
    done(make_transition(run, nurse, appointment, "check-in", at=TEN - 30 * MINUTE))
    (other,) = make_patients(run, 1)
    answer = other.client.post("/appointments", json={"slot_id": appointment["slot_id"]})
    refused(answer, 409, "SLOT_TAKEN")
