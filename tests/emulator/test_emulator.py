"""The emulator as Twilio's SDK sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.rest.api.v2010.account.message import MessageInstance

from tests.emulator.client import SENDER, SERVICE_SID, Carrier
from tests.emulator.receiver import Receiver
from tests.emulator.sdk import with_sdk

pytestmark = pytest.mark.long

PATIENT = "+12125550123"


def create(carrier: Carrier, **values: Any) -> MessageInstance:
    values = {"to": PATIENT, "from_": SENDER, "body": "Reply 1 to confirm.", **values}
    values = {name: value for name, value in values.items() if value is not None}
    return with_sdk(carrier, lambda client: client.messages.create_async(**values))


def post(carrier: Carrier, **form: str) -> httpx.Response:
    """A create past the SDK, which forbids some mistakes."""
    url = f"{carrier.base_url}/2010-04-01/Accounts/{carrier.account_sid}/Messages.json"
    return httpx.post(url, data=form, auth=(carrier.account_sid, carrier.auth_token))


def test_a_message_is_accepted_and_fetched(clean_carrier: Carrier) -> None:
    created = create(clean_carrier)
    assert (created.status, created.date_sent, created.direction) == ("queued", None, "outbound-api")
    clean_carrier.wait_until_quiet()

    fetched = with_sdk(clean_carrier, lambda client: client.messages(created.sid).fetch_async())
    assert (fetched.status, fetched.to, fetched.from_) == ("delivered", PATIENT, SENDER)
    assert fetched.body == "Reply 1 to confirm."
    assert fetched.num_segments == "1"
    assert abs(fetched.date_sent - datetime.now(UTC)) < timedelta(seconds=30)
    assert [message["sid"] for message in clean_carrier.messages(PATIENT)] == [created.sid]


def test_a_messaging_service_chooses_the_sender_later(clean_carrier: Carrier) -> None:
    created = create(clean_carrier, from_=None, messaging_service_sid=SERVICE_SID)
    assert (created.status, created.from_, created.num_segments) == ("accepted", None, "0")
    clean_carrier.wait_until_quiet()
    fetched = with_sdk(clean_carrier, lambda client: client.messages(created.sid).fetch_async())
    assert (fetched.status, fetched.from_, fetched.messaging_service_sid) == (
        "delivered",
        SENDER,
        SERVICE_SID,
    )


def test_the_list_is_paged_newest_first(clean_carrier: Carrier) -> None:
    async def work(client: Client) -> tuple[list[str], list[str], list[str], list[str]]:
        made = [
            await client.messages.create_async(to=PATIENT, from_=SENDER, body=f"No. {number}") for number in range(7)
        ]
        first = await client.messages.page_async(to=PATIENT, page_size=3)
        shown = [message.sid for message in first]
        await client.messages.create_async(to=PATIENT, from_=SENDER, body="accepted meanwhile")
        second = await first.next_page_async()
        assert second
        shown_next = [message.sid for message in second]
        back = await second.previous_page_async()
        assert back
        everything = [message.sid for message in await client.messages.list_async(to=PATIENT, page_size=3)]
        made_sids = [message.sid for message in reversed(made)]
        return made_sids, shown + shown_next, everything, [message.sid for message in back]

    made, two_pages, everything, back = with_sdk(clean_carrier, work)
    assert two_pages == made[:6], "a message accepted meanwhile has shifted the page"
    assert everything[1:] == made
    assert back == made[:3]


def test_the_list_is_filtered(clean_carrier: Carrier) -> None:
    sid = create(clean_carrier).sid
    create(clean_carrier, to="+12125550124")
    clean_carrier.wait_until_quiet()
    clean_carrier.settings(sent_after=60_000)
    unsent = create(clean_carrier).sid
    today = datetime.now(UTC).replace(microsecond=0)

    async def work(client: Client) -> list[list[str]]:
        day, hour = timedelta(days=1), timedelta(hours=1)
        listings = [
            await client.messages.list_async(to=PATIENT),
            await client.messages.list_async(from_="+12125550199"),
            await client.messages.list_async(to=PATIENT, date_sent=today),
            await client.messages.list_async(to=PATIENT, date_sent=today - 2 * day),
            await client.messages.list_async(to=PATIENT, date_sent_after=today - hour),
            await client.messages.list_async(to=PATIENT, date_sent_before=today - hour),
        ]
        return [[message.sid for message in listing] for listing in listings]

    assert with_sdk(clean_carrier, work) == [[unsent, sid], [], [sid], [], [sid], []]


def test_a_wrong_token_is_refused(clean_carrier: Carrier) -> None:
    with pytest.raises(TwilioRestException) as refused:
        with_sdk(clean_carrier, lambda client: client.messages("SM" + "0" * 32).fetch_async(), token="wrong")
    assert (refused.value.status, refused.value.code) == (401, 20003)


def test_an_unknown_message_is_not_found(clean_carrier: Carrier) -> None:
    with pytest.raises(TwilioRestException) as refused:
        with_sdk(clean_carrier, lambda client: client.messages("SM" + "0" * 32).fetch_async())
    assert (refused.value.status, refused.value.code) == (404, 20404)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"to": "+15005550001"}, 21211),
        ({"to": "+15005550002"}, 21612),
        ({"to": "+15005550003"}, 21408),
        ({"to": "+15005550004"}, 21610),
        ({"to": "+15005550009"}, 21614),
        ({"to": SENDER}, 21266),
        ({"from_": "+15005550001"}, 21212),
        ({"from_": "+15005550007"}, 21606),
        ({"from_": "+15005550008"}, 21611),
    ],
)
def test_magic_numbers_are_refused_as_documented(clean_carrier: Carrier, values: dict[str, str], code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        create(clean_carrier, **values)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert not clean_carrier.messages()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"From": SENDER, "Body": "x"}, 21604),
        ({"From": SENDER, "Body": "x", "To": "5550123"}, 21211),
        ({"To": PATIENT, "Body": "x"}, 21603),
        ({"To": PATIENT, "Body": "x", "From": "clinic"}, 21212),
        ({"To": PATIENT, "From": SENDER}, 21602),
        ({"To": PATIENT, "From": SENDER, "Body": ""}, 21602),
        ({"To": PATIENT, "From": SENDER, "Body": "x" * 1601}, 21617),
    ],
)
def test_a_malformed_create_is_refused_and_a_violation(carrier: Carrier, form: dict[str, str], code: int) -> None:
    carrier.reset()
    answer = post(carrier, **form)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert len(carrier.violations()) == 1
    assert not carrier.messages()


@pytest.mark.parametrize("extra", [{"Urgent": "yes"}, {"StatusCallback": "here"}, {"ValidityPeriod": "0"}])
def test_what_twilio_does_not_know_is_a_violation(carrier: Carrier, extra: dict[str, str]) -> None:
    carrier.reset()
    answer = post(carrier, To=PATIENT, From=SENDER, Body="x", **extra)
    assert answer.status_code == 400
    assert next(iter(extra)) in carrier.violations()[0] or next(iter(extra.values())) in carrier.violations()[0]
    assert not carrier.messages()


def test_an_empty_answer_is_a_violation(carrier: Carrier) -> None:
    carrier.reset()
    carrier.faults("empty_answer", count=1)
    assert post(carrier, To=PATIENT, From=SENDER, Body="x").status_code == 400
    assert "'sid' is a required property" in carrier.violations()[0]


def test_callbacks_are_signed_as_the_sdk_verifies(clean_carrier: Carrier, receiver: Receiver) -> None:
    url = f"{receiver.url}?attempt=a%2Fb&empty="
    created = create(clean_carrier, status_callback=url)
    clean_carrier.wait_until_quiet()
    assert [heard.parameters["MessageStatus"] for heard in receiver.heard] == ["sent", "delivered"]
    for heard in receiver.heard:
        assert heard.url == url
        assert heard.parameters["MessageSid"] == heard.parameters["SmsSid"] == created.sid
        assert RequestValidator(clean_carrier.auth_token).validate(url, heard.parameters, heard.signature)
        assert not RequestValidator("another").validate(url, heard.parameters, heard.signature)
    assert [report["answer"] for report in clean_carrier.reports()] == [200, 200]


def test_an_undelivered_message_reports_its_error(clean_carrier: Carrier, receiver: Receiver) -> None:
    clean_carrier.outcome(PATIENT, "undelivered", 30003)
    clean_carrier.outcome("+12125550124", "failed", 30008)
    create(clean_carrier, status_callback=receiver.url)
    clean_carrier.wait_until_quiet()
    create(clean_carrier, to="+12125550124", status_callback=receiver.url)
    clean_carrier.wait_until_quiet()
    heard = [(each.parameters["SmsStatus"], each.parameters.get("ErrorCode")) for each in receiver.heard]
    assert heard == [("sent", None), ("undelivered", "30003"), ("failed", "30008")]
    assert clean_carrier.messages(PATIENT)[0]["error_message"] == "Unreachable destination handset"


def test_a_reply_is_signed_and_its_twiml_sent_back(clean_carrier: Carrier, receiver: Receiver) -> None:
    receiver.twiml = "<Response><Message>See you.</Message><Message><Body>Floor 2</Body></Message></Response>"
    reply = clean_carrier.reply(PATIENT, "1 \N{THUMBS UP SIGN}", receiver.url)
    assert (reply["status"], reply["replies"]) == (200, ["See you.", "Floor 2"])
    clean_carrier.reply(PATIENT, "1 \N{THUMBS UP SIGN}", receiver.url, sid=reply["sid"])
    first, second = receiver.heard
    assert first.parameters["Body"] == "1 \N{THUMBS UP SIGN}"
    assert first.parameters["FromCity"] == ""
    assert first.parameters == second.parameters
    assert RequestValidator(clean_carrier.auth_token).validate(first.url, first.parameters, first.signature)
    sent = clean_carrier.messages(PATIENT, direction="outbound-reply")
    assert [message["body"] for message in sent[:2]] == ["See you.", "Floor 2"]
    assert len(clean_carrier.messages(direction="inbound")) == 1


def test_an_answer_that_is_not_twiml_is_a_violation(carrier: Carrier, receiver: Receiver) -> None:
    carrier.reset()
    receiver.media_type = "application/json"
    with pytest.raises(AssertionError, match="application/json"):
        carrier.reply(PATIENT, "1", receiver.url)
    assert carrier.violations()


@pytest.mark.parametrize("word", ["STOP", "stopall", " Unsubscribe", "cancel", "End", "QUIT", "revoke", "OptOut"])
def test_an_opt_out_word_blocks_this_sender_only(clean_carrier: Carrier, word: str) -> None:
    clean_carrier.reply(PATIENT, word)
    with pytest.raises(TwilioRestException) as refused:
        create(clean_carrier)
    assert refused.value.code == 21610
    assert create(clean_carrier, from_="+12125550100").status == "queued"
    assert create(clean_carrier, to="+12125550124").status == "queued"
    assert [message["automatic"] for message in clean_carrier.messages(PATIENT, "outbound-reply")] == [True]


@pytest.mark.parametrize("word", ["START", "yes", "Unstop"])
def test_an_opt_in_word_unblocks(clean_carrier: Carrier, word: str) -> None:
    clean_carrier.reply(PATIENT, "STOP")
    clean_carrier.reply(PATIENT, word)
    assert create(clean_carrier).status == "queued"


def test_other_words_do_not_opt_out(clean_carrier: Carrier) -> None:
    for body in ("please stop", "STOP it", "cancel my appointment", "2", "NO"):
        clean_carrier.reply(PATIENT, body)
    assert create(clean_carrier).status == "queued"


def test_an_answer_to_somebody_who_opted_out_is_not_delivered(clean_carrier: Carrier, receiver: Receiver) -> None:
    receiver.twiml = "<Response><Message>Noted.</Message></Response>"
    clean_carrier.reply(PATIENT, "STOP", receiver.url)
    answer = clean_carrier.messages(PATIENT, "outbound-reply")[-1]
    assert (answer["body"], answer["status"], answer["error_code"]) == ("Noted.", "failed", 21610)
