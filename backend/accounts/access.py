"""Who may call a route, as the type of a parameter: `caller: CurrentPatient`. And what only staff see."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from beanie import PydanticObjectId
from fastapi import Depends, Query
from fastapi.security import OAuth2PasswordBearer
from starlette.requests import HTTPConnection, Request

from backend.accounts import repository
from backend.accounts.documents import Role, User
from backend.accounts.login.tokens import Claims, read_access_token
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.core.http.errors import Forbidden, Unauthorized


@dataclass(frozen=True)
class Login:
    """The caller and the session of their access token."""

    user: User
    session_id: str


async def _read_user(user_id: PydanticObjectId) -> Cacheable[dict[str, Any] | None]:
    return Cacheable(await repository.load(user_id), depends_on=frozenset([user_id]))


class _Bearer(OAuth2PasswordBearer):
    """The security scheme of the documentation, and the dependency that reads the caller.

    It is one dependency, because each dependency of another costs every request some 30 µs.
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
        """Returns the claims of the request's token, None without a token. Raises `Unauthorized` if it is invalid."""
        token = await super().__call__(request)
        return None if token is None else read_access_token(token)

    async def login(self, request: HTTPConnection) -> Login | None:
        """Returns the login of the request's token, None without a token. Raises `Unauthorized`.

        It reads one document by id: the user, who must be active and have the token's session.
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
    """Admits every role."""

    async def __call__(self, request: HTTPConnection) -> Any:
        """Returns the login. Raises `Unauthorized`."""
        login = await self.login(request)
        if login is None:
            raise Unauthorized
        return login


class Only(LoginNeeded):
    """Admits these roles. Raises `Forbidden` for the others."""

    def __init__(self, *roles: Role) -> None:
        super().__init__()
        self.roles = roles

    async def __call__(self, request: HTTPConnection) -> User:
        login: Login = await super().__call__(request)
        if login.user.role not in self.roles:
            raise Forbidden
        return login.user


AsPatient = Annotated[
    bool, Query(description="For staff: true to act as a patient, for yourself and those for whom you act.")
]


class _InEitherHat(Only):
    """Admits every role; staff who ask for it as the patients that they are too."""

    async def __call__(self, request: HTTPConnection, as_patient: AsPatient = False) -> User:
        return in_hat(await super().__call__(request), as_patient=as_patient)


class _Optional(_Bearer):
    """Admits everybody: the caller is None without a token. An invalid token is an error here too, so that its owner
    refreshes it instead of silently seeing less."""

    async def __call__(self, request: HTTPConnection) -> User | None:
        login = await self.login(request)
        return None if login is None else login.user


_optional = _Optional()


async def viewer_of(request: Request) -> User | None:
    """Returns the caller, None without a token. Raises `Unauthorized`.

    It does what `OptionalUser` does, for the busiest public routes: each dependency costs a request some 30 µs.
    """
    return await _optional(request) if "authorization" in request.headers else None


MAY_LOG_IN: dict[str, Any] = {"security": [{"OAuth2PasswordBearer": []}]}
"""What the OpenAPI document says of a route that uses `viewer_of`."""

TokenClaims = Annotated[Claims, Depends(_ClaimsNeeded())]
"""The claims of a valid token, whose session may have ended. For logging out, which may be repeated."""

CurrentLogin = Annotated[Login, Depends(LoginNeeded())]
CurrentUser = Annotated[User, Depends(Only(*Role))]
ActingUser = Annotated[User, Depends(_InEitherHat(*Role))]
"""The caller; with `as_patient=true`, staff with the role, and so with the rights, of a patient."""

OptionalUser = Annotated[User | None, Depends(_optional)]
CurrentPatient = Annotated[User, Depends(Only(Role.PATIENT))]
CurrentDoctor = Annotated[User, Depends(Only(Role.DOCTOR))]
CurrentAdmin = Annotated[User, Depends(Only(Role.ADMIN))]
CurrentStaff = Annotated[User, Depends(Only(Role.DOCTOR, Role.NURSE, Role.ADMIN))]
FrontDesk = Annotated[User, Depends(Only(Role.NURSE, Role.ADMIN))]
DoctorOrAdmin = Annotated[User, Depends(Only(Role.DOCTOR, Role.ADMIN))]


def in_hat(user: User, *, as_patient: bool) -> User:
    """Returns the user; `as_patient`, with the role of a patient.

    Staff are patients too, and parents. All that a patient may see or do follows from the role and from the links of
    the account, so nothing else needs to know.
    """
    is_other = as_patient and user.role is not Role.PATIENT
    return user.model_copy(update={"role": Role.PATIENT}) if is_other else user


def is_staff(viewer: User | None) -> bool:
    """Returns whether the viewer is logged in and not a patient."""
    return viewer is not None and viewer.role is not Role.PATIENT


def visible_to(viewer: User | None) -> dict[str, Any]:
    """Returns the filter for clinics, departments and doctors: only staff see inactive ones."""
    return {} if is_staff(viewer) else {"is_active": True}
