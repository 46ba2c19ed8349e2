"""Twilio's own SDK, pointed at the emulator."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from tests.emulator.client import Carrier

T = TypeVar("T")


def with_sdk(carrier: Carrier, work: Callable[[Client], Awaitable[T]], token: str | None = None) -> T:
    """Runs a coroutine with a client of its own."""

    async def run() -> T:
        async with AsyncTwilioHttpClient() as http:
            client = Client(carrier.account_sid, token or carrier.auth_token, http_client=http)
            client.api.base_url = carrier.base_url
            return await work(client)

    return asyncio.run(run())
