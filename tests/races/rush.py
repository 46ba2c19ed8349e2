"""Many requests at the same moment, from one event loop, to two servers by turns."""

import asyncio
from collections.abc import Callable, Sequence
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
    answers = asyncio.run(_all_at_once(servers, calls, None))
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [answer for answer in answers if isinstance(answer, httpx.Response)]


def all_at_once_while(
    servers: Sequence[str], calls: Sequence[Call], disturb: Callable[[], None], *, after: float
) -> list[httpx.Response | None]:
    """The same, and so many seconds after the start it disturbs a server. None for a call that got no answer."""
    answers = asyncio.run(_all_at_once(servers, calls, (disturb, after)))
    return [answer if isinstance(answer, httpx.Response) else None for answer in answers]


async def _all_at_once(
    servers: Sequence[str], calls: Sequence[Call], disturbance: tuple[Callable[[], None], float] | None
) -> list[httpx.Response | BaseException]:
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
        if disturbance:
            disturb, after = disturbance
            await asyncio.sleep(after)
            disturb()
        return await asyncio.gather(*tasks, return_exceptions=True)
