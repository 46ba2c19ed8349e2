"""Replies that we don't understand: asked back once, then given to the staff, and never cancelled for silence."""

import logging
from typing import Any

import pytest

from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.core import clock
from tests import factories
from tests.messaging import scenes
from tests.messaging.asked import Desk, code
from tests.messaging.network import Network
from tests.messaging.office import DAY, MINUTE, Db
from tests.messaging.scenes import Scene
from tests.messaging.signed import reply

ASKED_BACK = "Sorry, we did not understand. Reply 1 to confirm, 2 to cancel. Questions? Call +12125550100."
TO_STAFF = "Thank you. The clinic will read your message and call you. Questions? Call +12125550100."


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    return Desk.open(network, db)


def calls(desk: Desk, scene: Scene) -> list[tuple[str, str | None]]:
    """The open entries that the nurse sees through the API: the reason, and the patient's words."""
    with clock.stopped(scene.at):
        client = factories.log_in(desk.run, desk.nurse.user).client
        entries: list[dict[str, Any]] = client.get("/call-list").json()["items"]
    return [(entry["reason"], entry["reply"]) for entry in entries]


def test_a_reply_not_understood_is_asked_back_once_and_then_given_to_the_staff(desk: Desk, base_url: str) -> None:
    scene = scenes.asked(desk)
    with clock.stopped(scene.at):
        assert reply(base_url, scene.phone, "yes but can we do 3pm?") == [ASKED_BACK]
        assert reply(base_url, scene.phone, "or 4") == [TO_STAFF]
        assert reply(base_url, scene.phone, "please") == []
    words = ["please", "or 4", "yes but can we do 3pm?"]
    assert calls(desk, scene) == [("not_understood", each) for each in words]


def test_who_wrote_anything_is_not_cancelled_for_silence(desk: Desk, base_url: str) -> None:
    """They wanted to come, or something else; the staff find out which, by their words."""
    bodies = ["1 or 2?", "no, I'll come", "no problem", "yes but can we do 3pm?", "not sure"]
    *wrote, silent = scenes.all_asked(desk, len(bodies) + 1)
    for scene, body in zip(wrote, bodies, strict=True):
        with clock.stopped(scene.at):
            assert reply(base_url, scene.phone, body) == [ASKED_BACK]
        assert desk.again(scene.appointments[0]).auto_cancel_at is None
    deadline = desk.again(silent.appointments[0]).auto_cancel_at
    assert deadline
    with clock.stopped(deadline + MINUTE):
        desk.run(cancel_unconfirmed())
    assert desk.again(silent.appointments[0]).status == "cancelled"
    assert {desk.again(scene.appointments[0]).status.value for scene in wrote} == {"scheduled"}
    assert sorted(calls(desk, silent)) == sorted(("not_understood", body) for body in bodies)


@pytest.mark.parametrize(("body", "status"), [("1 thanks", "confirmed"), ("2", "cancelled")])
def test_who_then_says_what_they_mean_needs_no_call(desk: Desk, base_url: str, body: str, status: str) -> None:
    scene = scenes.asked(desk)
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "1 or 2?")
        reply(base_url, scene.phone, body)
    assert desk.again(scene.appointments[0]).status == status
    assert calls(desk, scene) == []


def test_a_call_about_another_appointment_stays_on_the_list(desk: Desk, base_url: str) -> None:
    scene = scenes.asked_twice(desk)
    three, _ = scene.appointments
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "hm")
        reply(base_url, scene.phone, f"1 {code(three)}")
    assert calls(desk, scene) == [("not_understood", "hm")]


def test_who_was_not_asked_is_given_to_the_staff_at_the_second_time(desk: Desk, base_url: str) -> None:
    scene = scenes.not_asked(desk)
    with clock.stopped(scene.at):
        assert "did not understand" in reply(base_url, scene.phone, "can't come")[0]
        assert calls(desk, scene) == []
        assert reply(base_url, scene.phone, "I am ill") == [TO_STAFF]
    assert calls(desk, scene) == [("not_understood", "I am ill")]


def test_the_next_day_asks_back_again(desk: Desk, base_url: str) -> None:
    scene = scenes.not_asked(desk)
    for at in (scene.at - DAY, scene.at + MINUTE):
        with clock.stopped(at):
            assert "did not understand" in reply(base_url, scene.phone, "can't come")[0]


def test_the_words_are_in_no_log(desk: Desk, base_url: str, caplog: pytest.LogCaptureFixture) -> None:
    scene = scenes.asked(desk)
    with caplog.at_level(logging.DEBUG, "backend"), clock.stopped(scene.at):
        for body in ("my knee hurts", "my knee still hurts", "stop texting me about my knee"):
            reply(base_url, scene.phone, body)
    assert "knee" not in caplog.text
    assert scene.phone not in caplog.text
