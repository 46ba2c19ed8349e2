"""The carrier fails in every way it can, before it has taken a message or after: none is lost, none sent twice."""

import time
from datetime import timedelta
from typing import Any

import pytest

from backend.appointments import repository
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.core.settings import settings
from backend.messaging.outbox.claim import claim_pending
from tests.emulator.client import Carrier
from tests.emulator.faults import Mode
from tests.factories import Person, Run
from tests.faults.conftest import Hand, wait_until
from tests.faults.reminders import Db, Patient, check_reminded_once, make_due
from tests.faults.sizes import LISTING_LAG, SIZE
from tests.races.support import in_background

pytestmark = pytest.mark.long

HOUR = timedelta(hours=1)
LONGEST_PAUSE = timedelta(minutes=5)

FAILURES: dict[Mode, str] = {
    "hang": "unknown",
    "hang_before_accept": "unknown",
    "500_after_accept": "unknown",
    "500_before_accept": "unknown",
    "503": "unknown",
    "drop_after_accept": "unknown",
    "refuse": "unknown",
    "429": "queued",
}
"""What we know after each, of a message."""


def statuses(db: Db, patients: list[Patient]) -> list[str]:
    """Of their messages, in this order."""
    rows = db["sms_logs"].find({"patient_id": {"$in": [patient.id for patient in patients]}})
    by_patient = {row["patient_id"]: row["status"] for row in rows}
    return [by_patient[patient.id] for patient in patients]


@pytest.fixture
def failing(run: Run[Any], db: Db, clean_carrier: Carrier) -> list[Patient]:
    """Patients whose reminders fail once, each in its own way; they are due."""
    patients = make_due(run, db, len(FAILURES))
    for patient, mode in zip(patients, FAILURES, strict=True):
        clean_carrier.faults(mode, numbers=[patient.phone], count=1)
    run(enqueue_due_reminders())
    return patients


def test_what_may_have_been_sent_is_looked_for_before_it_is_sent_again(
    db: Db, clean_carrier: Carrier, hand: Hand, failing: list[Patient]
) -> None:
    clean_carrier.callbacks(on=False)
    clean_carrier.listing_lag(LISTING_LAG)
    hand.dispatch()
    assert statuses(db, failing) == list(FAILURES.values())
    asked_for = clean_carrier.counts()["requests"]["create"]
    hand.reconcile()
    hand.dispatch()
    assert clean_carrier.counts()["requests"]["create"] == asked_for, "nothing is repeated blindly"
    hand.end_all(db)
    check_reminded_once(db, clean_carrier, failing)


def test_a_report_of_delivery_settles_what_was_unknown(
    db: Db, clean_carrier: Carrier, hand: Hand, failing: list[Patient]
) -> None:
    taken = [patient for patient, mode in zip(failing, FAILURES, strict=True) if _is_taken(mode)]
    hand.dispatch()
    clean_carrier.wait_until_quiet()
    assert set(statuses(db, taken)) == {"delivered"}
    assert "list" not in clean_carrier.counts()["requests"]
    hand.end_all(db)
    clean_carrier.wait_until_quiet()
    check_reminded_once(db, clean_carrier, failing)


def _is_taken(mode: Mode) -> bool:
    return mode in ("hang", "500_after_accept", "drop_after_accept")


