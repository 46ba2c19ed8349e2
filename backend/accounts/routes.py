"""Routes of accounts: logging in, the caller's own account, and all accounts for administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, status
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from backend.accounts import administration, users
from backend.accounts.access import CurrentAdmin, CurrentLogin, CurrentUser, TokenClaims
from backend.accounts.documents import Role
from backend.accounts.errors import (
    DoctorNeedsProfile,
    EmailTaken,
    InvalidCredentials,
    LastAdmin,
    OwnAccount,
    PhoneRequired,
    RefreshTokenInvalid,
    RefreshTokenReused,
    RoleNotAllowed,
    UnknownClinic,
    UnsupportedMediaType,
    UseDoctorsRoute,
    UserNotFound,
    WrongPassword,
    WrongRole,
)
from backend.accounts.login import log_in, sessions
from backend.accounts.login.log_in import Device, LoggedIn
from backend.accounts.responses import (
    LoggedInOut,
    OwnAccountOut,
    TokensOut,
    UserOut,
    account_response,
    account_responses,
)
from backend.accounts.schemas import (
    LoginBody,
    LoginForm,
    NewUser,
    OwnChanges,
    PasswordChange,
    RefreshBody,
    RegisterBody,
    UserChanges,
)
from backend.core.http.errors import BadRequest, EditConflict, TooManyRequests, responses
from backend.core.http.fields import Id
from backend.core.http.headers import ETAG_HEADER, ExpectedVersion, set_etag, set_location
from backend.core.http.pagination import BadCursor, Page, RequestedPage

auth_router = APIRouter(prefix="/auth", tags=["auth"])
me_router = APIRouter(prefix="/users/me", tags=["me"])
users_router = APIRouter(prefix="/users", tags=["users"])


def _device(request: Request) -> Device:
    return Device(address=request.client.host if request.client else "", user_agent=request.headers.get("user-agent"))


CallingDevice = Annotated[Device, Depends(_device)]


async def _login_body(request: Request) -> LoginBody:
    """Reads a login as JSON or as a form. FastAPI reads only one content type per operation."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return LoginBody.model_validate_json(await request.body())
        if kind == "application/x-www-form-urlencoded":
            async with request.form() as form:
                sent = LoginForm.model_validate(dict(form))
            return LoginBody(email=sent.username, password=sent.password)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None
    raise UnsupportedMediaType


async def _logged_in(found: LoggedIn) -> LoggedInOut:
    return LoggedInOut(**found.tokens.model_dump(), user=await account_response(OwnAccountOut, found.user))


_LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": LoginForm.model_json_schema()},
            "application/json": {"schema": LoginBody.model_json_schema()},
        },
    }
}


@auth_router.post(
    "/register",
    summary="Register as a patient",
    status_code=status.HTTP_201_CREATED,
    responses=responses(RoleNotAllowed, EmailTaken),
)
async def register(body: RegisterBody, device: CallingDevice, response: Response) -> LoggedInOut:
    """Creates an account and its own patient record, and logs in: the response is that of `POST /auth/login`.

    Administrators create the accounts of staff.
    """
    set_location(response, "/users/me")
    return await _logged_in(await log_in.register(body, device=device))


@auth_router.post(
    "/login",
    summary="Log in",
    responses=responses(InvalidCredentials, UnsupportedMediaType, TooManyRequests, BadRequest),
    openapi_extra=_LOGIN_BODY,
)
async def login(body: Annotated[LoginBody, Depends(_login_body)], device: CallingDevice) -> LoggedInOut:
    """Exchanges an e-mail (or phone) and a password for tokens.

    Takes JSON (`email`, `password`) or the OAuth2 password form (`username`, `password`). After too many
    failures for one account from one address it returns 429; `Retry-After` says for how many seconds.
    """
    found = await log_in.log_in(login=body.email, password=body.password.get_secret_value(), device=device)
    return await _logged_in(found)


@auth_router.post(
    "/refresh", summary="Refresh the tokens", responses=responses(RefreshTokenInvalid, RefreshTokenReused)
)
async def refresh_tokens(body: RefreshBody) -> TokensOut:
    """Exchanges a refresh token for a new pair.

    A refresh token works once. A second use may be a thief's, so it closes the session: store the new token
    before you use it, and refresh from one place at a time.
    """
    return await sessions.refresh(body.refresh_token)


