"""Opting out belongs to the number, whoever has it."""

from typing import Any

import pytest

from backend.core import clock
from tests import factories
from tests.appointments.support import done
from tests.messaging import scenes
from tests.messaging.asked import THREE, Desk
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, Db
from tests.messaging.signed import reply

NEW = "+12125550177"
UNSUBSCRIBED = 21610


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    return Desk.open(network, db)


def opted_out_by(db: Db, phone: str | None) -> str | None:
    found: dict[str, Any] = db["phone_numbers"].find_one({"_id": phone}) or {}
    return found.get("opted_out_by")


@pytest.mark.parametrize(
    ("body", "word"),
    [("stop", "STOP"), ("Opt-Out", "other words"), ("please stop texting me", "other words"), ("STOPALL", "STOPALL")],
)
def test_the_number_keeps_when_and_by_which_word(desk: Desk, db: Db, base_url: str, body: str, word: str) -> None:
    phone = desk.patient().phone
    with clock.stopped(NOON):
        reply(base_url, phone or "", body)
    with clock.stopped(NOON + DAY):
        reply(base_url, phone or "", "QUIT")
    stored = db["phone_numbers"].find_one({"_id": phone})
    assert stored
    assert (stored["opted_out_at"], stored["opted_out_by"]) == (NOON, word)


def test_an_opt_out_stays_with_the_number_when_it_changes_hands(desk: Desk, base_url: str) -> None:
    """The patient has a new number and is written to. Whoever gets the old one is not, until START."""
    leaving = desk.patient()
    old = leaving.phone or ""
    with clock.stopped(NOON - DAY):
        reply(base_url, old, "STOP")
        done(factories.log_in(desk.run, leaving).client.patch("/users/me", json={"phone": NEW}))
    finder = desk.patient(phone=old)
    desk.book_all([desk.user(leaving), finder])
    desk.ask()
    assert any("Reminder" in text for text in desk.network.texts(NEW))
    assert desk.network.texts(old) == []

    tomorrow = desk.book(finder, THREE + DAY)
    with clock.stopped(NOON + HOUR):
        assert reply(base_url, old, "START") == ["You will get messages about your appointments again."]
    desk.ask(NOON + DAY)
    assert desk.reminder(tomorrow)["status"] == "sent"
    assert any("Reminder" in text for text in desk.network.texts(old))


def test_a_number_that_nobody_has_can_opt_out(desk: Desk, db: Db, base_url: str) -> None:
    with clock.stopped(NOON - DAY):
        assert reply(base_url, NEW, "no más mensajes") == []
    booked = desk.book(desk.patient(phone=NEW))
    desk.ask()
    assert (desk.reminder(booked)["status"], desk.reminder(booked)["skip_reason"]) == ("skipped", "opted out")
    assert ("opted_out", booked.id) in desk.list_()


def test_the_carriers_refusal_marks_the_number(desk: Desk, db: Db) -> None:
    patient = desk.patient()
    desk.network.refuses(patient.phone or "", UNSUBSCRIBED)
    desk.book(patient)
    desk.ask()
    assert opted_out_by(db, patient.phone) == "21610"


@pytest.mark.parametrize("error_code", [21211, 21614])
def test_a_number_that_no_message_reaches_is_marked_until_it_writes(
    desk: Desk, db: Db, base_url: str, error_code: int
) -> None:
    patient = desk.patient()
    desk.network.refuses(patient.phone or "", error_code)
    desk.book(patient)
    desk.ask()
    stored = db["phone_numbers"].find_one({"_id": patient.phone})
    assert stored
    assert stored["undeliverable_since"] == NOON
    assert "opted_out_at" not in stored
    with clock.stopped(NOON + MINUTE):
        reply(base_url, patient.phone or "", "hello")
    assert "undeliverable_since" not in (db["phone_numbers"].find_one({"_id": patient.phone}) or {})


def test_responses_tell_whether_the_phone_has_opted_out(desk: Desk, base_url: str) -> None:
    scene = scenes.asked(desk)
    with clock.stopped(scene.at):
        nurse = factories.log_in(desk.run, desk.nurse.user).client
        assert scene.user
        own = factories.log_in(desk.run, scene.user).client
        for body, opted_out in (("1", False), ("STOP", True), ("START", False)):
            reply(base_url, scene.phone, body)
            assert nurse.get(f"/patients/{desk.patient_id(scene.user)}").json()["sms_opted_out"] is opted_out
            assert own.get("/users/me").json()["sms_opted_out"] is opted_out


def test_a_second_opt_out_is_no_second_call(desk: Desk, base_url: str) -> None:
    patient = desk.patient()
    booked = desk.book(patient, THREE + DAY)
    for minutes in range(3):
        with clock.stopped(NOON + minutes * MINUTE):
            reply(base_url, patient.phone or "", "STOP")
    assert desk.list_() == [("opted_out", booked.id)]
