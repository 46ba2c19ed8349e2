"""Logins on devices: opening one, renewing its tokens, ending it.

A login is one `Session` document, whose refresh token is replaced at each use, and one id in the user's
`sessions`. The user's list decides: no token is worth anything without its id there. So ending a login is one
write to the user, and what is left of its document can do nothing.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument

from backend.accounts.documents import MOST_SESSIONS, Session, User
from backend.accounts.errors import InvalidCredentials, RefreshTokenInvalid, RefreshTokenReused
from backend.accounts.login.tokens import make_access_token
from backend.core.clock import utc_now
from backend.core.settings import settings

MOST_USED_HASHES = 200
"""Used tokens that a family recognises: four days of renewing twice an hour. An older one is just invalid."""

_LONGEST_USER_AGENT = 200


@dataclass(frozen=True)
class TokenPair:
    """What a client holds. The refresh token works once; the access token for `expires_in` seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105 - a kind of token, not one


def _digest(token: str) -> str:
    # A fast hash is enough: the secret is 256 random bits, which nobody guesses.
    return hashlib.sha256(token.encode()).hexdigest()


def _new_refresh_token(session_id: str) -> str:
    return f"{session_id}.{secrets.token_urlsafe(32)}"


def _pair(user_id: PydanticObjectId, session_id: str, refresh_token: str) -> TokenPair:
    return TokenPair(
        access_token=make_access_token(user_id, session_id),
        refresh_token=refresh_token,
        expires_in=settings.ACCESS_TOKEN_EXPIRE_MINUTES * 60,
    )


async def open_session(user: User, user_agent: str | None = None) -> TokenPair:
    """Begins a login for a user who has been authenticated; raises `InvalidCredentials`.

    The user must still be active and have the same password hash as when `user` was read: a login that was
    under way while the password was changed is one with the old password.
    """
    now = utc_now()
    session_id = secrets.token_hex(12)
    token = _new_refresh_token(session_id)
    session = Session(
        id=session_id,
        user_id=user.user_id,
        token_hash=_digest(token),
        user_agent=user_agent[:_LONGEST_USER_AGENT] if user_agent else None,
        created_at=now,
        expires_at=now + timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS),
    )
    await session.insert()
    opened = await User.get_pymongo_collection().update_one(
        {"_id": user.user_id, "is_active": True, "password_hash": user.password_hash},
        {
            "$push": {"sessions": {"$each": [session_id], "$slice": -MOST_SESSIONS}},
            "$set": {"last_login": now},
        },
    )
    if opened.matched_count == 0:
        await _sessions().delete_one({"_id": session_id})
        raise InvalidCredentials
    user.last_login = now
    return _pair(user.user_id, session_id, token)


async def refresh(token: str) -> TokenPair:
    """Exchanges a refresh token for a new pair; raises `RefreshTokenInvalid` or `RefreshTokenReused`.

    Of two exchanges of one token at most one is answered with tokens, and the other looks like the thief that it
    may be: the login ends.
    """
    now = utc_now()
    digest = _digest(token)
    session_id = token.partition(".")[0]
    new_token = _new_refresh_token(session_id)
    raw = await _sessions().find_one_and_update(
        {"_id": session_id, "token_hash": digest, "expires_at": {"$gt": now}},
        {
            "$set": {
                "token_hash": _digest(new_token),
                "expires_at": now + timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS),
            },
            "$push": {"used_hashes": {"$each": [digest], "$slice": -MOST_USED_HASHES}},
        },
        projection={"user_id": 1},
        return_document=ReturnDocument.AFTER,
    )
    if raw is None:
        await _end_if_reused(session_id, digest)
        raise RefreshTokenInvalid
    user_id = PydanticObjectId(raw["user_id"])
    live = {"_id": user_id, "is_active": True, "sessions": session_id}
    if await User.get_pymongo_collection().find_one(live, projection={"_id": 1}) is None:
        await _sessions().delete_one({"_id": session_id})
        raise RefreshTokenInvalid
    return _pair(user_id, session_id, new_token)


async def _end_if_reused(session_id: str, digest: str) -> None:
    """Raises `RefreshTokenReused` after ending the login, if the token was this login's once."""
    raw = await _sessions().find_one({"_id": session_id, "used_hashes": digest}, projection={"user_id": 1})
    if raw is None:
        return
    await close_session(user_id=raw["user_id"], session_id=session_id)
    raise RefreshTokenReused


async def close_session(*, user_id: PydanticObjectId, session_id: str) -> None:
    """Ends one login at once: its access token too. Ending it again changes nothing."""
    await User.get_pymongo_collection().update_one({"_id": user_id}, {"$pull": {"sessions": session_id}})
    await _sessions().delete_one({"_id": session_id, "user_id": user_id})


async def close_all_sessions(user_id: PydanticObjectId, except_sid: str | None = None) -> None:
    """Ends a user's logins on all devices, perhaps but for the one that asks."""
    others: dict[str, Any] = {"$ne": except_sid}
    await User.get_pymongo_collection().update_one({"_id": user_id}, {"$pull": {"sessions": others}})
    await forget_sessions(user_id, except_sid=except_sid)


async def forget_sessions(user_id: PydanticObjectId, except_sid: str | None = None) -> None:
    """Removes the documents of logins that the user's list no longer names."""
    await _sessions().delete_many({"user_id": user_id, "_id": {"$ne": except_sid}})


def _sessions() -> Any:
    return Session.get_pymongo_collection()
