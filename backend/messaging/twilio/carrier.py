"""The carrier: Twilio or, in development without its credentials, a simulated phone. Nothing else uses the SDK."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from backend.core.settings import settings

log = logging.getLogger(__name__)

STATUS_PATH = "/api/v1/twilio/status"
SMS_PATH = "/api/v1/twilio/sms"
"""The paths of the webhooks. Twilio signs them."""

MAX_CONCURRENT_POSTS = 30
"""Posts of one process at a time. More is hardly faster, and delays requests (benchmarks/messages.py)."""

OPTED_OUT = 21610
"""Twilio's error code for a recipient who sent an opt-out word to this sender.
Source: https://www.twilio.com/docs/api/errors/21610"""

NOT_A_MOBILE = frozenset((21211, 21614, 30005, 30006))
"""Twilio's error codes for a number that no message can reach: invalid, not a mobile, unassigned, a landline."""

_NO_RESPONSE = (
    *(TwilioException, aiohttp.ClientError, TimeoutError, OSError),
    *(
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ),  # a response that isn't Twilio's, but perhaps a proxy's
)
"""What the SDK raises if Twilio doesn't respond properly."""


class SendStatus(Enum):
    """What became of an attempt to send a message."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # for good: the same message would be rejected again
    RETRY_LATER = "retry_later"  # not accepted, and may be tried again
    UNKNOWN = "unknown"  # perhaps accepted, perhaps not: never blindly repeated


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of an attempt, with the carrier's id or its error code if it gave one."""

    status: SendStatus
    sid: str | None = None
    error_code: int | None = None
    is_delivered: bool = False

    @property
    def has_response(self) -> bool:
        """Whether the carrier responded at all."""
        if self.status is SendStatus.RETRY_LATER:
            return self.error_code is not None
        return self.status is not SendStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message in the carrier's list of sent messages."""

    sid: str
    body: str
    status: str
    error_code: int | None
    created_at: datetime | None


class CarrierUnreachable(Exception):
    """The carrier can't be reached at the moment."""


class Carrier(Protocol):
    """Sends messages."""

    is_real: bool

    async def send(self, *, to: str, body: str, attempt_id: str) -> SendResult:
        """Posts one message, once. Never raises: the result says what went wrong."""

    async def list_sent_to(self, to: str) -> list[ListedMessage]:
        """Returns what was lately sent to a number, newest first. Raises `CarrierUnreachable`."""

    async def close(self) -> None:
        """Closes all connections."""


class SimulatedPhone:
    """Accepts everything. Its page shows the SMS log: see `devtools.simulated_phone`."""

    is_real = False

    async def send(self, *, to: str, body: str, attempt_id: str) -> SendResult:
        """Returns that the message is delivered."""
        return SendResult(SendStatus.ACCEPTED, sid=f"SM{attempt_id}", is_delivered=True)

    async def list_sent_to(self, to: str) -> list[ListedMessage]:
        """Returns nothing: an attempt to send is never in doubt here."""
        return []

    async def close(self) -> None:
        """There is nothing to close."""


class Twilio:
    """Twilio's Messages resource. Source: https://www.twilio.com/docs/messaging/api/message-resource"""

    is_real = True

    def __init__(self) -> None:
        # The client ignores its timeout argument, so asyncio.timeout is used. max_retries would repeat posts that
        # may have been accepted, and without a connection pool the client mixes up responses.
        self._http = AsyncTwilioHttpClient()
        self._client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, http_client=self._http)
        self._client.api.base_url = settings.TWILIO_API_URL.rstrip("/")

    async def send(self, *, to: str, body: str, attempt_id: str) -> SendResult:
        """Posts the message once, within SMS_TIMEOUT_SECONDS."""
        callback = f"{settings.PUBLIC_BASE_URL.rstrip('/')}{STATUS_PATH}?{urlencode({'attempt': attempt_id})}"
        service = settings.TWILIO_MESSAGING_SERVICE_SID
        sender = {"messaging_service_sid": service} if service else {"from_": settings.TWILIO_PHONE_NUMBER}
        try:
            async with asyncio.timeout(settings.SMS_TIMEOUT_SECONDS):
                created = await self._client.messages.create_async(
                    to=to, body=body, status_callback=callback, **sender
                )
        except (TwilioRestException, TwilioServiceException) as error:
            return _failed(error)
        except aiohttp.ClientConnectorError:
            return SendResult(SendStatus.RETRY_LATER)  # without a connection nothing was sent
        except _NO_RESPONSE:
            return SendResult(SendStatus.UNKNOWN)
        status = SendStatus.ACCEPTED if created.sid else SendStatus.UNKNOWN
        return SendResult(status, sid=created.sid or None)

    async def list_sent_to(self, to: str) -> list[ListedMessage]:
        """Returns the newest hundred messages to a number.

        It doesn't filter by `DateSent`: messages that are still queued at Twilio have none.
        """
        try:
            async with asyncio.timeout(settings.SMS_TIMEOUT_SECONDS * 2):
                found = await self._client.messages.list_async(to=to, limit=100, page_size=100)
        except _NO_RESPONSE as error:
            raise CarrierUnreachable from error
        return [
            ListedMessage(
                sid=each.sid,
                body=each.body or "",
                status=str(each.status),
                error_code=int(each.error_code) if each.error_code else None,
                created_at=each.date_created,
            )
            for each in found
            if each.sid and each.direction == "outbound-api"
        ]

    async def close(self) -> None:
        """Closes the connection pool."""
        await self._http.close()


def _failed(error: TwilioRestException | TwilioServiceException) -> SendResult:
    """Returns what an error response means. The SDK has a class for each of Twilio's two formats."""
    code = int(error.code) if str(error.code).isdecimal() else None
    # Wrong credentials, too many requests, a full queue. Source: https://www.twilio.com/docs/api/errors
    if error.status in (401, 429) or code in (20429, 21611):
        log.warning("the carrier accepts no messages for now: status %s, code %s", error.status, code)
        return SendResult(SendStatus.RETRY_LATER, error_code=code)
    if 400 <= error.status < 500:
        return SendResult(SendStatus.REJECTED, error_code=code)
    return SendResult(SendStatus.UNKNOWN, error_code=code)


def signing_key() -> str:
    """Returns the key that signs webhooks: Twilio's token or, without a carrier, one derived from SECRET_KEY."""
    if settings.has_carrier:
        return settings.TWILIO_AUTH_TOKEN
    return hmac.new(settings.SECRET_KEY.encode(), b"simulated phone", hashlib.sha256).hexdigest()


@contextlib.asynccontextmanager
async def open_carrier() -> AsyncIterator[Carrier]:
    """Opens the carrier that the settings choose, and closes it at the end."""
    carrier: Carrier = Twilio() if settings.has_carrier else SimulatedPhone()
    try:
        yield carrier
    finally:
        await carrier.close()
