"""Whole server processes at the emulator: how soon a message is on its way, and that of two processes one sends it.

By the real clock, with the quiet hours switched off.
"""

import time
from collections.abc import Callable, Iterator
from math import ceil
from statistics import median
from typing import Any

import pytest

from backend.accounts.profiles import WEEK
from backend.core import clock
from backend.core.clock import utc_now
from backend.directory.documents import OpeningHours
from tests import factories
from tests.appointments.support import done
from tests.emulator.client import Carrier
from tests.factories import Person
from tests.messaging.network import Network, set_up_for
from tests.messaging.office import DAY, HOUR, MINUTE, Db, Office, Row, make_office, new_phone
from tests.support.servers import Program, ServerThread, serving

pytestmark = pytest.mark.long

PACE = 30
"""Messages a second that the processes keep to, together."""


@pytest.fixture
def phones(network: Network) -> Carrier:
    """The emulator as newly started. It reports nothing: that is tested elsewhere."""
    return network.emulator


@pytest.fixture(scope="module")
def programs(server: ServerThread, carrier: Carrier) -> Iterator[tuple[Program, Program]]:
    """Two processes that do timed work and send by the emulator."""
    environment = {
        "SCHEDULER_ENABLED": "true",
        **set_up_for(carrier),
        "SMS_PER_SECOND": str(PACE),
        "SMS_TIMEOUT_SECONDS": "4",
        "SMS_QUIET_FROM": "00:00",
        "SMS_QUIET_UNTIL": "00:00",
    }
    with serving(environment=environment) as first, serving(environment=environment) as second:
        yield first, second


@pytest.fixture
def office(network: Network, db: Db) -> Office:
    """A clinic that is always open."""
    always = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
    return make_office(network, db, time_zone="UTC", opening_hours=always)


def until(is_so: Callable[[], Any], seconds: float = 20) -> float:
    """Waits until something is so; how long that took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


def book(program: Program, patient: Person, slot_id: str) -> Row:
    """A booking by one of the processes."""
    client = factories.make_client(patient.token, f"{program.base_url}/api/v1")
    return done(client.post("/appointments", json={"slot_id": slot_id}), 201)


def tomorrow(office: Office, number: int) -> str:
    """A slot of tomorrow."""
    start = (utc_now() + DAY).replace(minute=0, second=0, microsecond=0)
    return office.slot_id(start + number * 30 * MINUTE)


def test_two_processes_send_each_reminder_once_and_keep_the_pace(
    office: Office, phones: Carrier, request: pytest.FixtureRequest
) -> None:
    """Both begin with the same reminders due. What is due at once waits its turn, a second's messages at a time."""
    phones.pacing(2 * PACE)  # a second's messages may follow close on those of the second before
    people = [office.patient() for _ in range(40)]
    start = (utc_now() + 2 * HOUR + 30 * MINUTE).replace(second=0, microsecond=0)
    slot_id = office.slot_id(start.replace(minute=start.minute // 5 * 5), capacity=len(people))
    with clock.shifted(-DAY):
        appointments = [office.book_seat(patient, slot_id) for patient in people]
    request.getfixturevalue("programs")
    sent = 2 * len(people)
    until(phones.messages, seconds=80)  # where the processes ran already: at their next minute
    until(lambda: office.db["sms_logs"].count_documents({"status": "sent"}) == sent)
    times = [row["sent_at"] for row in office.db["sms_logs"].find({"status": "sent"})]
    # So many seconds' worth: the first may be the last thing of its second, and the last the first of its own.
    assert (max(times) - min(times)).total_seconds() > ceil(sent / PACE) - 2
    for patient, appointment in zip(people, appointments, strict=True):
        texts = [message["body"] for message in phones.messages(to=patient.user.phone)]
        assert len([text for text in texts if text.startswith("Reminder")]) == 1
        assert len([text for text in texts if text.startswith("Your appointment")]) == 1
        assert office.log(appointment, "reminder")["attempts"] == 1
        assert office.stored(appointment)["confirmation_requested_at"]
    assert "429" not in phones.counts()["answers"]


def test_a_message_owed_by_a_request_is_at_the_carrier_within_a_second(
    office: Office, phones: Carrier, programs: tuple[Program, Program]
) -> None:
    waits = []
    for number in range(6):
        patient = office.patient()
        book(programs[number % 2], patient, tomorrow(office, number))
        waits.append(until(lambda: phones.messages(to=patient.user.phone)))  # noqa: B023 - called at once
        time.sleep(0.1)
    # One in six may have been held up by a busy machine. None waits for the next second's pace: that would be half of
    # a second on average.
    assert sorted(waits)[-2] < 1, waits
    assert median(waits) < 0.4, waits


def test_a_post_that_hangs_holds_up_no_other_message(
    office: Office, phones: Carrier, programs: tuple[Program, Program]
) -> None:
    unlucky, *others = [office.patient() for _ in range(4)]
    phones.faults("hang_before_accept", numbers=[unlucky.user.phone or ""])
    for number, patient in enumerate([unlucky, *others]):
        # By the same process, which is waiting for the carrier's answer.
        book(programs[0], patient, tomorrow(office, number))
        if patient is unlucky:
            until(lambda: phones.counts()["in_flight"])
        else:
            assert until(lambda: phones.messages(to=patient.user.phone)) < 2  # noqa: B023 - called at once


def test_fictional_numbers_never_reach_the_carrier(
    office: Office, phones: Carrier, programs: tuple[Program, Program]
) -> None:
    fictional, real = office.patient(phone="+15555550123"), office.patient(phone=new_phone())
    skipped, sent = (
        book(programs[0], patient, tomorrow(office, number)) for number, patient in enumerate([fictional, real])
    )
    until(lambda: phones.messages(to=real.user.phone))
    until(lambda: office.logs(skipped) and office.log(skipped, "booked")["status"] == "skipped")
    assert office.log(skipped, "booked")["skip_reason"] == "fictional number"
    assert not phones.messages(to=fictional.user.phone)
    until(lambda: office.log(sent, "booked").get("twilio_sid"))  # written down a moment after the carrier has it


def test_a_codes_text_is_not_kept_once_the_carrier_has_it(
    office: Office, phones: Carrier, programs: tuple[Program, Program]
) -> None:
    patient, refused = office.patient(), office.patient()
    phones.faults("reject", numbers=[refused.user.phone or ""])
    for person in (patient, refused):
        client = factories.make_client(person.token, f"{programs[0].base_url}/api/v1")
        assert client.post("/users/me/phone/verification").status_code == 202
    until(lambda: office.db["sms_logs"].count_documents({"status": {"$in": ["sent", "failed"]}}) == 2)
    (message,) = phones.messages(to=patient.user.phone)
    assert message["body"].endswith("Tell it to nobody.")
    assert not any("body" in log for log in office.db["sms_logs"].find({}, hint="_id_"))
