"""What Twilio accepts and refuses, as pure functions. Codes: https://www.twilio.com/docs/api/errors;
magic numbers: https://www.twilio.com/docs/iam/test-credentials#test-sms-messages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
LONGEST_BODY = 1600

OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
OPT_IN = frozenset({"START", "YES", "UNSTOP"})
HELP = frozenset({"HELP", "INFO"})

_STATUS = {20003: 401, 20404: 404, 20429: 429, 20500: 500, 20503: 503}

_TEXT = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "An internal server error has occurred",
    20503: "Service Unavailable",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid From Number (caller ID)",
    21266: "'To' and 'From' number cannot be the same",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The From phone number is not a valid, SMS-capable inbound phone number for your account.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "SMS queue is full.",
    21612: "The message cannot be sent with the current combination of 'To' and/or 'From' parameters",
    21614: "'To' number is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit.",
}

_MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}

# Twilio's pages don't give the HTTP status of 21611, so it is 400 here: a sender that asks for the code is right
# whichever it is, one that waits for a 429 is not.
_MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}[]~|\\€\f")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Twilio's error."""

    code: int
    text: str = ""
    status: int = 0

    def as_body(self) -> dict[str, object]:
        """As Twilio writes it."""
        return {
            "code": self.code,
            "message": self.text or _TEXT.get(self.code, "Bad request"),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.http_status,
        }

    @property
    def http_status(self) -> int:
        """400 if nothing else is known of the code."""
        return self.status or _STATUS.get(self.code, 400)


def refusal(form: Mapping[str, str], opted_out: bool) -> Refusal | None:
    """Why a message is not accepted; None if it is."""
    code = _sender_code(form) or _recipient_code(form, opted_out) or _body_code(form)
    return Refusal(code) if code else None


def _sender_code(form: Mapping[str, str]) -> int:
    sender, service = form.get("From", ""), form.get("MessagingServiceSid", "")
    if not sender:
        if not service:
            return 21603
        return 0 if SERVICE.fullmatch(service) else 21212
    if not E164.fullmatch(sender):
        return 21212
    return _MAGIC_FROM.get(sender, 0)


def _recipient_code(form: Mapping[str, str], opted_out: bool) -> int:
    recipient = form.get("To", "")
    if not recipient:
        return 21604
    if not E164.fullmatch(recipient):
        return 21211
    if recipient == form.get("From"):
        return 21266
    return 21610 if opted_out else _MAGIC_TO.get(recipient, 0)


def _body_code(form: Mapping[str, str]) -> int:
    body = form.get("Body", "")
    if not body and not form.get("MediaUrl") and not form.get("ContentSid"):
        return 21602
    return 21617 if len(body) > LONGEST_BODY else 0


def segments(body: str) -> int:
    """How many SMS it takes: 160 septets or 70 UTF-16 units in one, 153 or 67 in each of several.

    A character of the extended table takes two septets and is not split (3GPP TS 23.038).
    """
    letters = set(body)
    if letters <= _BASIC and len(body) <= 160:
        return 1
    if letters <= _BASIC | _EXTENDED:
        units = [2 if letter in _EXTENDED else 1 for letter in body]
        one, several = 160, 153
    else:
        units = [2 if ord(letter) > 0xFFFF else 1 for letter in body]
        one, several = 70, 67
    if sum(units) <= one:
        return 1
    count, room = 1, several
    for unit in units:
        if unit > room:
            count, room = count + 1, several
        room -= unit
    return count
