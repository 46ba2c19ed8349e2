"""Routes that use codes sent by SMS: resetting a forgotten password, verifying a phone."""

from fastapi import APIRouter, BackgroundTasks, status

from backend.accounts.access import CurrentUser
from backend.accounts.errors import AlreadyVerified, CodeInvalid, NoPhone
from backend.accounts.login import verification
from backend.accounts.login.codes import BETWEEN, VALID
from backend.accounts.login.schemas_codes import PasswordForgotten, PasswordReset, PhoneConfirmation
from backend.accounts.responses import CodeRequestedOut, OwnAccountOut, account_response
from backend.accounts.routes import CallingDevice
from backend.core.http.errors import TooManyRequests, responses

auth_router = APIRouter(prefix="/auth/password", tags=["auth"])
me_router = APIRouter(prefix="/users/me/phone/verification", tags=["me"])

CODE_REQUESTED = CodeRequestedOut(expires_in=int(VALID.total_seconds()), resend_after=int(BETWEEN.total_seconds()))


@auth_router.post(
    "/forgot",
    summary="Request a code to reset the password",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(TooManyRequests),
)
async def forget_password(
    body: PasswordForgotten, device: CallingDevice, after_response: BackgroundTasks
) -> CodeRequestedOut:
    """Sends a code by SMS to the phone of the account, for `POST /auth/password/reset`.

    The response is the same whether or not there is such an account. A new code replaces the one before. At most one
    code a minute and five an hour are sent; further requests get the same response.
    """
    await verification.limit_forgotten(body.login, device)
    after_response.add_task(verification.send_reset_code, body.login)
    return CODE_REQUESTED


@auth_router.post(
    "/reset",
    summary="Reset a forgotten password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(CodeInvalid, TooManyRequests),
)
async def reset_password(body: PasswordReset, device: CallingDevice) -> None:
    """Sets a new password with the code from the SMS, and closes all sessions of the account.

    The code works once, for ten minutes, and for five tries. It also verifies the phone. Log in with the new
    password afterwards.
    """
    await verification.reset_password(body, device=device)


@me_router.post(
    "",
    summary="Request a code to verify your phone",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(AlreadyVerified, NoPhone, TooManyRequests),
)
async def request_phone_verification(caller: CurrentUser) -> CodeRequestedOut:
    """Sends a code by SMS to the caller's phone, for `POST /users/me/phone/verification/confirm`.

    A new code replaces the one before. Within a minute of a code no other one is sent; after five in an hour the
    response is 429.
    """
    await verification.send_verification_code(caller)
    return CODE_REQUESTED


@me_router.post("/confirm", summary="Verify your phone", responses=responses(CodeInvalid))
async def confirm_phone(body: PhoneConfirmation, caller: CurrentUser) -> OwnAccountOut:
    """Verifies the phone with the code from the SMS and returns the account.

    The code works once, for ten minutes, for five tries, and for the phone that it was sent to.
    """
    return await account_response(OwnAccountOut, await verification.verify_phone(caller, body.code))
