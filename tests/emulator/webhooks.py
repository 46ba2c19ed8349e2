"""Signed requests to the application, as Twilio makes them."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
from yarl import URL

TIMEOUT = 15  # seconds; https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides


def signature(token: str, url: str, parameters: Mapping[str, str]) -> str:
    """Of a form: https://www.twilio.com/docs/usage/security#validating-requests."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


@dataclass(frozen=True)
class Answer:
    """What the application answered; status 0: nothing."""

    status: int
    content_type: str = ""
    body: str = ""


class Webhooks:
    """One pool of connections to the application."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, parameters: Mapping[str, str]) -> Answer:
        """One signed form, to the very URL that was signed."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=50)
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature(self._token, url, parameters),
        }
        try:
            async with self._session.post(
                URL(url, encoded=True), data=urlencode(parameters), headers=headers, allow_redirects=False
            ) as answer:
                return Answer(answer.status, answer.content_type, await answer.text(errors="replace"))
        except (aiohttp.ClientError, TimeoutError):
            return Answer(0)
