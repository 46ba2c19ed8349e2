"""The carrier: Twilio, or without its credentials (in development) a simulated phone. Only here is its SDK known."""

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
"""Where Twilio calls us. Part of what it signs."""

IN_FLIGHT = 30
"""Posts at a time, of one process. More is hardly faster, and holds requests up (benchmarks/drain.py)."""

OPTED_OUT = 21610
"""Twilio's code for a recipient who has sent an opt-out word to this sender.
Source: https://www.twilio.com/docs/api/errors/21610"""

_NOT_ABOUT_THE_MESSAGE = (401, 429)
"""Wrong credentials, too many requests: not taken, and the same message may be tried again."""

_NOT_NOW = (20429, 21611)
"""Too many requests, the sender's queue is full. Source: https://www.twilio.com/docs/api/errors"""

_NO_ANSWER_OF_ITS_OWN = (ValueError, KeyError, TypeError, AttributeError)
"""What the SDK raises on an answer that isn't Twilio's: a proxy's page, JSON of another form."""


class PostResult(Enum):
    """What became of a post."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # for good: the same again would be refused again
    LATER = "later"  # not taken, and may be tried again
    UNKNOWN = "unknown"  # perhaps taken, perhaps not: never blindly repeated


@dataclass(frozen=True, slots=True)
class Posted:
    """The outcome, with the carrier's id or its error code where it gave one."""

    outcome: PostResult
    sid: str | None = None
    error_code: int | None = None
    is_delivered: bool = False

    @property
    def is_unheard(self) -> bool:
        """Whether there was no connection: to be tried later, without a code that says why."""
        return self.outcome is PostResult.LATER and self.error_code is None


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the carrier lists it."""

    sid: str
    body: str
    status: str
    error_code: int | None
    created_at: datetime | None


class CarrierAway(Exception):
    """The carrier can't be asked at the moment."""


class Carrier(Protocol):
    """Whoever carries messages."""

    is_real: bool

    async def post(self, *, to: str, body: str, attempt_id: str) -> Posted:
        """Hands one message over. Doesn't raise: what went wrong is part of the outcome."""

    async def sent_to(self, to: str) -> list[Listed]:
        """What was sent to a number of late, newest first. Raises `CarrierAway`."""

    async def close(self) -> None:
        """Lets go of connections."""


class SimulatedPhone:
    """Takes everything. What a number received is read from the SMS log: see `dev_phone`."""

    is_real = False

    async def post(self, *, to: str, body: str, attempt_id: str) -> Posted:
        """Delivered at once."""
        digest = hashlib.md5(attempt_id.encode(), usedforsecurity=False).hexdigest()
        return Posted(PostResult.ACCEPTED, sid=f"SM{digest}", is_delivered=True)

    async def sent_to(self, to: str) -> list[Listed]:
        """Nothing: no post to it is ever in doubt for longer than a restart."""
        return []

    async def close(self) -> None:
        """Holds nothing."""


class Twilio:
    """Twilio's Messages resource. Source: https://www.twilio.com/docs/messaging/api/message-resource"""

    is_real = True

    def __init__(self) -> None:
        # Its own timeout argument is ignored, max_retries repeats posts that may have been taken, and a client
        # without a pool mixes up answers: hence asyncio.timeout, neither of the others, and the pool.
        self._http = AsyncTwilioHttpClient()
        self._client = Client(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, http_client=self._http)
        self._client.api.base_url = settings.TWILIO_API_URL.rstrip("/")

    async def post(self, *, to: str, body: str, attempt_id: str) -> Posted:
        """Posts once."""
        callback = f"{settings.PUBLIC_BASE_URL.rstrip('/')}{STATUS_PATH}?{urlencode({'attempt': attempt_id})}"
        try:
            async with asyncio.timeout(settings.SMS_TIMEOUT_SECONDS):
                created = await self._client.messages.create_async(
                    to=to, body=body, status_callback=callback, **_sender()
                )
        except (TwilioRestException, TwilioServiceException) as error:
            return _refused(error)
        except aiohttp.ClientConnectorError:
            return Posted(PostResult.LATER)  # there was no connection, so nothing was sent
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, *_NO_ANSWER_OF_ITS_OWN):
            return Posted(PostResult.UNKNOWN)
        if not created.sid:
            return Posted(PostResult.UNKNOWN)
        return Posted(PostResult.ACCEPTED, sid=created.sid)

    async def sent_to(self, to: str) -> list[Listed]:
        """The newest hundred messages to a number.

        Not narrowed by `DateSent`: a message that is still queued at Twilio has none.
        """
        try:
            async with asyncio.timeout(settings.SMS_TIMEOUT_SECONDS * 2):
                found = await self._client.messages.list_async(to=to, limit=100, page_size=100)
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, *_NO_ANSWER_OF_ITS_OWN) as error:
            raise CarrierAway from error
        return [
            Listed(
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
        """Closes the pool."""
        await self._http.close()


def _sender() -> dict[str, str]:
    if settings.TWILIO_MESSAGING_SERVICE_SID:
        return {"messaging_service_sid": settings.TWILIO_MESSAGING_SERVICE_SID}
    return {"from_": settings.TWILIO_PHONE_NUMBER}


def _refused(error: TwilioRestException | TwilioServiceException) -> Posted:
    """What an answer of an error means. The SDK has a class for each of Twilio's two forms of it."""
    code = int(error.code) if str(error.code).isdecimal() else None
    if error.status in _NOT_ABOUT_THE_MESSAGE or code in _NOT_NOW:
        log.warning("the carrier takes nothing for now: status %s, code %s", error.status, code)
        return Posted(PostResult.LATER, error_code=code)
    if 400 <= error.status < 500:
        return Posted(PostResult.REFUSED, error_code=code)
    return Posted(PostResult.UNKNOWN, error_code=code)


def signing_key() -> str:
    """What webhooks are signed with: Twilio's token, or for the simulated phone one derived from our secret."""
    if settings.has_carrier:
        return settings.TWILIO_AUTH_TOKEN
    return hmac.new(settings.SECRET_KEY.encode(), b"simulated phone", hashlib.sha256).hexdigest()


@contextlib.asynccontextmanager
async def open_carrier() -> AsyncIterator[Carrier]:
    """The carrier that the settings ask for."""
    carrier: Carrier = Twilio() if settings.has_carrier else SimulatedPhone()
    try:
        yield carrier
    finally:
        await carrier.close()
