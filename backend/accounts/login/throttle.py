"""A limit to guessing passwords: failures are counted per account and address, in the database.

Successes write nothing. The limit holds for all processes together, and against guesses made in parallel: a
correct one must find it not yet reached once it has been compared.
"""

import hashlib
import hmac
import ipaddress
import math
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import LoginFailures
from backend.core.clock import utc_now
from backend.core.http.errors import TooManyRequests
from backend.core.settings import settings


def throttle_key(account: str, address: str) -> str:
    """The counter of an account's failures from an address. Keyed, so that it can't be traced to either."""
    return hmac.new(
        settings.SECRET_KEY.encode(), f"{account}\n{_network(address)}".encode(), hashlib.sha256
    ).hexdigest()


def _network(address: str) -> str:
    """An IPv6 customer holds at least a /64, and could come from another address at every guess."""
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
    raw = await _counters().find_one(
        {"_id": key, "failures": {"$gte": settings.LOGIN_ATTEMPTS}, "expires_at": {"$gt": utc_now()}}
    )
    if raw is not None:
        raise too_many(raw["expires_at"])


async def count_failure(key: str) -> None:
    """Counts one; raises `TooManyRequests` if it came in parallel with others that used the window up."""
    now = utc_now()
    # The TTL monitor is up to a minute late, and goes by the server's clock: what is over is decided here.
    running = {"$gt": ["$expires_at", now]}
    ends = now + timedelta(minutes=settings.LOGIN_WINDOW_MINUTES)
    update = [
        {
            "$set": {
                "failures": {"$cond": [running, {"$add": ["$failures", 1]}, 1]},
                "expires_at": {"$cond": [running, "$expires_at", ends]},
            }
        }
    ]
    try:
        raw = await _upsert(key, update)
    except DuplicateKeyError:  # the first two failures at once: now the counter is there
        raw = await _upsert(key, update)
    if raw["failures"] > settings.LOGIN_ATTEMPTS:
        raise too_many(raw["expires_at"])


async def forget_failures(key: str) -> None:
    """Begins anew for somebody who has proven by other means who it is."""
    await _counters().delete_one({"_id": key})


async def _upsert(key: str, update: list[dict[str, Any]]) -> Any:
    return await _counters().find_one_and_update(
        {"_id": key}, update, upsert=True, return_document=ReturnDocument.AFTER
    )


def too_many(until: datetime) -> TooManyRequests:
    """The error that says when (UTC) to come again."""
    seconds = max(1, math.ceil((until - utc_now()).total_seconds()))
    return TooManyRequests(headers={"Retry-After": str(seconds)})


def _counters() -> Any:
    return LoginFailures.get_pymongo_collection()
