"""Codes sent by SMS: issuing one, and using it once. What they are good for is in `verification`."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import OneTimeCode, Purpose, User
from backend.accounts.errors import NoPhone
from backend.accounts.login.throttle import too_many
from backend.core.clock import utc_now
from backend.core.events import Signal
from backend.core.settings import settings

DIGITS = 6
TRIES = 5
VALID = timedelta(minutes=10)
BETWEEN = timedelta(minutes=1)
"""From one code to the next for the same phone."""

MOST_AN_HOUR = 5
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class IssuedCode:
    """A code to be sent to the user's phone. Printing it shows neither code nor user."""

    user: User = field(repr=False)
    purpose: Purpose
    code: str = field(repr=False)
    expires_at: datetime


code_issued: Signal[IssuedCode] = Signal()
"""Sent with each new code, after it was stored. This is the only time that the code is known."""


async def issue(user: User, purpose: Purpose) -> IssuedCode | None:
    """Makes a code for the user's phone, in place of the one before, and tells `code_issued`.

    None if the same phone was sent one less than a minute ago, which is left as it is. Raises `NoPhone`, and
    `TooManyRequests` after the fifth in an hour. The limits are per user and purpose, whatever the address.
    """
    if user.phone is None:
        raise NoPhone
    now = utc_now()
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    key = _key(user.user_id, purpose)
    phone_hash = _keyed(key, user.phone)
    may_be_issued = [
        {"$or": [{"issued_at": {"$lte": now - BETWEEN}}, {"phone_hash": {"$ne": phone_hash}}]},
        {
            "$or": [
                {f"issues.{MOST_AN_HOUR - 1}": {"$exists": False}},
                {"issues.0": {"$lte": now - _HOUR}},
            ]
        },
    ]
    new = {
        "code_hash": _keyed(key, code),
        "phone_hash": phone_hash,
        "tries_left": TRIES,
        "valid_until": now + VALID,
        "issued_at": now,
        "expires_at": now + _HOUR,
    }
    try:
        await _codes().update_one(
            {"_id": key, "$and": may_be_issued},
            {"$set": new, "$push": {"issues": {"$each": [now], "$slice": -MOST_AN_HOUR}}},
            upsert=True,
        )
    except DuplicateKeyError:  # there is one, and it doesn't meet the conditions
        await _refuse_if_too_many(key, phone_hash, now)
        return None
    issued = IssuedCode(user=user, purpose=purpose, code=code, expires_at=now + VALID)
    await code_issued.send(issued)
    return issued


async def _refuse_if_too_many(key: str, phone_hash: str, now: datetime) -> None:
    """Raises `TooManyRequests`, unless a code has just been sent: asking for it twice is no offence."""
    raw = await _codes().find_one({"_id": key})
    if raw is None:
        return
    just_sent = raw["phone_hash"] == phone_hash and raw["issued_at"] > now - BETWEEN
    if not just_sent:
        raise too_many(raw["issues"][0] + _HOUR)


async def redeem(*, user_id: PydanticObjectId, purpose: Purpose, phone: str, code: str) -> bool:
    """Whether this is the code that was sent to this phone (E.164). A right one is used up, a wrong one counts.

    One write does both, so that guesses made in parallel have no more tries than others, and of two right
    ones only the first finds the code unused.
    """
    key = _key(user_id, purpose)
    given = _keyed(key, code)
    right = {"$eq": ["$code_hash", given]}
    before = await _codes().find_one_and_update(
        {
            "_id": key,
            "phone_hash": _keyed(key, phone),
            "tries_left": {"$gt": 0},
            "valid_until": {"$gt": utc_now()},
        },
        [{"$set": {"tries_left": {"$cond": [right, 0, {"$subtract": ["$tries_left", 1]}]}}}],
        projection={"code_hash": 1},
    )
    return before is not None and hmac.compare_digest(before["code_hash"], given)


def _key(user_id: PydanticObjectId, purpose: Purpose) -> str:
    return f"{purpose}:{user_id}"


def _keyed(key: str, secret: str) -> str:
    """A plain hash would say nothing: a million codes, and all phones, are quickly tried."""
    return hmac.new(settings.SECRET_KEY.encode(), f"{key}\n{secret}".encode(), hashlib.sha256).hexdigest()


def _codes() -> Any:
    return OneTimeCode.get_pymongo_collection()
