"""Access tokens: short-lived JWTs that name a user and one of that user's sessions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from beanie import PydanticObjectId
from bson.errors import InvalidId

from backend.core.clock import utc_now
from backend.core.http.errors import Unauthorized
from backend.core.settings import settings

# Times are checked below, by our own clock; PyJWT would use the system's.
_OPTIONS: Any = {
    "require": ["sub", "sid", "iat", "exp"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True)
class Claims:
    """What a valid access token says. Its session may have been closed."""

    user_id: PydanticObjectId
    session_id: str
    issued_at: datetime
    expires_at: datetime


def make_access_token(user_id: PydanticObjectId, session_id: str) -> str:
    """Returns a signed token that is valid for ACCESS_TOKEN_EXPIRE_MINUTES."""
    now = utc_now()
    expires_at = now + timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
    claims = {
        "sub": str(user_id),
        "sid": session_id,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    return jwt.encode(claims, settings.SECRET_KEY, algorithm=settings.ALGORITHM)


def read_access_token(token: str) -> Claims:
    """Returns the claims of a token with a valid signature that hasn't expired. Raises `Unauthorized`."""
    claims = _verified(token, settings.SECRET_KEY, settings.ALGORITHM)
    if claims.expires_at <= utc_now():
        raise Unauthorized
    return claims


@lru_cache(maxsize=10_000)
def _verified(token: str, key: str, algorithm: str) -> Claims:
    """Returns a token's claims, expired or not. Raises `Unauthorized`. It takes 30 µs, so results are cached."""
    try:
        raw = jwt.decode(token, key, algorithms=[algorithm], options=_OPTIONS)
        return Claims(
            user_id=PydanticObjectId(raw["sub"]),
            session_id=str(raw["sid"]),
            issued_at=datetime.fromtimestamp(raw["iat"], UTC),
            expires_at=datetime.fromtimestamp(raw["exp"], UTC),
        )
    except (jwt.PyJWTError, InvalidId, TypeError, ValueError, OverflowError, OSError):
        raise Unauthorized from None
