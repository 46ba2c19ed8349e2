"""An account with a password, made as patients make theirs."""

from collections.abc import Callable

import httpx
import pytest

from tests.accounts.helpers import PASSWORD, Registered, registration
from tests.factories import make_client


@pytest.fixture
def ada(api: httpx.Client) -> Registered:
    """Ada, registered and logged in."""
    answer = api.post("/auth/register", json=registration())
    assert answer.status_code == 201, answer.text
    body = answer.json()
    return Registered(
        email=body["user"]["email"],
        phone=body["user"]["phone"],
        id=body["user"]["id"],
        access_token=body["access_token"],
        refresh_token=body["refresh_token"],
        client=make_client(body["access_token"]),
    )


@pytest.fixture
def log_in(api: httpx.Client) -> Callable[..., httpx.Response]:
    """Logs in with JSON."""

    def go(email: str = "ada@example.com", password: str = PASSWORD) -> httpx.Response:
        return api.post("/auth/login", json={"email": email, "password": password})

    return go
