"""Sessions: opening them, refreshing their tokens, closing them.

A session is one login on one device: a `Session` document, whose refresh token is replaced at each use, and its id in
the user's `sessions`. The user's list decides: no token works without its id there. So closing a session is one write
to the user, and a `Session` document that is left over is harmless.
"""

import hashlib
import secrets
from datetime import timedelta

from beanie import PydanticObjectId

from backend.accounts import repository as users
from backend.accounts.documents import Session, User
from backend.accounts.errors import InvalidCredentials, RefreshTokenInvalid, RefreshTokenReused
from backend.accounts.login import repository
from backend.accounts.login.tokens import make_access_token
from backend.accounts.responses import TokensOut
from backend.core.clock import utc_now
from backend.core.settings import settings

_LONGEST_USER_AGENT = 200


def _digest(token: str) -> str:
    # A fast hash is enough: the secret is 256 random bits, which nobody guesses.
    return hashlib.sha256(token.encode()).hexdigest()


def _new_refresh_token(session_id: str) -> str:
    return f"{session_id}.{secrets.token_urlsafe(32)}"


def _pair(user_id: PydanticObjectId, session_id: str, refresh_token: str) -> TokensOut:
    return TokensOut(
        access_token=make_access_token(user_id, session_id),
        refresh_token=refresh_token,
        expires_in=settings.ACCESS_TOKEN_EXPIRE_MINUTES * 60,
    )


async def open_session(user: User, user_agent: str | None = None) -> TokensOut:
    """Opens a session for a user who has proven their password. Raises `InvalidCredentials`.

    It does so unless the user was deactivated or their password hash changed since `user` was read: the proven
    password may be the old one.
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
    await repository.insert_session(session)
    if not await users.add_session(user, session_id, now=now):
        await repository.delete_session(session_id, user_id=user.user_id)
        raise InvalidCredentials
    user.last_login = now
    return _pair(user.user_id, session_id, token)


async def refresh(token: str) -> TokensOut:
    """Exchanges a refresh token for a new pair. Raises `RefreshTokenInvalid`, `RefreshTokenReused`.

    Of two exchanges of one token at most one returns tokens. The other may be a thief's, so it closes the session.
    """
    digest = _digest(token)
    session_id = token.partition(".")[0]
    new_token = _new_refresh_token(session_id)
    user_id = await repository.rotate_token(
        session_id,
        token_hash=digest,
        new_hash=_digest(new_token),
        expires_at=utc_now() + timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS),
    )
    if user_id is None:
        await _close_if_reused(session_id, digest)
        raise RefreshTokenInvalid
    if not await users.has_session(user_id, session_id):
        await repository.delete_session(session_id, user_id=user_id)
        raise RefreshTokenInvalid
    return _pair(user_id, session_id, new_token)


async def _close_if_reused(session_id: str, digest: str) -> None:
    """Closes the session and raises `RefreshTokenReused`, if the token was one of this session's before."""
    user_id = await repository.find_user_of_used_token(session_id, digest)
    if user_id is not None:
        await close_session(user_id=user_id, session_id=session_id)
        raise RefreshTokenReused


async def close_session(*, user_id: PydanticObjectId, session_id: str) -> None:
    """Closes a session at once, its access token included. Closing it again changes nothing."""
    await users.remove_session(user_id, session_id)
    await repository.delete_session(session_id, user_id=user_id)


async def close_all_sessions(user_id: PydanticObjectId, except_sid: str | None = None) -> None:
    """Closes a user's sessions on all devices, but for one."""
    await users.remove_other_sessions(user_id, except_sid)
    await repository.delete_sessions(user_id, except_sid=except_sid)
