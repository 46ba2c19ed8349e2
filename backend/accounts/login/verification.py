"""Verifying phones and resetting forgotten passwords, with codes sent by SMS."""

import asyncio
import logging

from pymongo.errors import PyMongoError

from backend.accounts import repository
from backend.accounts.documents import Purpose, User
from backend.accounts.errors import AlreadyVerified, CodeInvalid, NoPhone
from backend.accounts.login.codes import issue, redeem
from backend.accounts.login.log_in import Device
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.repository import delete_failures, delete_sessions
from backend.accounts.login.schemas_codes import PasswordReset
from backend.accounts.login.throttle import count_failure, refuse_if_throttled, throttle_key
from backend.accounts.phone_numbers import gets_sms
from backend.accounts.users import find_by_login
from backend.core.http.errors import DomainError

log = logging.getLogger(__name__)


async def send_verification_code(user: User) -> None:
    """Sends a code to the user's phone, unless one was sent less than a minute ago.

    Raises `NoPhone`, `AlreadyVerified`, and `TooManyRequests` after the fifth in an hour.
    """
    if user.phone is None or not gets_sms(user.phone):
        raise NoPhone
    if user.is_verified:
        raise AlreadyVerified
    await issue(user, Purpose.VERIFY_PHONE)


async def verify_phone(user: User, code: str) -> User:
    """Marks the user's phone as verified and returns the user. Raises `CodeInvalid`."""
    phone = user.phone
    if phone is None or not await redeem(user_id=user.user_id, purpose=Purpose.VERIFY_PHONE, phone=phone, code=code):
        raise CodeInvalid
    verified = await repository.mark_phone_verified(user.user_id, phone)
    if verified is None:
        raise CodeInvalid
    return verified


async def limit_forgotten(login: str, device: Device) -> None:
    """Counts a request for a code. Raises `TooManyRequests` after LOGIN_ATTEMPTS from an address for a login.

    It counts by the login as it was sent, so it reveals nothing about an account.
    """
    await count_failure(throttle_key(f"forgot {login.casefold()}", device.address))


async def send_reset_code(login: str) -> None:
    """Sends a code to the phone of an active account, if there is one. Raises nothing.

    It runs after the response, whose duration therefore doesn't reveal whether there is an account.
    """
    try:
        user = await find_by_login(login)
        if user is not None and user.is_active:
            await issue(user, Purpose.RESET_PASSWORD)
    except DomainError:  # no phone, or too many codes
        return
    except PyMongoError as error:
        log.warning("no code for a forgotten password: %s", type(error).__name__)


async def reset_password(body: PasswordReset, *, device: Device) -> None:
    """Sets a forgotten password, closes all sessions of the user and marks the phone as verified, in one write.

    Raises `TooManyRequests`, and `CodeInvalid` for every reason alike and after the same work.
    """
    key = throttle_key(f"reset {body.login.casefold()}", device.address)
    await refuse_if_throttled(key)
    user = await find_by_login(body.login)
    # Hashing takes longer than trying the code, so the duration doesn't reveal whether there was one.
    new_hash, is_right = await asyncio.gather(
        hash_password(body.new_password.get_secret_value()), _try_code(user, body.code)
    )
    if user is None or not is_right or not await repository.reset_password(user, new_hash):
        await count_failure(key)
        raise CodeInvalid
    await delete_sessions(user.user_id)
    await delete_failures(throttle_key(str(user.user_id), device.address))


async def _try_code(user: User | None, code: str) -> bool:
    if user is None or user.phone is None:
        return False
    return await redeem(user_id=user.user_id, purpose=Purpose.RESET_PASSWORD, phone=user.phone, code=code)
