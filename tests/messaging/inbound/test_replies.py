"""What patients write, and what it does: to the appointments, to the patient, on the staff's list; and the answer."""

from dataclasses import dataclass

import pytest

from backend.core import clock
from tests import factories
from tests.messaging import scenes
from tests.messaging.asked import THREE, Desk, code
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, MINUTE, Db
from tests.messaging.scenes import Make, Scene
from tests.messaging.signed import reply

CALL = "Questions? Call +12125550100."
LLAME = "¿Dudas? Llame al +12125550100."
AT_3 = "Mon, Jun 3, 3:00 PM, Dr. Ada Vance"
A_LAS_3 = "lun 3 de junio, 3:00 p.m., Dr. Ada Vance"
TOMORROW = "Tue, Jun 4, 3:00 PM, Dr. Ada Vance"

AT_4 = "Mon, Jun 3, 4:00 PM, Dr. Ada Vance"
CONFIRMED_AT_4 = f"Thank you, confirmed: {AT_4}, Elm Clinic."
CONFIRMED = f"Thank you, confirmed: {AT_3}, Elm Clinic."
CONFIRMADA = f"Gracias, confirmada: {A_LAS_3}, Elm Clinic."
CANCELLED = f"Cancelled as you asked: {AT_3}, Elm Clinic."
CANCELLED_AT_4 = f"Cancelled as you asked: {AT_4}, Elm Clinic."
CANCELADA = f"Cancelada a peticion suya: {A_LAS_3}, Elm Clinic."
NOT_UNDERSTOOD = f"Sorry, we did not understand. Reply 1 to confirm, 2 to cancel. {CALL}"
NO_SE_ENTENDIO = f"Perdone, no se entendio. Responda 1 para confirmar, 2 para cancelar. {LLAME}"
BY_ITS_CODE = f"Sorry, we did not understand. Reply 1 {{a}} to confirm, 2 {{a}} to cancel. {CALL}"
ALREADY_CANCELLED = f"Already cancelled: {AT_3}, Elm Clinic. To book again, call +12125550100."
ALREADY_CANCELLED_TOMORROW = f"Already cancelled: {TOMORROW}, Elm Clinic. To book again, call +12125550100."
ALREADY_CONFIRMED = f"Already confirmed: {AT_3}, Elm Clinic. Reply 2 to cancel."
CHECKED_IN = f"You are checked in: {AT_3}, Elm Clinic. Please ask at the front desk."
TOO_LATE = f"Too late, it has begun: {AT_3}. {CALL}"
TOO_EARLY = "Too early to confirm: Tue, Jun 4, 3:00 PM, Dr. Ada Vance. Please reply {} from 12:00 PM that day on."
NOTHING_OPEN = f"You have no appointment to confirm or cancel. {CALL}"
NO_SUCH_CODE = f"None of your appointments has that code. {CALL}"
NONE_AT_ALL = "You have no appointment to confirm or cancel. Questions? Call the clinic."
OPTED_IN = "You will get messages about your appointments again."
WHICH = "Which one? Reply 1 and its code to confirm, 2 and its code to cancel:"
CUAL = "¿Cual? Responda 1 y su codigo para confirmar, 2 y su codigo para cancelar:"
THREE_OR_FOUR = f"{WHICH}\n{{b}}: {AT_4}\n{{a}}: {AT_3}"
LAS_TRES_O_LAS_CUATRO = f"{CUAL}\n{{b}}: lun 3 de junio, 4:00 p.m., Dr. Ada Vance\n{{a}}: {A_LAS_3}"
WHICH_TOMORROW = f"{WHICH}\n{{a}}: {TOMORROW}"
WHO = (
    "We can't match this number to an appointment. Please call your clinic. / "
    "No hay citas con este numero. Llame a su clinica."
)
SILENCE = ""


@dataclass(frozen=True)
class Case:
    """A scene, what is written and answered; what the appointments, the patient and the staff's list are then."""

    scene: Make
    body: str
    answer: str
    status: str = "scheduled"
    opts_out: bool = False
    call_reason: str | None = None

    def __str__(self) -> str:
        return f"{self.scene.__name__}: {self.body[:20]!r}"


def confirms(body: str, scene: Make = scenes.asked, text: str = CONFIRMED) -> Case:
    return Case(scene, body, text, "confirmed")


def cancels(body: str, scene: Make = scenes.asked, text: str = CANCELLED) -> Case:
    return Case(scene, body, text, "cancelled")


