"""Who may call: types for the parameters of routes, as `caller: CurrentPatient`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from backend.accounts.documents import Role, User
from backend.accounts.tokens import Claims, read_access_token
from backend.core.errors import Forbidden, Unauthorized

bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/login",
    refreshUrl="/api/v1/auth/refresh",
    auto_error=False,
    description="An access token of `POST /auth/login`. The username is the e-mail address or the phone.",
)

BearerToken = Annotated[str | None, Depends(bearer)]


@dataclass(frozen=True)
class Login:
    """Who is asking, and by which of their logins."""

    user: User
    session_id: str


async def _claims(token: BearerToken) -> Claims:
    if token is None:
        raise Unauthorized
    return read_access_token(token)


async def _read_login(claims: Claims) -> Login:
    """One read by id: the user, if active and the token's session is still open."""
    raw = await User.get_pymongo_collection().find_one({"_id": claims.user_id})
    if raw is None or not raw["is_active"] or claims.session_id not in raw.get("sessions", ()):
        raise Unauthorized
    return Login(user=User.model_validate(raw), session_id=claims.session_id)


async def current_login(token: BearerToken) -> Login:
    """Who is asking; raises `Unauthorized`. Read once per request, however many parameters need it."""
    return await _read_login(await _claims(token))


async def optional_login(token: BearerToken) -> Login | None:
    """Who is asking, or None without a token. A token that is no good is an error here too: its owner is
    told to renew it, and not shown less than usual without a word."""
    if token is None:
        return None
    return await _read_login(read_access_token(token))


async def current_user(login: Annotated[Login, Depends(current_login)]) -> User:
    """Anybody who is logged in."""
    return login.user


async def _optional_user(login: Annotated[Login | None, Depends(optional_login)]) -> User | None:
    return None if login is None else login.user


def only(*roles: Role) -> Callable[[User], Awaitable[User]]:
    """A dependency that admits these roles and raises `Forbidden` for the others."""

    async def check(login: Annotated[Login, Depends(current_login)]) -> User:
        if login.user.role not in roles:
            raise Forbidden
        return login.user

    return check


TokenClaims = Annotated[Claims, Depends(_claims)]
"""What a valid token says, though its session may have ended. For logging out, which may be repeated."""

CurrentLogin = Annotated[Login, Depends(current_login)]
CurrentUser = Annotated[User, Depends(current_user)]
OptionalUser = Annotated[User | None, Depends(_optional_user)]
CurrentPatient = Annotated[User, Depends(only(Role.PATIENT))]
CurrentDoctor = Annotated[User, Depends(only(Role.DOCTOR))]
CurrentAdmin = Annotated[User, Depends(only(Role.ADMIN))]
CurrentStaff = Annotated[User, Depends(only(Role.DOCTOR, Role.NURSE, Role.ADMIN))]
FrontDesk = Annotated[User, Depends(only(Role.NURSE, Role.ADMIN))]
DoctorOrAdmin = Annotated[User, Depends(only(Role.DOCTOR, Role.ADMIN))]
