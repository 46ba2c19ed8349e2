"""A patient has left or died: what becomes of the appointments, and who is written to."""

from typing import Any

import pytest

from backend.core import clock
from backend.messaging.outbox.claim import claim_pending
from tests.appointments.support import HOUR, TEN, Book, booked, done, make_transition, refused, stored
from tests.factories import Person, Run


def deactivated(staff: Person, patient: Person, **params: str) -> list[tuple[str, str]]:
    """The appointments in the report: id and status."""
    report = done(staff.client.delete(f"/patients/{patient.id}", params=params))
    return [(row["id"], row["status"]) for row in report["appointments"]]


def test_the_report_lists_coming_appointments_and_changes_none(book: Book, patient: Person, nurse: Person) -> None:
    first, second = (booked(patient, slot) for slot in book.slots(2))
    assert deactivated(nurse, patient) == [(first["id"], "scheduled"), (second["id"], "scheduled")]


def test_a_dry_run_lists_them_and_deactivates_nobody(book: Book, patient: Person, nurse: Person) -> None:
    coming = booked(patient, book.slot())
    path = f"/patients/{patient.id}"
    before = done(nurse.client.get(path))

    found = deactivated(nurse, patient, reason="left", appointments="cancel", dry_run="true")

    assert found == [(coming["id"], "scheduled")]
    assert done(nurse.client.get(path)) == before
    assert done(patient.client.get(f"/appointments/{coming['id']}"))["status"] == "scheduled"
    refused(nurse.client.delete(f"/patients/{nurse.id}", params={"dry_run": "true"}), 404, "PATIENT_NOT_FOUND")


def test_coming_appointments_are_cancelled_if_asked(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Any
) -> None:
    here, coming = (booked(patient, slot) for slot in book.slots(2))
    done(make_transition(run, nurse, here, "check-in", at=TEN - HOUR))

    found = deactivated(nurse, patient, reason="left", appointments="cancel")

    assert found == [(here["id"], "checked_in"), (coming["id"], "cancelled")]
    assert stored(db, coming)["history"][-1]["by"] == nurse.object_id
    assert deactivated(nurse, patient, appointments="cancel") == [(here["id"], "checked_in")]


@pytest.mark.parametrize(("reason", "skipped"), [("deceased", True), ("left", False)])
def test_nobody_who_has_died_is_written_to(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Any, reason: str, skipped: bool
) -> None:
    booked(patient, book.slot())
    deactivated(nurse, patient, reason=reason, appointments="cancel")

    with clock.stopped(TEN - HOUR):
        run(claim_pending(10, is_real=False))

    logs = list(db.sms_logs.find({"patient_id": patient.object_id}))
    assert {log.get("skip_reason") == "the patient has died" for log in logs if log["kind"] == "cancelled"} == {
        skipped
    }
    assert not [log for log in logs if log.get("call_list") and skipped]


def test_a_patient_who_comes_back_has_no_reason(patient: Person, nurse: Person) -> None:
    deactivated(nurse, patient, reason="left")
    path = f"/patients/{patient.id}"
    assert done(nurse.client.get(path))["inactive_reason"] == "left"
    assert done(nurse.client.patch(path, json={"is_active": True}))["inactive_reason"] is None


def test_other_reasons_are_refused(patient: Person, nurse: Person) -> None:
    for params in ({"reason": "rude"}, {"appointments": "move"}, {"notify": "yes"}):
        refused(nurse.client.delete(f"/patients/{patient.id}", params=params), 422, "VALIDATION_ERROR")
    assert done(nurse.client.get(f"/patients/{patient.id}"))["is_active"] is True