def not_understood(body: str, scene: Make = scenes.asked, text: str = NOT_UNDERSTOOD) -> Case:
    """Asked back. The staff have the words, because the patient was asked to confirm."""
    return Case(scene, body, text, call_reason="not_understood")


def opts_out(body: str, scene: Make = scenes.asked) -> Case:
    return Case(scene, body, SILENCE, opts_out=True, call_reason="opted_out")


ONE_ASKED = [
    *map(
        confirms,
        ("1", " 1 ", "1.", "1!", "(1)", '"1"', "１", "1️⃣", "1 👍", "👍🏽1", "c", "Confirm", "yes", "YES!"),
    ),
    *map(confirms, ("Sí", "sì", "SI", "¡Sí!", "1\n", "1\x00", "\u200e1", "1 {a}", "1{a}", "yes, {a}.")),
    *map(confirms, ("1 thanks", "Yes please", "Yes, thank you", "Yes I will be there", "1 yes", "Confirmed", "Y")),
    *map(confirms, ("ok", "Reply 1", "1\n\nSent from my iPhone", "Sí, gracias", "Confirmo", "1 {a} thanks")),
    *map(confirms, ("۱", "\n" * 500 + "1" + "\n" * 500, "\u202e1", "1\u200b")),
    *map(cancels, ("2 thanks", "2 {a}, thank you", "Please cancel my appointment", "２")),
    *map(not_understood, ("1 or 2?", "no, I'll come", "no problem", "yes but can we do 3pm?", "not sure", "Yes 3PM")),
    *map(
        not_understood, ("1\u200b2", "yes n\u043e", "😀" * 800, "نعم ولكن", "yes" + " " * 1700 + "no", "\n1\n2" * 260)
    ),
    *map(cancels, ("2", "2.", "*2*", "x", "No", "NO :(", "2 😢", "2 {a}", "2-{a}", "no {a}")),
    *map(
        not_understood,
        ("", " ", "👍", "1 2", "12", "Thanks!", "no, I will come", "1 for Ada"),
    ),
    *map(not_understood, ('Liked "Reminder: …"', "2 KKK", "<Response/>", "{{a}} 1", "1" * 1600)),
    not_understood("1 347"),  # no code looks like that
    Case(scenes.asked, "HELP", SILENCE),
    Case(scenes.asked, "info", SILENCE),
    confirms("Sí", scenes.asked_in_spanish, CONFIRMADA),
    confirms("1", scenes.asked_in_spanish, CONFIRMADA),
    confirms("YES", scenes.asked_at_a_spanish_clinic, CONFIRMADA),
    confirms("1", scenes.at_a_spanish_clinic_but_english),
    cancels("no", scenes.asked_in_spanish, CANCELADA),
    cancels("2", scenes.asked_at_a_spanish_clinic, CANCELADA),
    not_understood("¿qué?", scenes.asked_in_spanish, NO_SE_ENTENDIO),
    not_understood("what?", scenes.asked_at_a_spanish_clinic, NO_SE_ENTENDIO),
]

IN_OTHER_WORDS = ("opt out", "Opt-out", "Stop. Thank you", "STOP ALL", "please stop texting me", "no más mensajes")

OPTING = [
    *(
        opts_out(body)
        for body in ("STOP", "stop.", "StopAll", "UNSUBSCRIBE", "End", "QUIT", "revoke", "OPTOUT", "STOP it")
    ),
    *map(opts_out, IN_OTHER_WORDS),
    *(Case(scenes.without_appointment, body, SILENCE, "", opts_out=True) for body in IN_OTHER_WORDS),
    *map(opts_out, ("Yes, but stop texting me", "2 and no more messages", "ＳＴＯＰ", "s\u200btop")),
    Case(scenes.asked, "CANCEL", SILENCE, "cancelled", opts_out=True, call_reason="cancelled_and_opted_out"),
    Case(
        scenes.asked_in_spanish,
        "cancel!",
        SILENCE,
        "cancelled",
        opts_out=True,
        call_reason="cancelled_and_opted_out",
    ),
    Case(
        scenes.asked_twice,
        *("CANCEL", SILENCE, "scheduled scheduled"),
        opts_out=True,
        call_reason="opted_out",
    ),
    Case(
        scenes.asked_and_another_ahead,
        *("cancel", SILENCE, "cancelled scheduled"),
        opts_out=True,
        call_reason="cancelled_and_opted_out",
    ),
    Case(scenes.not_asked, "CANCEL", SILENCE, opts_out=True, call_reason="opted_out"),
    opts_out("STOP", scenes.not_asked),
    Case(scenes.confirmed_by_staff, "STOP", SILENCE, "confirmed", opts_out=True, call_reason="opted_out"),
    Case(scenes.without_appointment, "CANCEL", SILENCE, "", opts_out=True),
    Case(scenes.the_doctors_phone, "STOP", SILENCE, opts_out=True),
    Case(scenes.the_doctors_phone, "CANCEL", SILENCE, opts_out=True),
    Case(scenes.stranger, "STOP", SILENCE, opts_out=True),
    Case(scenes.stranger, "HELP", SILENCE),
    Case(scenes.opted_out, "START", OPTED_IN),
    Case(scenes.opted_out, "Unstop", OPTED_IN),
    Case(scenes.opted_out, "YES", CONFIRMED, "confirmed"),
    Case(scenes.opted_out, "1", SILENCE, "confirmed", opts_out=True),
    Case(scenes.opted_out, "2", SILENCE, "cancelled", opts_out=True),
    Case(scenes.opted_out, "Yes {a}", SILENCE, "confirmed", opts_out=True),  # to Twilio no YES, but a word more
    Case(scenes.opted_out, "hello?", SILENCE, opts_out=True, call_reason="not_understood"),
    Case(scenes.asked_at_a_spanish_clinic, "START", "Volvera a recibir mensajes sobre sus citas."),
]

