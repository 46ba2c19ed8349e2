"""Which front ends may call from a browser: any of this machine in development, the configured ones in production."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import serving

CONFIGURED = "https://clinic.example.com"
DEVELOPMENT = ["http://localhost:3000", "http://localhost:5173", "http://127.0.0.1:8080", "http://localhost"]
FOREIGN = [
    *("https://evil.example", "http://localhost.evil.example", "http://localhost:3000.evil.example"),
    *("https://localhost:5173", "http://127.0.0.10:80", "http://evil.example/?http://localhost:1", "null"),
]


@pytest.fixture(scope="module")
def production() -> Iterator[str]:
    """The address of a server with the settings of production."""
    settings = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "x" * 40,
        "FRONTEND_URL": CONFIGURED,
        "PUBLIC_BASE_URL": "https://api.example.com",
        "TWILIO_ACCOUNT_SID": "AC0",
        "TWILIO_AUTH_TOKEN": "0",
        "TWILIO_PHONE_NUMBER": "+15550100000",
        "MONGODB_URL": os.environ["MONGODB_URL"],
        "SCHEDULER_ENABLED": "false",
    }
    with serving(environment=settings) as program:
        yield program.base_url


def may_call(base_url: str, origin: str) -> bool:
    """Whether a browser at this origin may send a PATCH with our headers and read the response."""
    preflight = httpx.options(
        f"{base_url}/api/v1/users/me",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, if-match",
        },
    )
    response = httpx.get(f"{base_url}/api/v1/time/now", headers={"Origin": origin})
    allowed = response.headers.get("Access-Control-Allow-Origin") == origin
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert (preflight.headers.get("Access-Control-Allow-Origin") == origin) is allowed
    assert (preflight.status_code == 200) is allowed
    return allowed


@pytest.mark.parametrize("origin", DEVELOPMENT)
def test_in_development_any_port_of_this_machine_may_call(base_url: str, origin: str) -> None:
    assert may_call(base_url, origin)


@pytest.mark.parametrize("origin", [*FOREIGN, CONFIGURED])
def test_in_development_other_hosts_may_not_call(base_url: str, origin: str) -> None:
    assert not may_call(base_url, origin)


@pytest.mark.long
def test_in_production_only_the_configured_origin_may_call(production: str) -> None:
    assert may_call(production, CONFIGURED)
    assert [origin for origin in (*DEVELOPMENT, *FOREIGN) if may_call(production, origin)] == []


def test_a_front_end_may_read_the_headers_it_needs(base_url: str) -> None:
    response = httpx.get(f"{base_url}/api/v1/time/now", headers={"Origin": DEVELOPMENT[0]})
    assert set(response.headers["Access-Control-Expose-Headers"].split(", ")) == {
        *("ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"),
    }
