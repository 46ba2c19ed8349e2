"""Reports of delivery: in any order, repeated, early, of nobody's message; and what follows for patient and staff."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from backend.appointments.documents import Appointment
from backend.core import clock
from tests.contract.hostile.support import nothing_changes
from tests.messaging import scenes
from tests.messaging.asked import THREE, Desk
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, Db
from tests.messaging.signed import new_sid, reply, report, sms_form, status_form

CODES = {"undelivered": 30003, "failed": 30005}
ORDERS = list(permutations(("queued", "sent", "delivered", "undelivered")))
NO_RETURN = ("delivered", "undelivered", "failed")


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    """A clinic."""
    return Desk.open(network, db)


def tell(base_url: str, log: dict[str, Any], *says: str, by_attempt: bool = True, at: Any = NOON) -> None:
    """The carrier reports these, one after the other."""
    attempt = log["attempt_id"] if by_attempt else None
    with clock.stopped(at + MINUTE):
        for each in says:
            report(base_url, status_form(log["twilio_sid"], each, CODES.get(each)), attempt=attempt)


def fate(desk: Desk, asked: Appointment) -> tuple[Any, ...]:
    """Of the reminder: its status, the error; whether silence cancels, and what the staff's list says."""
    log, now = desk.reminder(asked), desk.again(asked)
    on_list = [call_reason for call_reason, appointment_id in desk.list_() if appointment_id == asked.id]
    return log["status"], log.get("error_code"), now.auto_cancel_at is not None, on_list


def leave_in_doubt(desk: Desk, asked: Appointment, *, status: str, due: str) -> dict[str, Any]:
    """The process that posts the reminder dies before it has heard the answer. The reminder as it would have been."""
    log = desk.reminder(asked)
    in_doubt = {"$set": {"status": status, due: NOON + HOUR}, "$unset": {"twilio_sid": "", "sent_at": ""}}
    desk.db["sms_logs"].update_one({"_id": log["_id"]}, in_doubt)
    desk.db["appointments"].update_one(
        {"_id": asked.id}, {"$unset": {"confirmation_requested_at": "", "auto_cancel_at": ""}}
    )
    return log


SENT = ("sent", None, True, [])
DELIVERED = ("delivered", None, True, [])
UNDELIVERED = ("undelivered", 30003, False, ["undelivered"])
ENDS = {"sent": SENT, "delivered": DELIVERED, "undelivered": UNDELIVERED}


def first_final(says: Sequence[str]) -> tuple[Any, ...]:
    """What the first report decides that there is no way back from."""
    return ENDS[next((each for each in says if each in NO_RETURN), "sent")]


@pytest.mark.long
@pytest.mark.parametrize("repeats", [1, 2])
def test_reports_in_any_order_end_where_the_first_final_one_says(repeats: int, desk: Desk, base_url: str) -> None:
    everybody = scenes.all_asked(desk, len(ORDERS))
    assert {fate(desk, scene.appointments[0]) == SENT for scene in everybody} == {True}
    for number, (scene, says) in enumerate(zip(everybody, ORDERS, strict=True)):
        (asked,) = scene.appointments
        told = [each for each in says for _ in range(repeats)]
        tell(base_url, desk.reminder(asked), *told, by_attempt=number % 2 == 0)
        assert fate(desk, asked) == first_final(says), says


@pytest.mark.long
def test_reports_that_come_before_the_answer_to_the_post_count_just_as_well(desk: Desk, within_reach: None) -> None:
    users = [desk.patient() for _ in ORDERS]
    booked = desk.book_all(users)
    with clock.stopped(NOON - HOUR):
        desk.send()
    for user, says in zip(users, ORDERS, strict=True):
        desk.network.reports_early(user.phone or "", *says, error_code=CODES["undelivered"])
    desk.ask()
    told = [each["answer"] for each in desk.network.emulator.reports()]
    assert told == [204] * len(ORDERS) * len(ORDERS[0])
    for says, asked in zip(ORDERS, booked, strict=True):
        assert fate(desk, asked) == first_final(says), says
        assert desk.reminder(asked)["twilio_sid"]


