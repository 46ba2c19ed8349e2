"""The baseline of `drain`: Twilio's SDK posting messages as fast as it can, with nothing around it."""

import asyncio
import sys
import time

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

IN_FLIGHT = 50


async def post_all(url: str, sid: str, token: str, sender: str, first: int, count: int) -> None:
    """Posts `count` messages, fifty at a time, and prints when it began and ended."""
    async with AsyncTwilioHttpClient() as http:
        client = Client(sid, token, http_client=http)
        client.api.base_url = url
        numbers = iter(range(first, first + count))

        async def poster() -> None:
            for number in numbers:
                await client.messages.create_async(
                    to=f"+1212{number:07}",
                    from_=sender,
                    body="Reminder: Tue, Jun 4, 9:00 AM, Dr. Ada Lovelace, Hudson Family Clinic. "
                    "Reply 1 to confirm, 2 to cancel.",
                    status_callback="http://127.0.0.1:9/api/v1/twilio/status?attempt=0",
                )

        began = time.time()
        await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))
        print(began, time.time())


if __name__ == "__main__":
    url, sid, token, sender, first, count = sys.argv[1:]
    import uvloop

    uvloop.run(post_all(url, sid, token, sender, int(first), int(count)))
