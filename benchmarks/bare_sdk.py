"""The baseline of `drain`: Twilio's SDK posting messages as fast as it can, with nothing around it."""

import asyncio
import sys
import time
from typing import Any

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

IN_FLIGHT = 50
TEXT = (
    "Reminder: Tue, Jun 4, 9:00 AM, Dr. Ada Lovelace, Hudson Family Clinic. Reply 1 to confirm, 2 to cancel."
)


def message(sender: str, number: int) -> dict[str, Any]:
    """What is posted to one of the benchmark's numbers."""
    return {
        "to": f"+1212{number:07}",
        "from_": sender,
        "body": TEXT,
        "status_callback": "http://127.0.0.1:9/api/v1/twilio/status?attempt=0",
    }


def post_one_by_one(url: str, sid: str, token: str, sender: str, numbers: range) -> None:
    """The SDK's client as its documentation shows it: one post after the other."""
    client = Client(sid, token)
    client.api.base_url = url
    for number in numbers:
        client.messages.create(**message(sender, number))


async def post_together(url: str, sid: str, token: str, sender: str, numbers: range) -> None:
    """The SDK's other client: fifty posts at a time."""
    async with AsyncTwilioHttpClient() as http:
        client = Client(sid, token, http_client=http)
        client.api.base_url = url
        left = iter(numbers)

        async def poster() -> None:
            for number in left:
                await client.messages.create_async(**message(sender, number))

        await asyncio.gather(*(poster() for _ in range(IN_FLIGHT)))


def main() -> None:
    """Posts a share, and prints when it began and ended."""
    how, url, sid, token, sender, first, count = sys.argv[1:]
    numbers = range(int(first), int(first) + int(count))
    began = time.time()
    if how == "client":
        post_one_by_one(url, sid, token, sender, numbers)
    else:
        import uvloop

        uvloop.run(post_together(url, sid, token, sender, numbers))
    print(began, time.time())


if __name__ == "__main__":
    main()
