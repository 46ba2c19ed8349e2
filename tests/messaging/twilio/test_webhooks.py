"""Who may call the webhooks, with what; and that a repeated call is answered again but not acted on again."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from backend.core import clock
from backend.messaging.twilio.carrier import SMS_PATH, STATUS_PATH
from tests import factories
from tests.contract.hostile.support import nothing_changes, send_raw
from tests.factories import Run
from tests.messaging import scenes
from tests.messaging.asked import Desk
from tests.messaging.network import Network
from tests.messaging.office import Db
from tests.messaging.scenes import Scene
from tests.messaging.signed import (
    FORM,
    PHONES_KEY,
    PUBLIC,
    is_not_signed,
    new_sid,
    post,
    sign,
    sms_form,
    status_form,
    texts_of,
)
from tests.support.servers import Program, serving

TOKEN = "fedcba9876543210" * 2
ACCOUNT = "AC" + "0123456789abcdef" * 2

Sent = httpx.Response


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    """A clinic."""
    return Desk.open(network, db)


@pytest.fixture
def scene(desk: Desk) -> Iterator[Scene]:
    """A patient who was just asked; the clock is held there."""
    scene = scenes.asked(desk)
    with clock.stopped(scene.at):
        yield scene


def both(phone: str) -> list[tuple[str, dict[str, str]]]:
    """A call of each webhook that would do something."""
    return [(SMS_PATH, sms_form(phone, "2")), (STATUS_PATH, status_form(new_sid(), "undelivered", 30003))]


def flipped(signature: str) -> str:
    return ("A" if signature[0] != "A" else "B") + signature[1:]


FORGED: dict[str, Callable[[str, dict[str, str]], str]] = {
    "empty": lambda path, form: "",
    "nonsense": lambda path, form: "nonsense",
    "of another key": lambda path, form: sign(path, form, key="0" * 32),
    "of an empty key": lambda path, form: sign(path, form, key=" "),
    "one letter off": lambda path, form: flipped(sign(path, form)),
    "cut short": lambda path, form: sign(path, form)[:-2],
    "twice": lambda path, form: sign(path, form) * 2,
    "in another case": lambda path, form: sign(path, form).swapcase(),
    "very long": lambda path, form: "A" * 5000,
    "of https": lambda path, form: sign(path, form, public=PUBLIC.replace("http:", "https:")),
    "of another host": lambda path, form: sign(path, form, public="http://example.com"),
    "of another port": lambda path, form: sign(path, form, public=PUBLIC.rsplit(":", 1)[0] + ":9999"),
    "of another path": lambda path, form: sign("/api/v1/twilio/other", form),
    "of the path with a slash": lambda path, form: sign(path + "/", form),
    "of another query": lambda path, form: sign(path + "?attempt=1", form),
    "of another body": lambda path, form: sign(path, {**form, "Body": "1"}),
    "of fewer fields": lambda path, form: sign(path, dict(list(form.items())[:-1])),
    "of the address alone": lambda path, form: sign(path, {}),
}


def test_a_forged_signature_is_refused_and_nothing_happens(scene: Scene, db: Db, base_url: str) -> None:
    with nothing_changes(db):
        for name, forge in FORGED.items():
            for path, form in both(scene.phone):
                assert is_not_signed(post(base_url, path, form, signed=forge(path, form))), name


@pytest.mark.parametrize("path", [SMS_PATH, STATUS_PATH])
@pytest.mark.parametrize(
    "header", [b"", b"X-Twilio-Signature: \xff\xfe\x80\r\n", b"X-Twilio-Signature: \xc3\xa9\r\n"]
)
def test_no_signature_or_one_that_is_no_ascii_is_refused(path: str, header: bytes, base_url: str) -> None:
    body = urlencode(sms_form("+12125550101", "2")).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\n".encode()
    answer = send_raw(base_url, head + header + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (403, "INVALID_SIGNATURE")


def test_what_was_changed_on_the_way_is_refused(scene: Scene, db: Db, base_url: str) -> None:
    """A field more, a query more, another path, another field: with the signature of what was sent."""
    form = sms_form(scene.phone, "1")
    signed = sign(SMS_PATH, form)
    with nothing_changes(db):
        for path, changed in [
            (SMS_PATH, {**form, "Body": "2"}),
            (SMS_PATH, {**form, "From": "+12125550999"}),
            (SMS_PATH, {**form, "MessageSid": new_sid()}),
            (SMS_PATH, {**form, "Extra": "1"}),
            (SMS_PATH, {**form, "Extra": ""}),
            (SMS_PATH, {name: value for name, value in form.items() if name != "FromCity"}),
            (SMS_PATH, {**form, "FromCity": "", "FromState": "NY"}),
            (SMS_PATH + "?a=", form),
            (SMS_PATH + "?" + urlencode(form), {}),
            (STATUS_PATH, form),
        ]:
            assert is_not_signed(post(base_url, path, changed, signed=signed))


@pytest.mark.parametrize("host", ["example.com", "[", "localhost:8000@example.com", "", "a/b?c#d"])
def test_it_is_the_public_address_that_is_signed_whatever_host_the_request_names(
    host: str, scene: Scene, base_url: str
) -> None:
    """A proxy may have changed it."""
    form = sms_form(scene.phone, "1")
    body = urlencode(form)
    head = (
        f"POST {SMS_PATH} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {host}\r\nConnection: close\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\nX-Twilio-Signature: {sign(SMS_PATH, form)}\r\n\r\n"
    )
    answer = send_raw(base_url, (head + body).encode())
    assert answer.status in (200, 400)  # 400: what is no host at all
    other_head = head.replace(sign(SMS_PATH, form), sign(SMS_PATH, form, public=f"http://{host}"))
    assert send_raw(base_url, (other_head + body).encode()).status in (403, 400)


def test_blank_fields_and_the_query_are_part_of_what_is_signed(scene: Scene, base_url: str) -> None:
    form = sms_form(scene.phone, "", FromZip="", Unheard="")
    assert len(texts_of(post(base_url, SMS_PATH, form))) == 1
    assert len(texts_of(post(base_url, SMS_PATH + "?a=&b=1&a=2&%20=%C3%A9", sms_form(scene.phone, "hi")))) == 1


BODIES: dict[str, bytes] = {
    "none": b"",
    "JSON": json.dumps({"MessageSid": "SM" + "0" * 32, "From": "+12125550101", "Body": "2"}).encode(),
    "no form": b"&&&=&=&;;;",
    "10,000 fields": b"&".join(b"f%d=1" % n for n in range(10_000)),
    "10,000 fields of one name": b"&".join([b"Body=2"] * 10_000),
    "invalid UTF-8": b"Body=\xff\xfe&From=%2B12125550101",
    "invalid escapes of UTF-8": b"Body=%FF%FE&From=%2B12125550101",
    "a lone surrogate": b"Body=%ED%A0%80",
    "half an escape": b"Body=%&From=%2&MessageSid=%zz",
    "NUL": b"Body=%00\x00&From=\x00",
    "UTF-16": "Body=2&From=+12125550101".encode("utf-16"),
    "XML": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "100 kB": b"Body=" + b"a" * 100_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_unsigned_body_of_any_kind_is_refused(body: bytes, base_url: str) -> None:
    client = factories.make_client(base_url=base_url)
    for kind in (FORM, "application/json", "multipart/form-data; boundary=x"):
        for path in (SMS_PATH, STATUS_PATH, STATUS_PATH + "?attempt=" + "a" * 200):
            given = {"Content-Type": kind, "X-Twilio-Signature": sign(path, {"Body": "1"})}
            assert is_not_signed(client.post(path, content=body, headers=given))


@pytest.mark.parametrize("path", [SMS_PATH, STATUS_PATH])
@pytest.mark.parametrize("signed", [True, False])
def test_an_oversize_body_is_too_large(path: str, signed: bool, base_url: str) -> None:
    form = sms_form("+12125550101", "a" * 1_000_000)
    answer = post(base_url, path, form, signed=None if signed else "")
    assert (answer.status_code, answer.json()["error_code"]) == (413, "BODY_TOO_LARGE")


def lacking(**over: str | None) -> dict[str, str]:
    """The fields of both webhooks, without those that are None."""
    whole = {**sms_form("+12125550101", "2"), **status_form(new_sid(), "delivered"), **over}
    return {name: value for name, value in whole.items() if value is not None}


INCOMPLETE = {
    "nothing": (SMS_PATH, {}),
    "no report": (STATUS_PATH, {}),
    "no sender": (SMS_PATH, lacking(From=None)),
    "a blank sender": (SMS_PATH, lacking(From="  ")),
    "a sender too long": (SMS_PATH, lacking(From="+" + "1" * 100)),
    "no body": (SMS_PATH, lacking(Body=None)),
    "no id": (SMS_PATH, lacking(MessageSid=None)),
    "a blank id": (SMS_PATH, lacking(MessageSid="")),
    "an id of another form": (SMS_PATH, lacking(MessageSid="SM123")),
    "an id with more behind it": (SMS_PATH, lacking(MessageSid="SM" + "0" * 32 + "\n")),
    "a report without an id": (STATUS_PATH, lacking(MessageSid=None)),
    "a report without a status": (STATUS_PATH, lacking(MessageStatus=None)),
    "a report with an id of a call": (STATUS_PATH, lacking(MessageSid="CA" + "0" * 32)),
}


@pytest.mark.parametrize(("path", "form"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_signed_webhook_that_lacks_something_is_refused_as_incomplete(
    path: str, form: dict[str, str], db: Db, base_url: str
) -> None:
    with nothing_changes(db):
        answer = post(base_url, path, form)
        assert (answer.status_code, answer.json()["error_code"]) == (422, "WEBHOOK_INCOMPLETE")


def test_a_signed_attempt_of_no_known_form_is_refused_or_ignored(db: Db, base_url: str) -> None:
    with nothing_changes(db):
        for query, status in [("a" * 65, 422), ("a" * 64, 204), ("%00", 204), ("%ED%A0%80", 204), ("", 204)]:
            path = f"{STATUS_PATH}?attempt={query}"
            assert post(base_url, path, status_form(new_sid(), "delivered")).status_code == status


STRANGE = [
    "a\x00b",
    "\x00",
    "\ufffe",
    "\U0010ffff",
    "\x1b[31m",
    "\r\n\r\n",
    "$where",
    '{"$gt": ""}',
    "]]>",
    "\x08" * 1000,
]


def test_signed_strange_texts_are_answered_as_not_understood(scene: Scene, base_url: str) -> None:
    for number, text in enumerate(STRANGE):
        answers = 1 if number < 2 else 0  # asked back, then given to the staff
        assert len(texts_of(post(base_url, SMS_PATH, sms_form(scene.phone, text)))) == answers
        assert len(texts_of(post(base_url, SMS_PATH, sms_form("x" + text[:60], "1")))) == 1
        report = status_form(new_sid(), text, ErrorCode=text, To=text)
        assert post(base_url, STATUS_PATH, report).status_code == 204


def test_repeated_fields_cannot_smuggle_in_what_was_not_signed(scene: Scene, db: Db, base_url: str) -> None:
    form = sms_form(scene.phone, "1")
    rest = urlencode({name: value for name, value in form.items() if name != "Body"})
    client = factories.make_client(base_url=base_url)
    with nothing_changes(db):
        for more in ("Body=1&Body=2", "Body=2&Body=1", f"Body=1&MessageSid={new_sid()}"):
            for path in (SMS_PATH, STATUS_PATH):
                given = {"Content-Type": FORM, "X-Twilio-Signature": sign(path, form)}
                assert is_not_signed(client.post(path, content=f"{rest}&{more}", headers=given)), more


def test_bytes_that_are_no_text_are_not_read_as_another_text(scene: Scene, db: Db, base_url: str) -> None:
    form = sms_form(scene.phone, "\ufffd")
    given = {"Content-Type": FORM, "X-Twilio-Signature": sign(SMS_PATH, form)}
    client = factories.make_client(base_url=base_url)
    for instead in (b"%FF", b"\xff", b"%C3"):
        body = urlencode(form).encode().replace(b"%EF%BF%BD", instead)
        with nothing_changes(db):
            assert is_not_signed(client.post(SMS_PATH, content=body, headers=given))


def history(desk: Desk, scene: Scene) -> list[str]:
    """The steps of the one appointment."""
    (asked,) = scene.appointments
    return [line.transition.value for line in desk.again(asked).history]


@pytest.mark.parametrize(("body", "step"), [("1", "confirm"), ("2", "cancel")])
def test_a_repeated_reply_is_answered_the_same_and_not_acted_on(
    body: str, step: str, desk: Desk, scene: Scene, db: Db, base_url: str
) -> None:
    form = sms_form(scene.phone, body)
    first = post(base_url, SMS_PATH, form)
    with nothing_changes(db):
        for _ in range(3):
            again = post(base_url, SMS_PATH, form)
            assert (again.status_code, again.text) == (200, first.text)
    assert history(desk, scene) == ["book", step]
    # Even after the world has moved on.
    post(base_url, SMS_PATH, sms_form(scene.phone, "2"))
    assert post(base_url, SMS_PATH, form).text == first.text


def test_a_reply_that_comes_twenty_times_at_once_is_acted_on_once(
    desk: Desk, scene: Scene, db: Db, base_url: str
) -> None:
    form = sms_form(scene.phone, "2")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(base_url, SMS_PATH, form), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    (text,) = {text for answer in answers for text in texts_of(answer)}
    assert text.startswith("Cancelled as you asked")
    assert all(len(texts_of(answer)) == 1 for answer in answers)
    assert history(desk, scene) == ["book", "cancel"]
    assert db["sms_logs"].count_documents({"kind": "reply"}) == 1


def test_different_replies_at_once_change_the_appointment_one_after_the_other(
    desk: Desk, scene: Scene, db: Db, base_url: str
) -> None:
    forms = [sms_form(scene.phone, body) for body in ["1"] * 4 + ["2"] * 4]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda form: post(base_url, SMS_PATH, form), forms))
    assert all(len(texts_of(answer)) == 1 for answer in answers)
    assert history(desk, scene) in (["book", "cancel"], ["book", "confirm", "cancel"])
    assert db["sms_logs"].count_documents({"handled_at": {"$gt": scene.at.replace(year=2020)}, "kind": "reply"}) == 8


def test_a_repeated_stop_and_start_change_what_the_last_new_one_says(desk: Desk, scene: Scene, base_url: str) -> None:
    """A STOP that the carrier repeats after a START is an old one."""
    assert scene.user
    stop, start = sms_form(scene.phone, "STOP"), sms_form(scene.phone, "START")
    for form, is_out in [(stop, True), (start, False), (stop, False), (start, False)]:
        post(base_url, SMS_PATH, form)
        assert desk.has_opted_out(scene.phone) is is_out


def test_nothing_personal_is_logged(scene: Scene, base_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in ("1", "my secret illness", "STOP"):
            post(base_url, SMS_PATH, sms_form(scene.phone, body))
            post(base_url, SMS_PATH, sms_form(scene.phone, body), signed="forged")
        post(base_url, STATUS_PATH, status_form(new_sid(), "undelivered", 30003, To=scene.phone))
    ours = [record for record in caplog.records if record.name.startswith(("backend", "twilio", "uvicorn"))]
    assert ours
    for record in ours:
        line = f"{record.getMessage()} {record.__dict__}"
        assert scene.phone[1:] not in line
        assert "illness" not in line


@pytest.fixture(scope="module")
def with_carrier(run: Run[Any]) -> Iterator[Program]:
    """A server process that is set up for Twilio."""
    settings = {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_API_URL": "http://127.0.0.1:9",
        "PUBLIC_BASE_URL": "https://clinic.example.com/book/",
        "LOG_LEVEL": "INFO",
    }
    with serving(environment=settings) as program:
        yield program


BOOK = "https://clinic.example.com/book"


@pytest.mark.long
def test_with_twilio_set_up_its_token_signs_the_public_address(with_carrier: Program, db: Db) -> None:
    def sent(form: dict[str, str], key: str = TOKEN, public: str = BOOK) -> Sent:
        return post(with_carrier.base_url, SMS_PATH, form, signed=sign(SMS_PATH, form, key=key, public=public))

    right = sms_form("+12125550101", "hello", AccountSid=ACCOUNT)
    assert len(texts_of(sent(right))) == 1
    with nothing_changes(db):
        assert len(texts_of(sent(right))) == 1
        assert is_not_signed(sent(right, key=PHONES_KEY))
        assert is_not_signed(sent(right, public="https://clinic.example.com"))
        assert is_not_signed(sent(right, public="http://clinic.example.com/book"))
        assert is_not_signed(sent(sms_form("+12125550101", "hello", AccountSid="AC" + "9" * 32)))
        assert is_not_signed(sent(sms_form("+12125550101", "hello", AccountSid="")))
        without = {name: value for name, value in right.items() if name != "AccountSid"}
        assert is_not_signed(sent(without))
    assert "12125550101" not in with_carrier.output
    assert "hello" not in with_carrier.output
