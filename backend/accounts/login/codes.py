"""Codes sent by SMS: issuing and redeeming them. What they are used for is in `verification`."""

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from beanie import PydanticObjectId

from backend.accounts.documents import Purpose, User
from backend.accounts.errors import NoPhone
from backend.accounts.login import repository
from backend.accounts.login.throttle import keyed_hash, too_many
from backend.accounts.phone_numbers import gets_sms
from backend.core.clock import utc_now
from backend.core.events import Signal

DIGITS = 6
TRIES = 5
VALID = timedelta(minutes=10)
BETWEEN = timedelta(minutes=1)
"""The least time between two codes for the same phone."""

MOST_AN_HOUR = 5
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class IssuedCode:
    """A code to send to the user's phone. Its text representation shows neither code nor user."""

    user: User = field(repr=False)
    purpose: Purpose
    code: str = field(repr=False)
    expires_at: datetime


code_issued: Signal[IssuedCode] = Signal()
"""Sent with each new code, after it was stored. The code itself is stored nowhere."""


async def issue(user: User, purpose: Purpose) -> IssuedCode | None:
    """Issues a code for the user's phone, in place of the one before, and sends `code_issued`.

    Returns None if the same phone got a code less than a minute ago, which stays valid. Raises `NoPhone`, and
    `TooManyRequests` after the fifth in an hour. The limits are per user and purpose, from whatever address.
    """
    if user.phone is None or not gets_sms(user.phone):
        raise NoPhone
    now = utc_now()
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    key = _key(user.user_id, purpose)
    phone_hash = keyed_hash(key, user.phone)
    may_be_issued = [
        {"$or": [{"issued_at": {"$lte": now - BETWEEN}}, {"phone_hash": {"$ne": phone_hash}}]},
        {"$or": [{f"issues.{MOST_AN_HOUR - 1}": {"$exists": False}}, {"issues.0": {"$lte": now - _HOUR}}]},
    ]
    new = {
        "code_hash": keyed_hash(key, code),
        "phone_hash": phone_hash,
        "tries_left": TRIES,
        "valid_until": now + VALID,
        "issued_at": now,
        "expires_at": now + _HOUR,
    }
    if not await repository.replace_code(key, new, conditions=may_be_issued, now=now, most_issues=MOST_AN_HOUR):
        await _refuse_if_too_many(key, phone_hash, now)
        return None
    issued = IssuedCode(user=user, purpose=purpose, code=code, expires_at=now + VALID)
    await code_issued.send(issued)
    return issued


async def _refuse_if_too_many(key: str, phone_hash: str, now: datetime) -> None:
    """Raises `TooManyRequests`, unless a code was sent less than a minute ago: then the request is a repetition."""
    raw = await repository.find_code(key)
    if raw is None:
        return
    just_sent = raw["phone_hash"] == phone_hash and raw["issued_at"] > now - BETWEEN
    if not just_sent:
        raise too_many(raw["issues"][0] + _HOUR)


async def redeem(*, user_id: PydanticObjectId, purpose: Purpose, phone: str, code: str) -> bool:
    """Returns whether this is the code that was sent to this phone (E.164). It works once; a wrong one uses a try.

    One write does both, so guesses made in parallel have no more tries than others.
    """
    key = _key(user_id, purpose)
    given = keyed_hash(key, code)
    right = await repository.try_code(key, phone_hash=keyed_hash(key, phone), code_hash=given)
    return right is not None and hmac.compare_digest(right, given)


def _key(user_id: PydanticObjectId, purpose: Purpose) -> str:
    return f"{purpose}:{user_id}"
