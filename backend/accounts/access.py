"""Who may call: types for the parameters of routes, as `caller: CurrentPatient`."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from beanie import PydanticObjectId
from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection

from backend.accounts.documents import Role, User
from backend.accounts.login.tokens import Claims, read_access_token
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.http.errors import Forbidden, Unauthorized
from backend.core.mongo.batching import reads_by_id


@dataclass(frozen=True)
class Login:
    """Who is asking, and by which of their logins."""

    user: User
    session_id: str


_users = reads_by_id(User.get_pymongo_collection)


async def _read_user(user_id: PydanticObjectId) -> Cacheable[dict[str, Any] | None]:
    return Cacheable(await _users.load(user_id), depends_on=frozenset([user_id]))


class _Bearer(OAuth2PasswordBearer):
    """The documentation's security scheme, as a dependency that answers with who is asking.

    It is one dependency and not one below the other: each would cost every request some 30 µs.
    """

    def __init__(self) -> None:
        super().__init__(
            tokenUrl="/api/v1/auth/login",
            refreshUrl="/api/v1/auth/refresh",
            scheme_name="OAuth2PasswordBearer",
            auto_error=False,
            description="An access token of `POST /auth/login`. The username is the e-mail address or the phone.",
        )

    async def claims(self, request: HTTPConnection) -> Claims | None:
        """What the request's token says; None without one. Raises `Unauthorized` at one that is no good."""
        token = await super().__call__(request)
        return None if token is None else read_access_token(token)

    async def login(self, request: HTTPConnection) -> Login | None:
        """The login of the request's token; None without one. Raises `Unauthorized`.

        One read by id: the user, if active and the token's session is still open.
        """
        claims = await self.claims(request)
        if claims is None:
            return None
        raw = await response_cache.load(("user", claims.user_id), partial(_read_user, claims.user_id))
        if raw is None or not raw["is_active"] or claims.session_id not in raw.get("sessions", ()):
            raise Unauthorized
        return Login(user=User.model_validate(raw), session_id=claims.session_id)


class _ClaimsNeeded(_Bearer):
    async def __call__(self, request: HTTPConnection) -> Claims:  # type: ignore[override]
        claims = await self.claims(request)
        if claims is None:
            raise Unauthorized
        return claims


class LoginNeeded(_Bearer):
    """Admits whoever is logged in."""

    async def __call__(self, request: HTTPConnection) -> Any:
        """The login; raises `Unauthorized`."""
        login = await self.login(request)
        if login is None:
            raise Unauthorized
        return login


class Only(LoginNeeded):
    """Admits these roles and raises `Forbidden` for the others."""

    def __init__(self, *roles: Role) -> None:
        super().__init__()
        self.roles = roles

    async def __call__(self, request: HTTPConnection) -> User:
        login: Login = await super().__call__(request)
        if login.user.role not in self.roles:
            raise Forbidden
        return login.user


class _Optional(_Bearer):
    """Who is asking, or None without a token. A token that is no good is an error here too: its owner is told to
    renew it, and not shown less than usual without a word."""

    async def __call__(self, request: HTTPConnection) -> User | None:
        login = await self.login(request)
        return None if login is None else login.user


TokenClaims = Annotated[Claims, Depends(_ClaimsNeeded())]
"""What a valid token says, though its session may have ended. For logging out, which may be repeated."""

CurrentLogin = Annotated[Login, Depends(LoginNeeded())]
CurrentUser = Annotated[User, Depends(Only(*Role))]
OptionalUser = Annotated[User | None, Depends(_Optional())]
CurrentPatient = Annotated[User, Depends(Only(Role.PATIENT))]
CurrentDoctor = Annotated[User, Depends(Only(Role.DOCTOR))]
CurrentAdmin = Annotated[User, Depends(Only(Role.ADMIN))]
CurrentStaff = Annotated[User, Depends(Only(Role.DOCTOR, Role.NURSE, Role.ADMIN))]
FrontDesk = Annotated[User, Depends(Only(Role.NURSE, Role.ADMIN))]
DoctorOrAdmin = Annotated[User, Depends(Only(Role.DOCTOR, Role.ADMIN))]
