"""An account with a password, made as patients make theirs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

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


@pytest.fixture
def ada(api: httpx.Client, base_url: str) -> Iterator[Registered]:
    """Ada, registered and logged in."""
    answer = api.post("/auth/register", json=registration())
    assert answer.status_code == 201, answer.text
    body = answer.json()
    with httpx.Client(base_url=base_url, headers=bearer(body["access_token"]), timeout=30) as client:
        yield Registered(
            email=body["user"]["email"],
            phone=body["user"]["phone"],
            id=body["user"]["id"],
            access_token=body["access_token"],
            refresh_token=body["refresh_token"],
            client=client,
        )


@pytest.fixture
def log_in(api: httpx.Client) -> Callable[..., httpx.Response]:
    """Logs in with JSON."""

    def go(email: str = "ada@example.com", password: str = PASSWORD) -> httpx.Response:
        return api.post("/auth/login", json={"email": email, "password": password})

    return go
