"""What Twilio posts to us, signed as it signs: replies of patients, reports of delivery."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree import ElementTree

import httpx

from backend.core.settings import settings
from backend.messaging.twilio.carrier import SMS_PATH, STATUS_PATH, signing_key
from tests import factories
from tests.emulator.client import ACCOUNT_SID
from tests.emulator.webhooks import signature

PUBLIC = settings.PUBLIC_BASE_URL
FORM = "application/x-www-form-urlencoded"
PHONES_KEY = signing_key()
"""What the simulated phone signs with: when this is read, no carrier is set up."""

Form = Mapping[str, str]


def new_sid() -> str:
    """An id as the carrier gives to each message."""
    return f"SM{uuid4().hex}"


def sms_form(phone: str, body: str, *, sid: str | None = None, **more: str) -> dict[str, str]:
    """The fields of a patient's SMS; what Twilio doesn't know comes blank."""
    return {
        "ToCountry": "US",
        "FromCity": "",
        "FromState": "",
        "NumMedia": "0",
        "SmsStatus": "received",
        "AccountSid": ACCOUNT_SID,
        "MessageSid": sid or new_sid(),
        "From": phone,
        "To": "+15005550006",
        "Body": body,
        **more,
    }


def status_form(sid: str, status: str, error_code: int | None = None, **more: str) -> dict[str, str]:
    """The fields of a report."""
    code = {"ErrorCode": str(error_code)} if error_code else {}
    return {
        "AccountSid": ACCOUNT_SID,
        "MessageSid": sid,
        "MessageStatus": status,
        "SmsStatus": status,
        **code,
        **more,
    }


def sign(path: str, form: Form, *, key: str | None = None, public: str = PUBLIC) -> str:
    """The signature of a form that is posted to a path with its query."""
    return signature(key or signing_key(), public + path, form)


def post(
    base_url: str,
    path: str,
    form: Form,
    *,
    signed: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Posts a form; signed rightly unless another signature is given."""
    given = {"Content-Type": FORM, "X-Twilio-Signature": sign(path, form) if signed is None else signed}
    client = factories.make_client(base_url=base_url)
    return client.post(path, content=urlencode(form), headers={**given, **(headers or {})})


def reply(base_url: str, phone: str, body: str, *, sid: str | None = None) -> list[str]:
    """A patient writes; the texts of the answer."""
    return texts_of(post(base_url, SMS_PATH, sms_form(phone, body, sid=sid)))


def texts_of(answer: httpx.Response) -> list[str]:
    """The messages of a TwiML document."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/xml")
    root = ElementTree.fromstring(answer.text)
    assert root.tag == "Response"
    assert all(child.tag == "Message" for child in root)
    return [child.text or "" for child in root]


def report(base_url: str, form: Form, *, attempt: str | None = None) -> None:
    """A report of delivery comes; it is taken, whatever it says."""
    path = STATUS_PATH + (f"?attempt={attempt}" if attempt is not None else "")
    answer = post(base_url, path, form)
    assert answer.status_code == 204, answer.text


def is_not_signed(answer: httpx.Response) -> bool:
    """Whether it was refused for its signature."""
    body: dict[str, Any] = answer.json()
    return (answer.status_code, body["error_code"]) == (403, "INVALID_SIGNATURE")