def test_by_a_clock_that_jumps_no_time_has_passed(
    run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand, new_hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier lists what it took only after a while; an hour on the wall clock isn't that while."""
    patients = make_due(run, db, 8)
    unknown, slow = patients[:4], patients[4:]
    monkeypatch.setattr(settings, "SMS_TIMEOUT_SECONDS", 5)
    clean_carrier.callbacks(on=False)
    clean_carrier.listing_lag(LISTING_LAG)
    clean_carrier.faults("500_after_accept", numbers=[patient.phone for patient in unknown])
    clean_carrier.faults("slow", milliseconds=700, numbers=[patient.phone for patient in slow])
    run(enqueue_due_reminders())
    dispatching = in_background(new_hand().dispatch)
    wait_until(lambda: clean_carrier.counts()["accepted"] == len(patients))
    with clock.shifted(HOUR):
        assert hand.reconcile() == 0
        assert hand.dispatch() == 0
        assert statuses(db, slow) == ["unknown"] * 4, "by this clock their leases have lapsed"
        dispatching.result()
        assert statuses(db, slow) == ["sent"] * 4
        hand.end_all(db)
    check_reminded_once(db, clean_carrier, patients)


def test_a_carrier_that_is_away_gets_everything_once_when_it_is_back(
    run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand
) -> None:
    patients = make_due(run, db, 12)
    clean_carrier.faults("slow", milliseconds=300, count=6)
    run(enqueue_due_reminders())
    dispatching = in_background(hand.dispatch)
    wait_until(lambda: clean_carrier.counts()["accepted"] == len(patients))
    away = max(3, SIZE.away)
    clean_carrier.away(away)  # six are still to be answered
    dispatching.result()
    late = make_due(run, db, 6, first=100)
    run(enqueue_due_reminders())
    hand.dispatch()
    assert set(statuses(db, late)) == {"queued"}, "nobody was there, so nothing was sent"
    assert hand.reconcile() == 0
    time.sleep(away)
    hand.end_all(db)
    clean_carrier.wait_until_quiet()
    check_reminded_once(db, clean_carrier, [*patients, *late])


def test_who_has_opted_out_is_called_and_gets_nothing_more(
    run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand, admin: Person
) -> None:
    patients = make_due(run, db, 3)
    clean_carrier.reply(patients[0].phone, "STOP")  # at the carrier; its webhook was lost
    run(enqueue_due_reminders())
    hand.end_all(db)
    clean_carrier.wait_until_quiet()
    check_reminded_once(db, clean_carrier, patients, patients[:1])
    listed = admin.client.get("/call-list").json()["items"]
    assert [(row["patient_id"], row["reason"]) for row in listed] == [(str(patients[0].id), "opted_out")]
    asked_for = clean_carrier.counts()["requests"]["create"]
    for row in list(db["appointments"].find({"patient_id": patients[0].id})):
        assert admin.client.post(f"/appointments/{row['_id']}/cancel").status_code == 200
    hand.end_all(db)
    assert clean_carrier.counts()["requests"]["create"] == asked_for
    kept = db["sms_logs"].find_one({"patient_id": patients[0].id, "kind": "cancelled"})
    assert kept
    assert (kept["status"], kept["skip_reason"]) == ("skipped", "opted out")


@pytest.mark.parametrize("code", [20429, 21611])
def test_a_full_queue_is_no_refusal(run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand, code: int) -> None:
    patients = make_due(run, db, 1)
    clean_carrier.faults("reject", code=code, count=1)
    run(enqueue_due_reminders())
    hand.dispatch()
    assert statuses(db, patients) == ["queued"]
    with clock.shifted(LONGEST_PAUSE):
        hand.end_all(db)
    check_reminded_once(db, clean_carrier, patients)


def test_wrong_credentials_refuse_no_message(
    run: Run[Any],
    db: Db,
    clean_carrier: Carrier,
    hand: Hand,
    monkeypatch: pytest.MonkeyPatch,
    new_hand: Any,
) -> None:
    patients = make_due(run, db, 2)
    run(enqueue_due_reminders())
    with monkeypatch.context() as wrong:
        wrong.setattr(settings, "TWILIO_AUTH_TOKEN", "0" * 32)
        new_hand().dispatch()
    assert statuses(db, patients) == ["queued"] * 2
    with clock.shifted(LONGEST_PAUSE):
        hand.end_all(db)
    check_reminded_once(db, clean_carrier, patients)


def test_however_often_a_message_was_put_back_the_pause_is_minutes(
    run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand
) -> None:
    patients = make_due(run, db, 1)
    clean_carrier.faults("429", count=1)
    run(enqueue_due_reminders())
    run(_queue())
    db["sms_logs"].update_one({"patient_id": patients[0].id}, {"$set": {"attempts": 5000}})
    hand.dispatch()
    assert statuses(db, patients) == ["queued"]
    with clock.shifted(LONGEST_PAUSE):
        hand.dispatch()
    assert len(clean_carrier.messages()) == 1


async def _queue() -> None:
    """Takes over what is owed, and claims none of it."""
    claimed = await claim_pending(0, is_real=True)
    await repository.remove_pending_messages(claimed.appointments)


def test_a_message_that_can_not_be_made_holds_up_no_other(
    run: Run[Any], db: Db, clean_carrier: Carrier, hand: Hand, expected_errors: Any
) -> None:
    patients = make_due(run, db, 3)
    db["appointments"].update_one({"patient_id": patients[0].id}, {"$unset": {"doctor_name": ""}})
    run(enqueue_due_reminders())
    hand.dispatch()
    assert statuses(db, patients) == ["queued", "sent", "sent"]
    assert all("could not be made" in line for line in expected_errors())
    db["appointments"].update_one({"patient_id": patients[0].id}, {"$set": {"doctor_name": "Doctor"}})
    with clock.shifted(LONGEST_PAUSE):
        hand.dispatch()
    clean_carrier.wait_until_quiet()
    check_reminded_once(db, clean_carrier, patients)


def test_one_slow_answer_holds_up_no_other_message(
    run: Run[Any], db: Db, clean_carrier: Carrier, monkeypatch: pytest.MonkeyPatch, new_outbox: Any
) -> None:
    slow, quick = make_due(run, db, 1), make_due(run, db, 1, first=100)
    monkeypatch.setattr(settings, "SMS_TIMEOUT_SECONDS", 5)
    clean_carrier.callbacks(on=False)
    clean_carrier.faults("slow", milliseconds=2000, numbers=[slow[0].phone])
    db["appointments"].update_one({"patient_id": quick[0].id}, {"$unset": {"remind_at": ""}})
    with new_outbox() as outbox:
        run(enqueue_due_reminders())
        run(outbox.wake())
        wait_until(lambda: clean_carrier.counts()["accepted"] == 1)
        db["appointments"].update_one({"patient_id": quick[0].id}, {"$set": {"remind_at": clock.utc_now()}})
        run(enqueue_due_reminders())
        run(outbox.wake())
        wait_until(lambda: clean_carrier.counts()["accepted"] == 2, seconds=1)
        assert statuses(db, slow) == ["sending"]
    assert statuses(db, slow) == ["sent"], "at the end it was waited for"