def test_twenty_reports_at_once_are_one(desk: Desk, db: Db, base_url: str) -> None:
    scene = scenes.asked(desk)
    log = desk.reminder(scene.appointments[0])
    form = status_form(log["twilio_sid"], "undelivered", 30003)
    with clock.stopped(scene.at), ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: report(base_url, form, attempt=log["attempt_id"]), range(20)))
    assert fate(desk, scene.appointments[0]) == UNDELIVERED


def test_the_first_error_stays(desk: Desk, base_url: str) -> None:
    (asked,) = scenes.asked(desk).appointments
    tell(base_url, desk.reminder(asked), "undelivered", "failed")
    assert fate(desk, asked) == UNDELIVERED


def test_a_report_without_a_code_or_with_one_that_is_no_number_is_taken(desk: Desk, base_url: str) -> None:
    for scene, code in zip(scenes.all_asked(desk, 4), ["", "x", "²", "9" * 50], strict=True):
        (asked,) = scene.appointments
        form = status_form(desk.reminder(asked)["twilio_sid"], "undelivered", ErrorCode=code)
        with clock.stopped(NOON):
            report(base_url, form)
        assert fate(desk, asked) == ("undelivered", None, False, ["undelivered"])


@pytest.mark.parametrize("says", ["read", "partially_delivered"])
def test_what_else_means_delivered(says: str, desk: Desk, base_url: str) -> None:
    (asked,) = scenes.asked(desk).appointments
    tell(base_url, desk.reminder(asked), says, "undelivered")
    assert fate(desk, asked) == DELIVERED


def test_reports_of_nobodys_message_change_nothing(desk: Desk, db: Db, base_url: str) -> None:
    mine, other = (scene.appointments[0] for scene in scenes.all_asked(desk, 2))
    with clock.stopped(NOON):
        reply(base_url, "+12125559999", "hello", sid=(inbound := new_sid()))
    log, others_sid = desk.reminder(mine), desk.reminder(other)["twilio_sid"]
    with nothing_changes(db):
        for says in ("sent", "delivered", "undelivered", "failed", "canceled", "", "nonsense"):
            for code in (None, 30003, 21610):
                report(base_url, status_form(new_sid(), says, code))
                report(base_url, status_form(new_sid(), says, code), attempt="f" * 32)
                report(base_url, status_form(inbound, says, code))
                # Of another message than the one that this attempt became.
                report(base_url, status_form(new_sid(), says, code), attempt=log["attempt_id"])
                report(base_url, status_form(others_sid, says, code), attempt=log["attempt_id"])
        for says in ("", "nonsense", "Delivered", "undelivered "):
            report(base_url, status_form(log["twilio_sid"], says, 30003), attempt=log["attempt_id"])


def test_who_has_opted_out_at_the_carrier_gets_nothing_more_and_is_called(desk: Desk, db: Db, base_url: str) -> None:
    scene = scenes.asked_and_another_ahead(desk)
    today, tomorrow = scene.appointments
    assert scene.user
    with clock.stopped(scene.at):
        log = desk.reminder(today)
        report(base_url, status_form(log["twilio_sid"], "undelivered", 21610), attempt=log["attempt_id"])
    assert desk.has_opted_out(scene.phone)
    assert fate(desk, today) == ("undelivered", 21610, False, ["opted_out"])
    desk.ask(NOON + DAY)
    assert desk.reminder(tomorrow)["status"] == "skipped"
    assert ("opted_out", tomorrow.id) in desk.list_()
    assert desk.again(tomorrow).auto_cancel_at is None
    assert len(desk.network.texts(scene.phone)) == 3  # two bookings and one reminder


def test_a_doctor_who_has_opted_out_is_nothing_to_the_patient(desk: Desk, db: Db, base_url: str) -> None:
    desk.change(desk.doctor.user, phone="+12125550111")
    scene = scenes.confirmed_by_staff(desk)
    with clock.stopped(scene.at):
        desk.send()
        log = db["sms_logs"].find_one({"kind": "confirmed"}) or {}
        report(base_url, status_form(log["twilio_sid"], "undelivered", 21610))
    assert desk.has_opted_out("+12125550111")
    assert scene.user
    assert not desk.has_opted_out(scene.phone)
    assert desk.again(scene.appointments[0]).confirmation_undelivered is None
    assert desk.list_() == []