@auth_router.post("/logout", summary="Log out", status_code=status.HTTP_204_NO_CONTENT)
async def logout(claims: TokenClaims) -> None:
    """Closes this session: its access and refresh tokens stop working at once. May be repeated."""
    await sessions.close_session(user_id=claims.user_id, session_id=claims.session_id)


@me_router.get("", summary="Read your account", responses=ETAG_HEADER)
async def get_own_account(caller: CurrentUser, response: Response) -> OwnAccountOut:
    """Returns the caller's account. `GET /users/me/patients` lists the patients it acts for."""
    set_etag(response, caller.version)
    return await account_response(OwnAccountOut, caller)


@me_router.patch(
    "",
    summary="Update your account",
    responses={**ETAG_HEADER, **responses(EmailTaken, EditConflict, PhoneRequired)},
)
async def update_own_account(
    body: OwnChanges, caller: CurrentUser, version: ExpectedVersion, response: Response
) -> OwnAccountOut:
    """Changes the fields sent and leaves the others. Null removes a value that is optional.

    The records of the account's patients have contacts too. Those that were the same as the account's change with it.
    """
    changed = await administration.change_own_account(caller, body, version=version)
    set_etag(response, changed.version)
    return await account_response(OwnAccountOut, changed)


@me_router.post(
    "/password",
    summary="Change your password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(WrongPassword, TooManyRequests),
)
async def change_own_password(body: PasswordChange, login: CurrentLogin, device: CallingDevice) -> None:
    """Sets a new password and closes the account's other sessions; this one stays open."""
    await log_in.change_password(login, body, device=device)


@users_router.get("", summary="List accounts", responses=responses(BadCursor))
async def list_users(
    *,
    caller: CurrentAdmin,
    role: Annotated[Role | None, Query(examples=["nurse"], description="Left out: all.")] = None,
    is_active: Annotated[bool | None, Query(description="Left out: both.")] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=100,
            examples=["ada"],
            description="The beginning of words of name or e-mail, or of a phone number in any notation.",
        ),
    ] = None,
    page: RequestedPage,
) -> Page[UserOut]:
    """Lists accounts of every role by name. For administrators."""
    users, next_cursor = await administration.list_users(role=role, is_active=is_active, q=q, page=page)
    return Page(items=await account_responses(UserOut, users), next_cursor=next_cursor)


@users_router.post(
    "",
    summary="Create an account",
    status_code=status.HTTP_201_CREATED,
    responses=responses(EmailTaken, DoctorNeedsProfile, WrongRole, UnknownClinic),
)
async def create_user(body: NewUser, caller: CurrentAdmin, response: Response) -> UserOut:
    """Creates an account of a patient, a nurse or an administrator. `POST /doctors` creates doctors."""
    created = await administration.add_user(body)
    set_location(response, f"/users/{created.user_id}")
    return await account_response(UserOut, created)


@users_router.get("/{user_id}", summary="Read an account", responses={**ETAG_HEADER, **responses(UserNotFound)})
async def get_user(user_id: Id, caller: CurrentAdmin, response: Response) -> UserOut:
    """Returns an account, active or not. For administrators."""
    user = await users.find_user(user_id)
    set_etag(response, user.version)
    return await account_response(UserOut, user)


@users_router.patch(
    "/{user_id}",
    summary="Update an account",
    responses={
        **ETAG_HEADER,
        **responses(
            *(UserNotFound, EmailTaken, OwnAccount, UseDoctorsRoute, EditConflict),
            *(WrongRole, PhoneRequired, UnknownClinic),
        ),
    },
)
async def update_user(
    user_id: Id, body: UserChanges, caller: CurrentAdmin, version: ExpectedVersion, response: Response
) -> UserOut:
    """Changes the fields sent and leaves the others. A new password closes all sessions of the user."""
    changed = await administration.change_user(caller, user_id, body, version=version)
    set_etag(response, changed.version)
    return await account_response(UserOut, changed)


@users_router.delete(
    "/{user_id}",
    summary="Deactivate an account",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(UserNotFound, OwnAccount, LastAdmin, UseDoctorsRoute),
)
async def deactivate_user(user_id: Id, caller: CurrentAdmin) -> None:
    """Deactivates an account and closes all its sessions; nothing is deleted.

    `DELETE /doctors/{id}` deactivates doctors.
    """
    await administration.remove_user(caller, user_id)
