"""Registering, logging in, and changing one's own password."""

from dataclasses import dataclass

from backend.accounts import repository
from backend.accounts.access import Login
from backend.accounts.documents import Role, User
from backend.accounts.errors import InvalidCredentials, RoleNotAllowed, WrongPassword
from backend.accounts.login.passwords import hash_password, needs_rehash, verify_password
from backend.accounts.login.repository import delete_sessions
from backend.accounts.login.sessions import open_session
from backend.accounts.login.throttle import count_failure, refuse_if_throttled, throttle_key
from backend.accounts.profiles import PendingPatient
from backend.accounts.responses import TokensOut
from backend.accounts.schemas import PasswordChange, RegisterBody
from backend.accounts.users import create_user, find_by_login
from backend.core.http.errors import Unauthorized


@dataclass(frozen=True)
class Device:
    """Where a request comes from: the client's address and user agent."""

    address: str
    user_agent: str | None


@dataclass(frozen=True)
class LoggedIn:
    """A user with the tokens of a new session."""

    user: User
    tokens: TokensOut


async def register(body: RegisterBody, *, device: Device) -> LoggedIn:
    """Creates an account with a patient record of its own and logs in.

    Raises `RoleNotAllowed`, `EmailTaken`."""
    if body.role is not Role.PATIENT:
        raise RoleNotAllowed
    sent = body.model_dump(mode="json", exclude={"password"})
    user = User(**sent, pending_patient=PendingPatient.model_validate(sent))
    await create_user(user, password=body.password.get_secret_value())
    return LoggedIn(user=user, tokens=await open_session(user, device.user_agent))


async def log_in(*, login: str, password: str, device: Device) -> LoggedIn:
    """Opens a session for an e-mail or phone and its password.

    Raises `TooManyRequests`, and `InvalidCredentials` for every reason alike and after the same work.
    """
    user = await find_by_login(login)
    key = throttle_key(str(user.id) if user else login.casefold(), device.address)
    await refuse_if_throttled(key)
    stored = user.password_hash if user and user.is_active else None
    if not await verify_password(password, stored) or user is None or stored is None:
        await count_failure(key)
        raise InvalidCredentials
    await refuse_if_throttled(key)
    if needs_rehash(stored):
        user = await repository.rehash_password(user.user_id, old_hash=stored, new_hash=await hash_password(password))
        if user is None:
            raise InvalidCredentials
    return LoggedIn(user=user, tokens=await open_session(user, device.user_agent))


async def change_password(login: Login, body: PasswordChange, *, device: Device) -> None:
    """Sets the caller's own password and closes their other sessions, in one write.

    Raises `WrongPassword`, `TooManyRequests`, and `Unauthorized` if this session was closed meanwhile.
    """
    user = login.user
    key = throttle_key(str(user.id), device.address)
    await refuse_if_throttled(key)
    if not await verify_password(body.current_password.get_secret_value(), user.password_hash):
        await count_failure(key)
        raise WrongPassword
    await refuse_if_throttled(key)
    new_hash = await hash_password(body.new_password.get_secret_value())
    if not await repository.change_password(user, new_hash, session_id=login.session_id):
        raise Unauthorized
    await delete_sessions(user.user_id, except_sid=login.session_id)
