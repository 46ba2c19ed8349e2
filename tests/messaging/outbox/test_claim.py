"""What is sent, skipped or kept for later, and why; what the texts tell, and to whom."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId
from prometheus_client import REGISTRY

from backend.accounts.documents import Purpose
from backend.accounts.login.codes import IssuedCode, code_issued
from backend.core import clock
from backend.directory.documents import Policy
from backend.messaging.inbound.parse_reply import code_of
from backend.messaging.outbox.sender import Dispatcher
from backend.messaging.twilio.carrier import MAX_CONCURRENT_POSTS, SimulatedPhone
from tests import factories
from tests.factories import Person, Run
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, TWO, Db, Office, Row, make_office, new_phone
from tests.races.support import in_background

ASKED = TWO - 3 * HOUR
NINE_IN_THE_EVENING = NOON + 9 * HOUR
EIGHT_IN_THE_MORNING = NOON + 20 * HOUR
SECRET = "Lump in the left breast"


def phone_of(person: Person) -> str:
    assert person.user.phone
    return person.user.phone


def outcome(log: Row) -> tuple[str, str | None, str | None]:
    """What became of a message: its status, why it was skipped, and why a person should call."""
    return log["status"], log.get("skip_reason"), log.get("call_list", {}).get("reason")


def test_each_step_tells_those_who_did_not_take_it(office: Office, nurse: Person) -> None:
    """Texts by kind; the doctor hears of what patients do, the patient of what others do."""
    patient = office.patient(name="Maria Lopez")
    appointment = office.book(patient, reason=SECRET)
    office.minute(ASKED)
    office.do(patient, appointment, "confirm", ASKED + MINUTE)
    office.send(ASKED + MINUTE)
    to = office.slot_id(TWO + DAY)
    office.do(patient, appointment, "reschedule", ASKED + 2 * MINUTE, slot_id=to)
    office.send(ASKED + 2 * MINUTE)
    office.do(office.doctor, appointment, "cancel", ASKED + 3 * MINUTE)
    office.send(ASKED + 3 * MINUTE)
    other = office.book(patient, TWO + HOUR, at=ASKED + 4 * MINUTE)
    office.do(patient, other, "cancel", ASKED + 5 * MINUTE)
    office.send(ASKED + 5 * MINUTE)
    missed = office.book(patient, TWO + 2 * DAY)
    office.minute(TWO + 2 * DAY + 15 * MINUTE)

    clinic = office.clinic.name
    assert office.network.texts(phone_of(patient)) == [
        f"Your appointment: Tue, Jun 4, 2:00 PM, Ada Hernandez, {clinic}.",
        f"Reminder: Tue, Jun 4, 2:00 PM, Ada Hernandez, {clinic}. Reply 1 to confirm, 2 to cancel. "
        "Unanswered, it is cancelled.",
        f"Your appointment has moved to Wed, Jun 5, 2:00 PM, Ada Hernandez, {clinic}.",
        f"Your appointment is cancelled: Wed, Jun 5, 2:00 PM, Ada Hernandez, {clinic}.",
        f"We missed you: Thu, Jun 6, 2:00 PM, Ada Hernandez, {clinic}.",
    ]
    assert office.network.texts(phone_of(office.doctor)) == [
        f"Confirmed: Maria L., Tue, Jun 4, 2:00 PM, {clinic}.",
        f"Cancelled by the patient: Maria L., Tue, Jun 4, 3:00 PM, {clinic}.",
        f"Did not come: Maria L., Thu, Jun 6, 2:00 PM, {clinic}.",
    ]
    assert office.log(missed, "no_show")["segments"] == 1


def test_nothing_in_any_text_tells_why_the_patient_comes(office: Office) -> None:
    """Phones lie about. Nor does the log say it."""
    patient = office.patient()
    appointment = office.book(patient, reason=SECRET)
    with clock.stopped(NOON):
        noted = factories.log_in(office.run, office.doctor.user).client
        noted.patch(f"/appointments/{appointment['id']}", json={"notes": "Suspected carcinoma"})
    for moment in (ASKED, TWO - 15 * MINUTE, TWO):
        office.minute(moment)
    assert len(office.network.taken) == 4
    everything = repr([office.network.taken, office.logs(appointment)])
    for word in ("Lump", "breast", "carcinoma", "Cardiology"):
        assert word not in everything


def test_what_a_later_step_has_overtaken_is_not_sent(office: Office) -> None:
    patient = office.patient()
    moved, cancelled, confirmed, kept = (office.book(patient, TWO + number * 30 * MINUTE) for number in range(4))
    office.owe(TWO - 90 * MINUTE)  # their last reminders: nothing was sent so far
    to = office.slot_id(TWO + DAY)
    at = TWO - 80 * MINUTE
    office.do(patient, moved, "reschedule", at, slot_id=to)
    office.do(patient, cancelled, "cancel", at)
    office.do(patient, confirmed, "confirm", at)
    office.send(at)
    changed = ("skipped", "the appointment's status has changed", None)
    gone = ("skipped", "the appointment was rescheduled", None)
    assert [outcome(office.log(moved, kind)) for kind in ("booked", "reminder")] == [gone, gone]
    assert [outcome(office.log(cancelled, kind)) for kind in ("booked", "reminder")] == [changed, changed]
    assert outcome(office.log(confirmed, "reminder")) == changed
    assert outcome(office.log(confirmed, "booked")) == ("sent", None, None)
    assert outcome(office.log(kept, "reminder")) == ("sent", None, None)
    assert outcome(office.log(moved, "rescheduled")) == ("sent", None, None)
    assert len(office.network.texts(phone_of(patient))) == 4


@pytest.mark.parametrize("late", [0 * MINUTE, HOUR, 3 * DAY])
def test_what_speaks_of_the_future_is_not_sent_after_the_start(office: Office, late: timedelta) -> None:
    appointment = office.book(office.patient())
    office.owe(ASKED)
    office.send(TWO + late)
    assert outcome(office.log(appointment, "reminder")) == ("skipped", "too late", "too_late")
    assert outcome(office.log(appointment, "booked")) == ("skipped", "too late", None)
    assert office.network.taken == []


@pytest.mark.parametrize("step", ["reschedule", "cancel", "check-in"])
def test_nobody_is_called_for_what_is_late_and_no_longer_true(office: Office, step: str) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    office.owe(ASKED)
    at = TWO - 30 * MINUTE
    who, body = (office.doctor, {}) if step == "check-in" else (patient, {})
    if step == "reschedule":
        body = {"slot_id": office.slot_id(TWO + DAY)}
    office.do(who, appointment, step, at, **body)
    office.send(TWO + MINUTE)
    assert outcome(office.log(appointment, "reminder"))[::2] == ("skipped", None)


def test_news_of_a_missed_visit_is_of_use_for_a_day(office: Office) -> None:
    soon, late = (office.book(office.patient(), TWO + number * 30 * MINUTE) for number in range(2))
    office.send(NOON)
    office.do(office.doctor, soon, "no-show", TWO + MINUTE)
    office.do(office.doctor, late, "no-show", TWO + 31 * MINUTE)
    office.send(TWO + DAY)
    assert outcome(office.log(soon, "no_show")) == ("sent", None, None)
    other = office.book(office.patient(), TWO + 2 * DAY, at=TWO + DAY)
    office.do(office.doctor, other, "no-show", TWO + 2 * DAY)
    office.send(TWO + 3 * DAY + MINUTE)
    assert outcome(office.log(other, "no_show")) == ("skipped", "too late", None)


def test_patients_are_left_in_peace_until_eight_at_the_clinic(office: Office) -> None:
    patient = office.patient()
    late = office.book(patient, at=NINE_IN_THE_EVENING - MINUTE)
    assert office.send(NINE_IN_THE_EVENING - timedelta(seconds=1)) == 1
    night = office.book(patient, TWO + HOUR, at=NINE_IN_THE_EVENING)
    assert office.send(NINE_IN_THE_EVENING) == 0
    assert office.send(EIGHT_IN_THE_MORNING - timedelta(milliseconds=1)) == 0
    assert office.log(night, "booked")["status"] == "queued"
    assert office.send(EIGHT_IN_THE_MORNING) == 1
    assert outcome(office.log(late, "booked")) == outcome(office.log(night, "booked")) == ("sent", None, None)


def test_the_quiet_is_that_of_the_clinic(noon: datetime, network: Network, db: Db) -> None:
    """Noon in New York is 21:30 in Kolkata: the message waits until 8:00 there, 2:30 in the night UTC."""
    office = make_office(network, db, time_zone="Asia/Kolkata")
    appointment = office.book(office.patient(), TWO - 8 * HOUR)
    assert office.send(NOON) == 0
    assert office.log(appointment, "booked")["not_before"].isoformat() == "2030-06-04T02:30:00+00:00"
    assert office.send(NOON + 10 * HOUR + 30 * MINUTE) == 1


def test_what_was_queued_by_day_and_is_sent_late_waits_too(office: Office) -> None:
    """The carrier takes nothing until the evening."""
    patient = office.patient()
    appointment = office.book(patient)
    office.network.is_too_busy(phone_of(patient))
    assert office.send(NINE_IN_THE_EVENING - timedelta(seconds=1)) == 1
    office.network.forgives()
    assert office.send(NINE_IN_THE_EVENING + MINUTE) == 0
    assert office.log(appointment, "booked")["not_before"] == EIGHT_IN_THE_MORNING
    assert office.send(EIGHT_IN_THE_MORNING) == 1


def test_what_can_only_be_said_in_the_quiet_is_left_to_the_staff(office: Office) -> None:
    """A visit at eight in the morning, cancelled by the doctor in the night."""
    patient = office.patient()
    appointment = office.book(patient, EIGHT_IN_THE_MORNING)
    office.do(office.doctor, appointment, "cancel", NINE_IN_THE_EVENING + HOUR)
    office.send(NINE_IN_THE_EVENING + HOUR)
    office.send(EIGHT_IN_THE_MORNING)
    assert office.log(appointment, "cancelled")["call_list"]["reason"] == "too_late"
    assert office.network.texts(phone_of(patient)) == []


def test_doctors_hear_at_any_hour(office: Office) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    office.do(patient, appointment, "cancel", NINE_IN_THE_EVENING + 3 * HOUR)
    assert office.send(NINE_IN_THE_EVENING + 3 * HOUR) == 1
    assert len(office.network.texts(phone_of(office.doctor))) == 1


UNREACHABLE = [
    ({"phone": None}, "no phone", "no_phone"),
    ({"phone": "+15555550199"}, "fictional number", None),
    ({}, "opted out", "opted_out"),
]


@pytest.mark.parametrize(("about", "why", "call_reason"), UNREACHABLE)
def test_who_cant_be_reached_is_skipped_and_called_for_what_matters(
    office: Office, about: dict[str, Any], why: str, call_reason: str | None
) -> None:
    patient, other = office.patient(**about), office.patient()
    if why == "opted out":
        office.reply(patient, "STOP", NOON)
    appointment, others = office.book(patient), office.book(other, TWO + 30 * MINUTE)
    office.minute(ASKED + 30 * MINUTE)
    assert outcome(office.log(appointment, "booked")) == ("skipped", why, None)
    assert outcome(office.log(appointment, "reminder")) == ("skipped", why, call_reason)
    assert "confirmation_requested_at" not in office.stored(appointment)
    # One without a phone holds up nobody behind.
    assert outcome(office.log(others, "reminder")) == ("sent", None, None)
    assert {number for number, _ in office.network.taken} == {phone_of(other)}


def test_fictional_numbers_are_good_enough_for_the_simulated_phone(office: Office) -> None:
    appointment = office.book(office.patient(phone="+15555550198"))
    assert office.run(Dispatcher(SimulatedPhone()).dispatch()) == 1
    assert office.log(appointment, "booked")["status"] == "delivered"
    assert office.network.taken == []


LANGUAGES = [(None, "en", "Your"), (None, "es", "Su cita"), ("es", "en", "Su cita"), ("en", "es", "Your")]


@pytest.mark.parametrize(("own", "clinics", "begins"), LANGUAGES)
def test_a_text_is_in_the_patients_language_or_else_the_clinics(
    noon: datetime, network: Network, db: Db, own: str | None, clinics: str, begins: str
) -> None:
    office = make_office(network, db, language=clinics)
    patient = office.patient(language=own)
    appointment = office.book(patient)
    office.send(NOON)
    (text,) = office.network.texts(phone_of(patient))
    assert text.startswith(begins)
    assert office.log(appointment, "booked")["language"] == (own or clinics)


def test_codes_stand_in_a_text_only_where_several_are_open(office: Office) -> None:
    alone, busy = office.patient(), office.patient()
    one = office.book(alone)
    first, second = office.book(busy, TWO + 30 * MINUTE), office.book(busy, TWO + 5 * DAY)
    office.minute(TWO - 150 * MINUTE)
    assert "Reply 1 to confirm, 2 to cancel." in office.log(one, "reminder")["body"]
    code = code_of(ObjectId(first["id"]))
    assert f"Reply 1 {code} to confirm, 2 {code} to cancel." in office.log(first, "reminder")["body"]
    office.do(busy, first, "cancel", TWO - 2 * HOUR)
    office.minute(TWO + 5 * DAY - 3 * HOUR)
    assert "Reply 1 to confirm, 2 to cancel." in office.log(second, "reminder")["body"]


ZONES = [
    ("+12125565432", "2:00 PM,"),  # New York
    ("+13055551234", "2:00 PM,"),  # Miami: the same clocks
    ("+13125551234", "2:00 PM EDT,"),  # Chicago
    ("+34612345678", "2:00 PM EDT,"),  # Spain
    ("+18005551234", "2:00 PM,"),  # anywhere in the country
]


@pytest.mark.parametrize(("phone", "shown"), ZONES)
def test_the_zone_is_named_to_phones_that_are_registered_elsewhere(office: Office, phone: str, shown: str) -> None:
    office.book(office.patient(phone=phone))
    office.send(NOON)
    assert shown in office.network.texts(phone)[0]


def test_the_name_and_phone_of_now_are_used(office: Office) -> None:
    """A patient changes the number while a message waits."""
    patient = office.patient()
    appointment = office.book(patient, at=NINE_IN_THE_EVENING)
    office.send(NINE_IN_THE_EVENING)
    new = new_phone()
    office.db["patients"].update_one({"_id": patient.object_id}, {"$set": {"phone": new}})
    office.send(EIGHT_IN_THE_MORNING)
    assert office.log(appointment, "booked")["phone"] == new
    assert office.network.texts(phone_of(patient)) == []


def test_a_message_taken_over_twice_is_one(office: Office) -> None:
    """A process died between the log and the appointment: the same message is owed again."""
    patient = office.patient()
    appointment = office.book(patient)
    pending_messages = office.stored(appointment)["pending_messages"]
    office.send(NOON)
    assert office.stored(appointment)["pending_messages"] == []
    office.db["appointments"].update_one(
        {"_id": office.stored(appointment)["_id"]}, {"$set": {"pending_messages": pending_messages}}
    )
    office.send(NOON + MINUTE)
    assert office.stored(appointment)["pending_messages"] == []
    assert len(office.logs(appointment)) == len(office.network.taken) == 1


@pytest.mark.long
def test_dispatchers_at_once_post_each_message_once(office: Office) -> None:
    slot_id = office.slot_id(TWO, capacity=60)
    people = [office.patient() for _ in range(60)]
    for each in people:
        office.book_seat(each, slot_id)

    async def together() -> int:
        dispatchers = [office.network.dispatcher() for _ in range(5)]
        return sum(await asyncio.gather(*(each.dispatch() for each in dispatchers)))

    assert office.run(together()) == 60
    assert sorted(number for number, _ in office.network.taken) == sorted(map(phone_of, people))


@pytest.mark.long
def test_requests_get_a_turn_between_two_claimed_messages(office: Office) -> None:
    """Skipped messages are counted as they are decided on, so their count shows how many are made in one turn."""
    labels = {"outcome": "skipped", "kind": "booked"}
    for number in range(20):
        patient = office.patient(phone=f"+155555501{number:02}")
        day, place = divmod(number, 10)
        office.book(patient, TWO + day * 24 * HOUR + place * 30 * MINUTE, at=NINE_IN_THE_EVENING)
    office.send(NINE_IN_THE_EVENING)

    def skipped() -> float:
        return REGISTRY.get_sample_value("sms_messages_total", labels) or 0

    async def dispatch_and_watch() -> list[float]:
        counts = [skipped()]
        dispatching = asyncio.create_task(office.network.dispatcher().dispatch())
        while not dispatching.done():
            await asyncio.sleep(0)
            counts.append(skipped())
        return [after - before for before, after in pairwise(counts)]

    with clock.stopped(EIGHT_IN_THE_MORNING):
        steps = office.run(dispatch_and_watch())
    assert sum(steps) == 20
    assert max(steps) == 1


@pytest.mark.parametrize("purpose", Purpose)
def test_a_code_goes_out_at_any_hour(office: Office, purpose: Purpose) -> None:
    patient, at = office.patient(), NINE_IN_THE_EVENING + 2 * HOUR
    with clock.stopped(at):
        issued = IssuedCode(user=patient.user, purpose=purpose, code="271828", expires_at=at + 10 * MINUTE)
        office.run(code_issued.send(issued))
    assert office.send(at) == 1
    (text,) = office.network.texts(phone_of(patient))
    assert text.startswith("271828")


def test_a_code_that_has_expired_is_not_sent(office: Office) -> None:
    patient = office.patient()
    issued = IssuedCode(user=patient.user, purpose=Purpose.VERIFY_PHONE, code="314159", expires_at=NOON + 10 * MINUTE)
    office.run(code_issued.send(issued))
    assert office.send(NOON + 10 * MINUTE) == 0
    (log,) = office.db["sms_logs"].find({"user_id": patient.user.id}, hint="_id_")
    assert outcome(log) == ("skipped", "too late", None)
    assert "314159" not in repr(log)


def test_the_attempt_is_written_down_before_the_post(office: Office) -> None:
    """Whoever finds the message later, its process dead, can look for it at the carrier."""
    patient = office.patient()
    appointment = office.book(patient)
    office.network.is_slow(phone_of(patient), 2000)
    sending = in_background(office.network.send)
    while not office.network.taken:
        assert not sending.done()
    then = office.log(appointment, "booked")
    assert not sending.done()
    assert sending.result() == 1
    assert then["status"] == "sending"
    assert (then["phone"], then["body"]) == office.network.taken[0]
    assert then["attempt_id"]
    assert then["claimed_until"] > NOON
    assert "not_before" not in then


def test_the_policy_at_the_moment_of_asking_counts(noon: datetime, network: Network, db: Db) -> None:
    office = make_office(network, db, policy=Policy(auto_cancel_minutes=45))
    appointment = office.book(office.patient())
    office.minute(ASKED)
    assert office.stored(appointment)["auto_cancel_at"] == TWO - 45 * MINUTE


@pytest.mark.long
def test_a_code_goes_before_what_waits_already(network: Network, run: Run[Any], db: Db, noon: datetime) -> None:
    crowd, hurried = new_phone(), new_phone()
    waiting = factories.make_user(run, "patient", phone=crowd)
    db["sms_logs"].insert_many(
        {
            "direction": "outbound",
            "kind": "answer",
            "status": "queued",
            "patient_id": waiting.object_id,
            "body": "Thank you.",
            "not_before": NOON - HOUR,
            "expires_at": NOON + HOUR,
            "attempts": 0,
            "created_at": NOON,
        }
        for _ in range(150)
    )
    patient = factories.make_user(run, "patient", phone=hurried)
    assert patient.client.post("/users/me/phone/verification").status_code == 202
    network.send()
    numbers = [to for to, _ in network.taken]
    assert len(numbers) == 151
    assert (
        numbers.index(hurried) < MAX_CONCURRENT_POSTS
    )  # among the first that are claimed, which are posted side by side
