"""The messages that the emulator has accepted, and how they are listed."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import urlencode

from tests.emulator.rules import segments

API_VERSION = "2010-04-01"

ERRORS = {
    21610: "Attempt to send to unsubscribed recipient",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
}

Resource = dict[str, object]


def now() -> datetime:
    """Twilio's times have whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def new_sid() -> str:
    """As Twilio makes them for an SMS."""
    return f"SM{os.urandom(16).hex()}"


@lru_cache(maxsize=64)
def rfc_2822(moment: datetime) -> str:
    """`Thu, 30 Jul 2015 20:12:31 +0000`."""
    return format_datetime(moment)


@dataclass(slots=True)
class Message:
    """One message; times in UTC, `visible_at` on the monotonic clock."""

    account_sid: str
    sender: str
    recipient: str
    body: str
    direction: str = "outbound-api"
    status: str = "queued"
    service_sid: str | None = None
    callback_url: str = ""
    automatic: bool = False  # Twilio's own answer to an opt-out word or HELP
    sid: str = field(default_factory=new_sid)
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    sent: datetime | None = None
    error_code: int | None = None
    visible_at: float = 0

    def change(self, status: str, error_code: int | None = None) -> None:
        """The next status. `sent` stamps the time."""
        self.status = status
        self.updated = now()
        if status == "sent":
            self.sent = self.updated
        if error_code:
            self.error_code = error_code

    def as_resource(self) -> Resource:
        """As Twilio writes it. Accepted by a messaging service it has no sender and no segments yet."""
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{self.sid}"
        unassigned = self.status == "accepted"
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc_2822(self.created),
            "date_sent": rfc_2822(self.sent) if self.sent else None,
            "date_updated": rfc_2822(self.updated),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": ERRORS.get(self.error_code, "Unknown error") if self.error_code else None,
            "from": None if unassigned else self.sender,
            "messaging_service_sid": self.service_sid,
            "num_media": "0",
            "num_segments": "0" if unassigned else str(segments(self.body)),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.recipient,
            "uri": f"{uri}.json",
        }


class Book:
    """All messages, in the order of their acceptance."""

    def __init__(self) -> None:
        self.all: list[Message] = []
        self._by_sid: dict[str, Message] = {}
        self._by_recipient: defaultdict[str, list[Message]] = defaultdict(list)

    def add(self, message: Message) -> None:
        self.all.append(message)
        self._by_sid[message.sid] = message
        self._by_recipient[message.recipient].append(message)

    def to(self, recipient: str | None) -> list[Message]:
        """Those to a number, oldest first; all without one."""
        return self._by_recipient.get(recipient, []) if recipient else self.all

    def find(self, sid: str) -> Message | None:
        """If it exists and shows already."""
        message = self._by_sid.get(sid)
        return message if message and message.visible_at <= time.monotonic() else None

    def listing(self, account_sid: str, query: Mapping[str, str]) -> Resource:
        """A page, newest first. A token names the message that it comes after (PA) or before (PB),
        so that messages accepted meanwhile shift nothing.
        """
        size = min(int(query.get("PageSize", 50)), 1000)
        page = int(query.get("Page", 0))
        token = query.get("PageToken", "")
        found = self._matching(query)
        start = self._start(found, token, page, size)
        shown = found[start : start + size]
        filters = {name: value for name, value in query.items() if not name.startswith("Page")}

        def uri(number: int, token: str = "") -> str:
            values = {**filters, "PageSize": size, "Page": number, **({"PageToken": token} if token else {})}
            return f"/{API_VERSION}/Accounts/{account_sid}/Messages.json?{urlencode(values)}"

        more = start + size < len(found)
        first = page * size
        return {
            "end": first + max(len(shown) - 1, 0),
            "first_page_uri": uri(0),
            "messages": [message.as_resource() for message in shown],
            "next_page_uri": uri(page + 1, f"PA{shown[-1].sid}") if more and shown else None,
            "page": page,
            "page_size": size,
            "previous_page_uri": uri(page - 1, f"PB{shown[0].sid}") if page and shown else None,
            "start": first,
            "uri": uri(page, token),
        }

    def _matching(self, query: Mapping[str, str]) -> list[Message]:
        moment = time.monotonic()
        sender = query.get("From")
        tests = {name: value for name, value in query.items() if name.startswith("DateSent")}
        return [
            message
            for message in reversed(self.to(query.get("To")))
            if message.visible_at <= moment
            and (not sender or (message.sender == sender and message.status != "accepted"))
            and (not tests or _sent_within(message, tests))
        ]

    @staticmethod
    def _start(found: list[Message], token: str, page: int, size: int) -> int:
        if not token:
            return page * size
        at = next((number for number, message in enumerate(found) if message.sid == token[2:]), len(found))
        return at + 1 if token.startswith("PA") else max(at - size, 0)


def _sent_within(message: Message, tests: Mapping[str, str]) -> bool:
    """Both ends included; without a time of day the whole day is meant. Not sent yet: not found by any date."""
    if message.sent is None:
        return False
    for name, value in tests.items():
        sent: datetime | date
        limit: datetime | date
        if "T" in value and name != "DateSent":
            sent, limit = message.sent, datetime.fromisoformat(value)
        else:
            sent, limit = message.sent.date(), date.fromisoformat(value[:10])
        kept = {"DateSent": sent == limit, "DateSent<": sent <= limit, "DateSent>": sent >= limit}
        if not kept[name]:
            return False
    return True
