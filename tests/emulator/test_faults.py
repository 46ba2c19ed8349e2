"""Every fault does what it says: whether the message was accepted, and what the sender hears."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.emulator.client import SENDER, Carrier, running_carrier
from tests.emulator.faults import Mode
from tests.emulator.receiver import Receiver
from tests.emulator.sdk import with_sdk

pytestmark = pytest.mark.long

PATIENT = "+12125550123"


def send(carrier: Carrier, to: str = PATIENT, **values: Any) -> str:
    """What the sender hears within half a second, in a word."""

    async def work(client: Client) -> str:
        try:
            async with asyncio.timeout(0.5):
                created = await client.messages.create_async(to=to, from_=SENDER, body="Hello", **values)
        except TwilioRestException as error:
            return f"{error.status} {error.code}"
        except TimeoutError:
            return "nothing"
        except aiohttp.ClientConnectorError:
            return "connection refused"
        except aiohttp.ClientConnectionError:
            return "connection lost"
        return str(created.status)

    return with_sdk(carrier, work)


@pytest.mark.parametrize(
    ("mode", "heard", "accepted"),
    [
        ("hang", "nothing", 1),
        ("hang_before_accept", "nothing", 0),
        ("500_after_accept", "500 20500", 1),
        ("500_before_accept", "500 20500", 0),
        ("503", "503 20503", 0),
        ("429", "429 20429", 0),
        ("refuse", "connection lost", 0),
        ("reject", "400 21612", 0),
        ("drop_after_accept", "connection lost", 1),
        ("slow", "queued", 1),
    ],
)
def test_a_fault_befalls_one_create(clean_carrier: Carrier, mode: Mode, heard: str, accepted: int) -> None:
    clean_carrier.faults(mode, count=1, milliseconds=100)
    assert send(clean_carrier) == heard
    assert len(clean_carrier.messages(PATIENT)) == accepted
    assert send(clean_carrier) == "queued"
    assert len(clean_carrier.messages(PATIENT)) == accepted + 1


def test_a_fault_befalls_some_numbers(clean_carrier: Carrier) -> None:
    clean_carrier.faults("reject", numbers=[PATIENT], code=21610)
    assert [send(clean_carrier), send(clean_carrier, "+12125550124")] == ["400 21610", "queued"]
    clean_carrier.no_faults()
    assert send(clean_carrier) == "queued"


def test_a_fault_befalls_a_fraction(clean_carrier: Carrier) -> None:
    clean_carrier.faults("429", fraction=0.5)
    answers = {send(clean_carrier) for _ in range(20)}
    assert answers == {"429 20429", "queued"}


def test_a_list_fails_on_demand(clean_carrier: Carrier) -> None:
    clean_carrier.faults("503", operation="list", count=1)

    async def work(client: Client) -> int:
        return len(await client.messages.list_async(to=PATIENT))

    with pytest.raises(Exception, match="Unable to fetch page"):
        with_sdk(clean_carrier, work)
    assert with_sdk(clean_carrier, work) == 0


def test_the_listing_lags(clean_carrier: Carrier) -> None:
    clean_carrier.listing_lag(0.5)
    send(clean_carrier)

    async def listed(client: Client) -> int:
        return len(await client.messages.list_async(to=PATIENT))

    assert len(clean_carrier.messages(PATIENT)) == 1
    assert with_sdk(clean_carrier, listed) == 0
    sid = clean_carrier.messages(PATIENT)[0]["sid"]
    with pytest.raises(TwilioRestException):
        with_sdk(clean_carrier, lambda client: client.messages(sid).fetch_async())
    time.sleep(0.6)
    assert with_sdk(clean_carrier, listed) == 1


def test_more_than_the_pace_is_refused(clean_carrier: Carrier) -> None:
    clean_carrier.pacing(3)

    async def burst(client: Client) -> list[Any]:
        work = [client.messages.create_async(to=PATIENT, from_=SENDER, body=f"No. {number}") for number in range(10)]
        return await asyncio.gather(*work, return_exceptions=True)

    answers = with_sdk(clean_carrier, burst)
    refused = [answer.code for answer in answers if isinstance(answer, TwilioRestException)]
    assert refused == [20429] * len(refused)
    assert len(clean_carrier.messages()) == 10 - len(refused)
    assert 3 <= len(clean_carrier.messages()) <= 5
    time.sleep(0.5)
    assert send(clean_carrier) == "queued"


def test_the_port_is_closed_for_a_while(clean_carrier: Carrier) -> None:
    send(clean_carrier)
    clean_carrier.away(0.5)
    assert send(clean_carrier) == "connection refused"
    clean_carrier.program.wait_until_ready(5)
    assert send(clean_carrier) == "queued"
    assert len(clean_carrier.messages()) == 2


def statuses(receiver: Receiver) -> list[str]:
    return [heard.parameters["MessageStatus"] for heard in receiver.heard]


def test_callbacks_come_twice(clean_carrier: Carrier, receiver: Receiver) -> None:
    clean_carrier.callbacks(twice=True)
    send(clean_carrier, status_callback=receiver.url)
    clean_carrier.wait_until_quiet()
    assert statuses(receiver) == ["sent", "sent", "delivered", "delivered"]


def test_callbacks_come_out_of_order(clean_carrier: Carrier, receiver: Receiver) -> None:
    clean_carrier.callbacks(out_of_order=True)
    send(clean_carrier, status_callback=receiver.url)
    clean_carrier.wait_until_quiet()
    assert statuses(receiver) == ["delivered", "sent"]


def test_callbacks_come_late(clean_carrier: Carrier, receiver: Receiver) -> None:
    clean_carrier.callbacks(delay=300)
    send(clean_carrier, status_callback=receiver.url)
    time.sleep(0.1)
    assert statuses(receiver) == []
    clean_carrier.wait_until_quiet()
    assert statuses(receiver) == ["sent", "delivered"]


def test_callbacks_do_not_come(clean_carrier: Carrier, receiver: Receiver) -> None:
    clean_carrier.callbacks(on=False)
    send(clean_carrier, status_callback=receiver.url)
    clean_carrier.wait_until_quiet()
    assert statuses(receiver) == []
    assert clean_carrier.messages(PATIENT)[0]["status"] == "delivered"


@pytest.mark.parametrize("mode", [None, "hang", "500_after_accept", "drop_after_accept"])
def test_a_callback_comes_before_the_answer(clean_carrier: Carrier, receiver: Receiver, mode: Mode | None) -> None:
    clean_carrier.callbacks(before_answer=True)
    clean_carrier.settings(delivered_after=60_000)
    if mode:
        clean_carrier.faults(mode, count=1)
    heard = send(clean_carrier, status_callback=receiver.url)
    assert (heard == "queued") == (mode is None)
    assert statuses(receiver) == ["sent"]
    assert receiver.heard[0].parameters["MessageSid"] == clean_carrier.messages(PATIENT)[0]["sid"]


def test_a_callback_that_nobody_hears_is_recorded(clean_carrier: Carrier) -> None:
    send(clean_carrier, status_callback="http://127.0.0.1:9/hook")
    clean_carrier.wait_until_quiet()
    assert [report["answer"] for report in clean_carrier.reports()] == [0, 0]


def test_requests_are_counted(clean_carrier: Carrier) -> None:
    clean_carrier.faults("slow", milliseconds=200)

    async def burst(client: Client) -> None:
        work = [client.messages.create_async(to=PATIENT, from_=SENDER, body="Hello") for _ in range(5)]
        await asyncio.gather(*work)

    with_sdk(clean_carrier, burst)
    counts = clean_carrier.counts()
    assert counts["requests"] == {"create": 5}
    assert counts["answers"] == {"201": 5}
    assert (counts["accepted"], counts["in_flight"], counts["most_in_flight"]) == (5, 0, 5)
    clean_carrier.reset()
    assert clean_carrier.counts()["requests"] == {}
    assert not clean_carrier.messages()


def test_without_validation_an_empty_answer_goes_out() -> None:
    with running_carrier() as carrier:
        carrier.faults("empty_answer", count=1)
        assert send(carrier) == "None"
        assert len(carrier.messages(PATIENT)) == 1
        assert carrier.violations() == []