WHICH_ONE = [
    Case(scenes.asked_twice, "1", CONFIRMED_AT_4, "scheduled confirmed"),
    Case(scenes.asked_twice, "2 thanks", CANCELLED_AT_4, "scheduled cancelled"),
    Case(scenes.asked_twice, "hm?", THREE_OR_FOUR, "scheduled scheduled", call_reason="not_understood"),
    Case(
        scenes.asked_twice_in_spanish,
        *("no sé", LAS_TRES_O_LAS_CUATRO, "scheduled scheduled"),
        call_reason="not_understood",
    ),
    Case(scenes.asked_twice, "1 {a}", CONFIRMED, "confirmed scheduled"),
    Case(scenes.asked_twice, "thanks, 1 {a}", CONFIRMED, "confirmed scheduled"),
    Case(scenes.asked_twice, "c{a}", THREE_OR_FOUR, "scheduled scheduled", call_reason="not_understood"),
    Case(
        scenes.asked_twice,
        *("1 {b}", CONFIRMED_AT_4, "scheduled confirmed"),
    ),
    Case(scenes.asked_twice, "NO {a}", CANCELLED, "cancelled scheduled"),
    Case(scenes.asked_twice, "2 {other}", NO_SUCH_CODE, "scheduled scheduled", call_reason="not_understood"),
    Case(scenes.asked_and_another_ahead, "1", CONFIRMED, "confirmed scheduled"),
    Case(scenes.asked_and_another_ahead, "2", CANCELLED, "cancelled scheduled"),
    Case(
        scenes.asked_and_another_ahead,
        *("2 {b}", f"Cancelled as you asked: {TOMORROW}, Elm Clinic.", "scheduled cancelled"),
    ),
    Case(scenes.asked_and_another_ahead, "1 {b}", TOO_EARLY.format("1 {b}"), "scheduled scheduled"),
    Case(scenes.not_asked, "1", WHICH_TOMORROW),
    Case(scenes.not_asked, "2", WHICH_TOMORROW),
    Case(scenes.not_asked, "hello", BY_ITS_CODE),
    Case(scenes.not_asked, "2 {a}", f"Cancelled as you asked: {TOMORROW}, Elm Clinic.", "cancelled"),
    Case(scenes.reminded_early, "1", TOO_EARLY.format("1")),
    Case(scenes.reminded_early, "2", f"Cancelled as you asked: {TOMORROW}, Elm Clinic.", "cancelled"),
    Case(scenes.asked_a_day_before, "1", f"Thank you, confirmed: {TOMORROW}, Elm Clinic.", "confirmed"),
    Case(scenes.in_doubt, "1", f"Thank you, confirmed: {TOMORROW}, Elm Clinic.", "confirmed"),
    Case(scenes.in_doubt, "2", f"Cancelled as you asked: {TOMORROW}, Elm Clinic.", "cancelled"),
    Case(scenes.undelivered, "1", f"{WHICH}\n{{a}}: {AT_3}"),
    Case(scenes.undelivered, "1 {a}", CONFIRMED, "confirmed"),
]

