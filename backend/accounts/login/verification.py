"""What a code by SMS proves: that a phone is the user's, and so who may set a forgotten password."""

import asyncio
import logging

from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from backend.accounts.documents import Purpose, User
from backend.accounts.errors import AlreadyVerified, CodeInvalid, NoPhone
from backend.accounts.login.codes import issue, redeem
from backend.accounts.login.log_in import Device
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.schemas_codes import PasswordReset
from backend.accounts.login.sessions import forget_sessions
from backend.accounts.login.throttle import count_failure, forget_failures, refuse_if_throttled, throttle_key
from backend.accounts.users import find_by_login
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError

log = logging.getLogger(__name__)


async def send_verification_code(user: User) -> None:
    """Sends a code to the user's phone, if none was sent just now.

    Raises `NoPhone`, `AlreadyVerified`, and `TooManyRequests` after the fifth in an hour.
    """
    if user.phone is None:
        raise NoPhone
    if user.is_verified:
        raise AlreadyVerified
    await issue(user, Purpose.VERIFY_PHONE)


async def verify_phone(user: User, code: str) -> User:
    """The user, whose phone is known to be the user's from now on; raises `CodeInvalid`."""
    phone = user.phone
    if phone is None or not await redeem(
        user_id=user.user_id, purpose=Purpose.VERIFY_PHONE, phone=phone, code=code
    ):
        raise CodeInvalid
    raw = await User.get_pymongo_collection().find_one_and_update(
        {"_id": user.user_id, "phone": phone},  # it may be another one by now
        {"$set": {"is_verified": True, "updated_at": utc_now()}},
        return_document=ReturnDocument.AFTER,
    )
    if raw is None:
        raise CodeInvalid
    verified: User = User.model_validate(raw)
    return verified


async def limit_forgotten(login: str, device: Device) -> None:
    """Counts a request for a code; raises `TooManyRequests` after LOGIN_ATTEMPTS from an address for a login.

    It goes by the login as it was sent, and so asks nothing about an account.
    """
    await count_failure(throttle_key(f"forgot {login.casefold()}", device.address))


async def send_reset_code(login: str) -> None:
    """Sends a code to the phone of an active account, if there is one. Otherwise nothing, and nothing is raised.

    It runs after the answer, which thus can't tell by its time what was found here.
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
    """Sets a forgotten password, ends all logins of the user, and takes the phone as verified, in one write.

    Raises `CodeInvalid`, whatever the reason and after the same work, and `TooManyRequests`.
    """
    key = throttle_key(f"reset {body.login.casefold()}", device.address)
    await refuse_if_throttled(key)
    user = await find_by_login(body.login)
    # Trying the code is over before the hash is: how long it took, and whether there was one, doesn't show.
    new_hash, is_right = await asyncio.gather(
        hash_password(body.new_password.get_secret_value()), _try_code(user, body.code)
    )
    if user is None or not is_right or not await _set_password(user, new_hash):
        await count_failure(key)
        raise CodeInvalid
    await forget_sessions(user.user_id)
    await forget_failures(throttle_key(str(user.user_id), device.address))


async def _try_code(user: User | None, code: str) -> bool:
    if user is None or user.phone is None:
        return False
    return await redeem(user_id=user.user_id, purpose=Purpose.RESET_PASSWORD, phone=user.phone, code=code)


async def _set_password(user: User, new_hash: str) -> bool:
    """False if the account has ended meanwhile, or has another phone."""
    changed = await User.get_pymongo_collection().update_one(
        {"_id": user.user_id, "is_active": True, "phone": user.phone},
        {
            "$set": {
                "password_hash": new_hash,
                "sessions": [],
                "is_verified": True,
                "updated_at": utc_now(),
            }
        },
    )
    return bool(changed.matched_count)
