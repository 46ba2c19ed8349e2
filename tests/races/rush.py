"""Many requests at the same moment, from one event loop, to two servers by turns."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.factories import Person


@dataclass(frozen=True)
class Call:
    """One request: whose, and what."""

    person: Person
    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def post(person: Person, path: str, body: dict[str, Any] | None = None, **headers: str) -> Call:
    """A POST; `headers` with underscores for dashes."""
    return Call(person, "POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})


def all_at_once(servers: Sequence[str], calls: Sequence[Call]) -> list[httpx.Response]:
    """Makes the calls, the first to the first server, the next to the next. The answers are in their order.

    Up to fifty connections are there before the first call is let go.
    """
    return asyncio.run(_all_at_once(servers, calls))


async def _all_at_once(servers: Sequence[str], calls: Sequence[Call]) -> list[httpx.Response]:
    start = asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def make(number: int, call: Call) -> httpx.Response:
            await start.wait()
            return await client.request(
                call.method,
                f"{servers[number % len(servers)]}/api/v1{call.path}",
                json=call.body,
                headers={"Authorization": f"Bearer {call.person.token}", **call.headers},
            )

        greetings = [client.get(f"{servers[n % len(servers)]}/health") for n in range(min(50, len(calls)))]
        await asyncio.gather(*greetings)
        tasks = [asyncio.ensure_future(make(number, call)) for number, call in enumerate(calls)]
        start.set()
        return await asyncio.gather(*tasks)