TOO_LATE_OR_CHANGED = [
    Case(scenes.begun, "1", TOO_LATE),
    Case(scenes.begun, "2", TOO_LATE),
    Case(scenes.begun, "2 {a}", TOO_LATE),
    opts_out("CANCEL", scenes.begun),
    Case(scenes.cancelled_unasked, "2 {a}", ALREADY_CANCELLED_TOMORROW, "cancelled"),
    Case(scenes.begins_now, "1", TOO_LATE),
    Case(scenes.begins_now, "2", TOO_LATE),
    Case(scenes.nobody_came, "1", TOO_LATE, "no_show"),
    Case(scenes.over_and_another_ahead, "2", f"{WHICH}\n{{b}}: {TOMORROW}", "scheduled scheduled"),
    Case(scenes.seen_by_the_doctor, "2", NOTHING_OPEN, "completed"),
    Case(scenes.seen_by_the_doctor, "Thank you", NOTHING_OPEN, "completed"),
    Case(scenes.seen_and_another_ahead, "2", f"{WHICH}\n{{b}}: {TOMORROW}", "completed scheduled"),
    Case(scenes.checked_in, "1", CHECKED_IN, "checked_in"),
    Case(scenes.checked_in, "2", CHECKED_IN, "checked_in"),
    Case(scenes.cancelled_by_staff, "1", ALREADY_CANCELLED, "cancelled"),
    Case(scenes.cancelled_by_staff, "2", ALREADY_CANCELLED, "cancelled"),
    Case(scenes.cancelled_by_staff, "1 {a}", ALREADY_CANCELLED, "cancelled"),
    Case(
        scenes.cancelled_by_staff,
        "CANCEL",
        SILENCE,
        "cancelled",
        opts_out=True,
        call_reason="cancelled_and_opted_out",
    ),
    Case(scenes.confirmed_by_staff, "1", ALREADY_CONFIRMED, "confirmed"),
    Case(scenes.confirmed_by_staff, "2", CANCELLED, "cancelled"),
    Case(scenes.moved, "1", WHICH_TOMORROW),
    Case(scenes.moved, "2", WHICH_TOMORROW),
    Case(scenes.moved_within_the_window, "1", f"{WHICH}\n{{a}}: Mon, Jun 3, 2:00 PM, Dr. Ada Vance"),
    Case(
        scenes.moved_and_asked_again,
        *("1", "Thank you, confirmed: Mon, Jun 3, 7:00 PM, Dr. Ada Vance, Elm Clinic.", "confirmed"),
    ),
]

WHOSE_PHONE = [
    *(Case(scenes.stranger, body, WHO) for body in ("1", "2", "1 {a}", "YES", "START", "hello")),
    Case(scenes.withheld, "2", WHO),
    *(Case(scenes.the_doctors_phone, body, WHO) for body in ("1", "2 {a}", "START")),
    *(Case(scenes.deactivated, body, WHO) for body in ("1", "2")),
    Case(
        scenes.another_patients_before,
        "1",
        "You have no appointment to confirm or cancel. Questions? Call the clinic.",
    ),
    Case(
        scenes.another_patients_before,
        "2 {a}",
        "None of your appointments has that code. Questions? Call the clinic.",
    ),
    Case(scenes.another_patients_before, "CANCEL", SILENCE, opts_out=True),
    Case(scenes.from_a_new_phone, "2", f"{WHICH}\n{{a}}: {AT_3}"),
    Case(scenes.from_a_new_phone, "1 {a}", CONFIRMED, "confirmed"),
    Case(
        scenes.without_appointment,
        *("1", "You have no appointment to confirm or cancel. Questions? Call the clinic.", ""),
    ),
]

TABLE = ONE_ASKED + OPTING + WHICH_ONE + TOO_LATE_OR_CHANGED + WHOSE_PHONE
MERELY_ASKED = [case for case in TABLE if case.scene is scenes.asked]
OTHERS = [case for case in TABLE if case.scene is not scenes.asked]


def faults(case: Case, scene: Scene, desk: Desk, base_url: str) -> list[str]:
    """Writes what the case says, and tells what came of it otherwise than it says."""
    codes = dict(zip("ab", map(code, scene.appointments), strict=False))
    codes["other"] = next(each for each in ("3CD", "4CD", "6CD") if each not in codes.values())
    on_list = desk.list_()
    with clock.stopped(scene.at):
        told = reply(base_url, scene.phone, case.body.format(**codes))
    statuses = [desk.again(each).status.value for each in scene.appointments]
    opts_out = desk.has_opted_out(scene.phone)
    call_reason = [each for each, _ in desk.list_()[: len(desk.list_()) - len(on_list)]]
    expected_text = [case.answer.format(**codes)] if case.answer else []
    compared = {
        "answer": (told, expected_text),
        "status": (statuses, case.status.split()),
        "opted out": (opts_out, case.opts_out),
        "list": (call_reason, [case.call_reason] if case.call_reason else []),
    }
    return [f"{case}: {what} is {is_}, not {not_}" for what, (is_, not_) in compared.items() if is_ != not_]


