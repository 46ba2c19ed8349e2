"""What the tests of accounts share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "correct horse battery"


@dataclass
class Registered:
    """A patient who has registered, and the tokens of that login."""

    email: str
    phone: str
    id: str
    access_token: str
    refresh_token: str
    client: httpx.Client


def registration(**over: Any) -> dict[str, Any]:
    """The body of a registration."""
    return {
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "phone": "+15550140001",
        "password": PASSWORD,
        **over,
    }


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Makes the calls from one thread each, and returns the answers in the order of the calls."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def codes(answers: list[httpx.Response]) -> list[str]:
    """What each answer is: its error code, or its status where it has none. Sorted."""
    return sorted(str(a.status_code) if a.is_success else a.json()["error_code"] for a in answers)


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token}"}
