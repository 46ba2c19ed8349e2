"""The limit on guessing passwords: failures are counted per account and address, in the database.

Successes write nothing. The limit holds for all processes together, and for guesses made in parallel: callers check
it before they compare a password, and once more after a correct one.
"""

import hashlib
import hmac
import ipaddress
import math
from datetime import datetime, timedelta

from backend.accounts.login import repository
from backend.core.clock import utc_now
from backend.core.http.errors import TooManyRequests
from backend.core.settings import settings


def throttle_key(account: str, address: str) -> str:
    """Returns the key of the counter of an account and an address. Neither can be derived from it."""
    return keyed_hash(account, _network(address))


def keyed_hash(subject: str, secret: str) -> str:
    """Returns a hash with the secret key. Every address, code or phone could be tried against a plain hash."""
    text = f"{subject}\n{secret}"
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def _network(address: str) -> str:
    """Returns the address, or its /64 for IPv6: a client has at least so many addresses to guess from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        # A socket for both versions shows IPv4 addresses as ::ffff:192.0.2.7.
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
    return address


async def refuse_if_throttled(key: str) -> None:
    """Raises `TooManyRequests` when LOGIN_ATTEMPTS failures have been counted within the window."""
    counter = await repository.find_failures(key, at_least=settings.LOGIN_ATTEMPTS)
    if counter is not None:
        raise too_many(counter["expires_at"])


async def count_failure(key: str) -> None:
    """Counts a failure. Raises `TooManyRequests` if others in parallel have reached the limit before it."""
    now = utc_now()
    counter = await repository.count_failure(
        key, now=now, window_ends=now + timedelta(minutes=settings.LOGIN_WINDOW_MINUTES)
    )
    if counter["failures"] > settings.LOGIN_ATTEMPTS:
        raise too_many(counter["expires_at"])


def too_many(until: datetime) -> TooManyRequests:
    """Returns the error that says when (UTC) to try again."""
    seconds = max(1, math.ceil((until - utc_now()).total_seconds()))
    return TooManyRequests(headers={"Retry-After": str(seconds)})
