"""A reply while the staff changes the appointment at the same moment; and one whose process dies over it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.appointments.documents import Appointment
from backend.core import clock
from backend.messaging.inbound.handle_reply import recover_replies
from backend.messaging.twilio.carrier import SMS_PATH
from tests.emulator.client import Carrier
from tests.factories import Run
from tests.messaging import scenes
from tests.messaging.asked import THREE, Desk, code
from tests.messaging.conftest import NOON
from tests.messaging.network import Network, set_up_for
from tests.messaging.office import DAY, HOUR, MINUTE, Db
from tests.messaging.signed import new_sid, post, sms_form, texts_of
from tests.races.support import Wired, in_background, mentions, reaches, wired_server
from tests.support.wire import Command

pytestmark = pytest.mark.long

MOST_COMMANDS = 30


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    """A clinic."""
    return Desk.open(network, db)


@pytest.fixture(scope="module")
def slow(run: Run[Any], carrier: Carrier) -> Iterator[Wired]:
    """A server process whose commands can be held."""
    with wired_server("slow", set_up_for(carrier)) as wired:
        yield wired


def changes_appointments(command: Command) -> bool:
    """Whether it is the write with which a reply takes a step."""
    return (command.name, command.collection) == ("findAndModify", "appointments")


def steps(desk: Desk, appointment: Appointment) -> list[str]:
    """What has happened to it."""
    return [line.transition.value for line in desk.again(appointment).history]


@pytest.mark.parametrize("word", ["1", "2"])
@pytest.mark.parametrize("first", ["cancel", "reschedule", "reschedule within the window", "confirm"])
def test_what_the_staff_does_at_that_moment_comes_first(first: str, word: str, desk: Desk, slow: Wired) -> None:
    """The reply has read the appointment, and its write is held until the staff's is done.

    The other process has the real time: by the appointment's code, and asked before, the patient may answer any time.
    """
    user = desk.patient()
    booked = desk.book(user)
    desk.db["appointments"].update_one({"_id": booked.id}, {"$set": {"confirmation_requested_at": NOON - 3650 * DAY}})
    form = sms_form(user.phone or "", f"{word} {code(booked)}")
    with slow.wire.holding(changes_appointments) as held:
        answering = in_background(post, slow.program.base_url, SMS_PATH, form)
        assert reaches(held, answering)
        if first.startswith("reschedule"):
            desk.move(booked, THREE + (DAY if first == "reschedule" else -HOUR))
        else:
            desk.staff(first, booked)
        held.release()
        (told,) = texts_of(answering.result())
    if first == "cancel":
        assert told.startswith("Already cancelled: ")
        assert steps(desk, booked) == ["book", "cancel"]
    elif first == "confirm":
        assert told.startswith("Already confirmed: " if word == "1" else "Cancelled as you asked: ")
        assert steps(desk, booked) == ["book", "confirm", *(["cancel"] if word == "2" else [])]
    else:
        when = "Tue, Jun 4, 3:00 PM" if first == "reschedule" else "Mon, Jun 3, 2:00 PM"
        assert told.startswith("Which one? ")
        assert f"{code(booked)}: {when}" in told
        assert steps(desk, booked) == ["book", "reschedule"]


def test_a_reply_whose_process_is_killed_anywhere_is_acted_on_once_and_answered(
    run: Run[Any], db: Db, desk: Desk, carrier: Carrier, base_url: str
) -> None:
    patients, forms, begun = [], [], []
    with ExitStack() as stack, wired_server("doomed", set_up_for(carrier)) as doomed:
        goes_on = True
        while goes_on and len(patients) < MOST_COMMANDS:
            user = desk.patient()
            booked = desk.book(user, THREE + len(patients) * HOUR / 2)
            form = sms_form(user.phone or "", f"2 {code(booked)}")
            about = mentions(user.phone, user.id, booked.id)
            held = stack.enter_context(doomed.wire.holding(about, skip=len(patients)))
            begun.append(held)
            goes_on = reaches(held, in_background(post, doomed.program.base_url, SMS_PATH, form))
            patients.append((user, booked))
            forms.append(form)
        doomed.program.kill()
        for held in begun:
            held.lose()
    assert 5 < len(patients) < MOST_COMMANDS
    with clock.shifted(timedelta(seconds=5)):
        assert run(recover_replies()) == 0  # it may live still
    with clock.shifted(timedelta(seconds=25)):
        # All but the first, of which nothing was written down, and the last, which came through.
        assert run(recover_replies()) == len(patients) - 2
        assert run(recover_replies()) == 0
        desk.send()
    for number, (user, booked) in enumerate(patients):
        is_lost, is_through = number == 0, number == len(patients) - 1
        assert steps(desk, booked) == ["book"] + ([] if is_lost else ["cancel"])
        told = [text for text in desk.network.texts(user.phone or "") if text.startswith(("Cancelled", "Already"))]
        assert len(told) == (0 if is_lost or is_through else 1), number
    # The carrier posts the first once more, to another process.
    assert texts_of(post(base_url, SMS_PATH, forms[0]))[0].startswith("Cancelled as you asked")


def forgotten(db: Db, phone: str, body: str, at: datetime, **more: Any) -> str:
    """A reply that was written down by a process that died then."""
    sid = new_sid()
    db["sms_logs"].insert_one(
        {
            "direction": "inbound",
            "kind": "reply",
            "status": "received",
            "phone": phone,
            "body": body,
            "twilio_sid": sid,
            "claimed_until": at + timedelta(seconds=20),
            "created_at": at,
            "updated_at": at,
            **more,
        }
    )
    return sid


def test_a_forgotten_reply_means_what_had_been_asked_when_it_came(run: Run[Any], db: Db, desk: Desk) -> None:
    """Before it is found, the staff has called that off, and the next question has gone out."""
    scene = scenes.asked_and_another_ahead(desk)
    today, tomorrow = scene.appointments
    forgotten(db, scene.phone, "2", scene.at)
    desk.staff("cancel", today, scene.at + MINUTE)
    desk.ask(NOON + DAY)
    with clock.stopped(NOON + DAY + MINUTE):
        assert run(recover_replies()) == 1
        desk.send()
    assert desk.again(tomorrow).status.value == "scheduled"
    assert desk.network.texts(scene.phone)[-1].startswith("Already cancelled: Mon, Jun 3, 3:00 PM")


def test_a_forgotten_reply_is_found_by_one_of_many(run: Run[Any], db: Db, desk: Desk) -> None:
    everybody = scenes.all_asked(desk, 10)
    for scene in everybody:
        forgotten(db, scene.phone, "2", scene.at)

    async def together() -> int:
        return sum(await asyncio.gather(*(recover_replies() for _ in range(5))))

    with clock.stopped(NOON + 6 * MINUTE):
        assert run(together()) == 10
        desk.send()
    for scene in everybody:
        assert steps(desk, scene.appointments[0]) == ["book", "cancel"]
        assert len(desk.network.texts(scene.phone)) == 3


def test_an_answer_that_was_owed_already_is_not_owed_again(run: Run[Any], db: Db, desk: Desk) -> None:
    """Who found the reply has died too: after it had owed the answer, before it noted that."""
    scene = scenes.asked(desk)
    forgotten(db, scene.phone, "2", scene.at)
    with clock.stopped(scene.at + MINUTE):
        run(recover_replies())
        desk.send()
        again = {"$unset": {"handled_at": ""}, "$set": {"claimed_until": scene.at}}
        db["sms_logs"].update_one({"kind": "reply"}, again)
        assert run(recover_replies()) == 1
        desk.send()
    told = desk.network.texts(scene.phone)
    assert sorted(text.split()[0] for text in told) == ["Cancelled", "Reminder:", "Your"]


def test_a_late_answer_waits_for_the_morning_a_prompt_one_does_not(run: Run[Any], db: Db, desk: Desk) -> None:
    users = [desk.patient(), desk.patient()]
    desk.book_all(users, THREE + 5 * DAY)
    night, morning = NOON + 11 * HOUR, NOON + 20 * HOUR  # 23:00 and 8:00 in New York
    for user, ago in zip(users, (MINUTE, HOUR), strict=True):
        forgotten(db, user.phone or "", "hello", night - ago)
    with clock.stopped(night):
        assert run(recover_replies()) == 2
        desk.send()
    with clock.stopped(morning):
        desk.send()
    sent = {row["patient_id"]: row["sent_at"] for row in db["sms_logs"].find({"kind": "answer"})}
    assert [sent[desk.patient_id(user)] for user in users] == [night, morning]


def test_a_reply_that_comes_to_two_processes_at_once_is_acted_on_once(desk: Desk, slow: Wired, base_url: str) -> None:
    user = desk.patient()
    booked = desk.book(user)
    form = sms_form(user.phone or "", f"2 {code(booked)}")
    roots = (slow.program.base_url, base_url)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: post(roots[n % 2], SMS_PATH, form), range(20)))
    assert {tuple(texts_of(answer)) for answer in answers} == {tuple(texts_of(answers[0]))}
    assert texts_of(answers[0])[0].startswith("Cancelled as you asked")
    assert steps(desk, booked) == ["book", "cancel"]


def test_a_repeat_waits_for_the_answer_that_is_being_worked_out(desk: Desk, slow: Wired, base_url: str) -> None:
    user = desk.patient()
    booked = desk.book(user)
    form = sms_form(user.phone or "", f"2 {code(booked)}")
    with slow.wire.holding(changes_appointments) as held:
        first = in_background(post, slow.program.base_url, SMS_PATH, form)
        assert reaches(held, first)
        again = in_background(post, base_url, SMS_PATH, form)
        with pytest.raises(TimeoutError):
            again.result(timeout=0.3)
        held.release()
        assert again.result().text == first.result().text
    assert steps(desk, booked) == ["book", "cancel"]


def test_a_process_that_was_stalled_too_long_leaves_the_answer_to_who_took_over(
    run: Run[Any], desk: Desk, slow: Wired
) -> None:
    user = desk.patient()
    booked = desk.book(user)
    form = sms_form(user.phone or "", f"2 {code(booked)}")
    with slow.wire.holding(changes_appointments) as held:
        first = in_background(post, slow.program.base_url, SMS_PATH, form)
        assert reaches(held, first)
        with clock.shifted(timedelta(seconds=25)):
            assert run(recover_replies()) == 1
            desk.send()
        held.release()
        assert texts_of(first.result()) == []
    assert steps(desk, booked) == ["book", "cancel"]
    told = desk.network.texts(user.phone or "")
    assert len([text for text in told if text.startswith("Cancelled as you asked")]) == 1