def test_a_late_report_after_start_does_not_set_the_deadline_of_what_never_arrived(desk: Desk, base_url: str) -> None:
    scene = scenes.asked(desk)
    (asked,) = scene.appointments
    log = leave_in_doubt(desk, asked, status="sending", due="claimed_until")
    tell(base_url, log, "undelivered")
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "START")
    tell(base_url, log, "sent", at=scene.at)
    assert fate(desk, asked) == UNDELIVERED


@pytest.mark.parametrize(("kind", "on_list"), [("booked", []), ("cancelled", ["undelivered"])])
def test_only_what_a_patient_has_to_know_is_on_the_list(
    kind: str, on_list: list[str], desk: Desk, db: Db, base_url: str
) -> None:
    scene = scenes.cancelled_by_staff(desk)
    with clock.stopped(scene.at):
        desk.send()
    log = db["sms_logs"].find_one({"kind": kind, "recipient": "patient"}) or {}
    tell(base_url, log, "undelivered")
    assert [call_reason for call_reason, _ in desk.list_()] == on_list


def test_a_report_of_the_old_time_does_not_touch_the_new(desk: Desk, base_url: str) -> None:
    scene = scenes.asked(desk)
    (asked,) = scene.appointments
    old = desk.reminder(asked)
    desk.move(asked, THREE + 4 * HOUR)
    desk.ask(NOON + 4 * HOUR)
    deadline = desk.again(asked).auto_cancel_at
    assert deadline
    tell(base_url, old, "undelivered")
    assert desk.again(asked).auto_cancel_at == deadline
    assert desk.again(asked).confirmation_undelivered is None


def test_a_late_report_leaves_what_the_patient_has_said(desk: Desk, base_url: str) -> None:
    scene = scenes.asked(desk)
    (asked,) = scene.appointments
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "1")
    tell(base_url, desk.reminder(asked), "undelivered", at=scene.at)
    now = desk.again(asked)
    assert (now.status.value, now.auto_cancel_at) == ("confirmed", None)


@pytest.mark.parametrize("status", ["sending", "unknown", "queued"])
@pytest.mark.parametrize(
    ("says", "expected"), [("sent", SENT), ("delivered", DELIVERED), ("undelivered", UNDELIVERED)]
)
def test_a_report_settles_a_message_in_doubt_for_good(
    status: str, says: str, expected: tuple[Any, ...], desk: Desk, db: Db, base_url: str
) -> None:
    """Its process has died over it; or it was put back into the queue, for the carrier didn't list it."""
    scene = scenes.asked(desk)
    (asked,) = scene.appointments
    due = {"sending": "claimed_until", "unknown": "reconcile_at", "queued": "not_before"}[status]
    log = leave_in_doubt(desk, asked, status=status, due=due)
    tell(base_url, log, says)
    assert fate(desk, asked) == expected
    after = desk.reminder(asked)
    assert after["twilio_sid"] == log["twilio_sid"]
    assert not {"not_before", "reconcile_at", "claimed_until"} & set(after)
    posted = len(desk.network.taken)
    with clock.stopped(NOON + 2 * HOUR):
        desk.send()
    assert len(desk.network.taken) == posted


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (None, SENT),
        (21211, ("failed", 21211, False, ["refused"])),
        (21610, ("failed", 21610, False, ["opted_out"])),
    ],
)
def test_the_error_of_an_earlier_attempt_does_not_hide_the_last_ones(
    then: int | None, expected: tuple[Any, ...], desk: Desk
) -> None:
    user = desk.patient()
    asked = desk.book(user)
    assert user.phone
    desk.network.is_too_busy(user.phone)
    desk.ask()
    assert (desk.reminder(asked)["status"], desk.reminder(asked)["error_code"]) == ("queued", 20429)
    desk.network.forgives()
    if then:
        desk.network.refuses(user.phone, then)
    with clock.stopped(NOON + MINUTE):
        desk.send()
    assert fate(desk, asked) == expected


def test_a_reply_in_the_form_of_a_report_is_none(desk: Desk, db: Db, base_url: str) -> None:
    """The two webhooks are signed with one key: what was posted to one means nothing to the other."""
    scene = scenes.asked(desk)
    log = desk.reminder(scene.appointments[0])
    with clock.stopped(scene.at):
        report(base_url, {**sms_form(scene.phone, "2", sid=log["twilio_sid"]), "MessageStatus": "received"})
    assert fate(desk, scene.appointments[0]) == SENT