@pytest.mark.long
def test_a_reply_to_a_question_does_what_it_says_and_is_answered(network: Network, db: Db, base_url: str) -> None:
    desk = Desk.open(network, db)
    everybody = zip(MERELY_ASKED, scenes.all_asked(desk, len(MERELY_ASKED)), strict=True)
    found = [fault for case, scene in everybody for fault in faults(case, scene, desk, base_url)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_a_reply_in_any_other_situation_does_what_is_meant(
    case: Case, network: Network, db: Db, base_url: str
) -> None:
    desk = Desk.open(network, db)
    found = faults(case, case.scene(desk), desk, base_url)
    assert not found, "\n".join(found)


def test_two_machines_that_answer_each_other_come_to_an_end(network: Network, db: Db, base_url: str) -> None:
    desk = Desk.open(network, db)
    scene = scenes.asked(desk)
    with clock.stopped(scene.at):
        for phone, answers in ((scene.phone, 2), ("+12125559999", 10)):
            told = [reply(base_url, phone, "I am driving and will answer later.") for _ in range(15)]
            assert [len(each) for each in told] == [1] * answers + [0] * (15 - answers)
        assert reply(base_url, scene.phone, "1") == [CONFIRMED]  # what can be made out is acted on, and answered
    with clock.stopped(scene.at + 61 * MINUTE):
        assert reply(base_url, "+12125559999", "hello") == [WHO]


@pytest.mark.parametrize("body", ["hello", "2 {b}", "1 KKK", "HELP", "START", "STOP"])
def test_who_writes_of_something_else_has_not_answered_a_question_in_doubt(
    body: str, network: Network, db: Db, base_url: str
) -> None:
    """It may never have been sent: settling it finds out, or sends it again."""
    desk = Desk.open(network, db)
    scene = scenes.in_doubt(desk)
    assert scene.user
    other = desk.book(scene.user, THREE + 2 * DAY)
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, body.format(b=code(other)))
    (asked,) = scene.appointments
    assert desk.reminder(asked)["status"] == "unknown"
    assert desk.again(asked).confirmation_requested_at is None
    assert desk.again(asked).auto_cancel_at is None


def test_who_wants_messages_again_is_asked_again_and_can_answer(network: Network, db: Db, base_url: str) -> None:
    desk = Desk.open(network, db)
    db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"policy.reminder_minutes": [1440]}})
    user = desk.patient()
    booked = desk.book(user, THREE + DAY)
    with clock.stopped(NOON):
        assert reply(base_url, user.phone or "", "STOP") == []
        assert reply(base_url, user.phone or "", "START") == [OPTED_IN]
    desk.ask(THREE)
    assert desk.again(booked).auto_cancel_at is not None
    with clock.stopped(THREE + MINUTE):
        assert reply(base_url, user.phone or "", "1") == [f"Thank you, confirmed: {TOMORROW}, Elm Clinic."]


@pytest.mark.parametrize("word", ["STOP", "CANCEL"])
def test_who_opts_out_is_not_cancelled_for_silence(word: str, network: Network, db: Db, base_url: str) -> None:
    desk = Desk.open(network, db)
    scene = scenes.asked_twice(desk)
    assert all(desk.again(each).auto_cancel_at for each in scene.appointments)
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, word)
    assert not any(desk.again(each).auto_cancel_at for each in scene.appointments)


def test_the_log_holds_the_reply_with_its_answer_beside_the_appointment(
    network: Network, db: Db, base_url: str
) -> None:
    desk = Desk.open(network, db)
    scene = scenes.asked(desk)
    (asked,) = scene.appointments
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "Yes!")
        client = factories.log_in(desk.run, desk.nurse.user).client
        newest = client.get(f"/appointments/{asked.id}/messages").json()["items"][0]
        assert client.get("/sms-logs").status_code == 403
    seen = {name: newest[name] for name in ("direction", "kind", "status", "phone", "body", "answer")}
    assert seen == {
        "direction": "inbound",
        "kind": "reply",
        "status": "received",
        "phone": scene.phone,
        "body": "Yes!",
        "answer": CONFIRMED,
    }
