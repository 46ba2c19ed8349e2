"""The routes that codes by SMS open: a forgotten password, and a phone to be verified."""

from fastapi import APIRouter, BackgroundTasks, status

from backend.accounts.access import CurrentUser
from backend.accounts.errors import AlreadyVerified, CodeInvalid, NoPhone
from backend.accounts.login import verification
from backend.accounts.login.codes import BETWEEN, VALID
from backend.accounts.login.schemas_codes import PasswordForgotten, PasswordReset, PhoneConfirmation
from backend.accounts.responses import CodeRequestedOut, OwnAccountOut
from backend.accounts.routes import CallingDevice
from backend.core.http.errors import TooManyRequests, responses

auth_router = APIRouter(prefix="/auth/password", tags=["auth"])
me_router = APIRouter(prefix="/users/me/phone/verification", tags=["me"])

_REQUESTED = CodeRequestedOut(
    expires_in=int(VALID.total_seconds()), resend_after=int(BETWEEN.total_seconds())
)


@auth_router.post(
    "/forgot",
    summary="Ask for a code to set a forgotten password",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(TooManyRequests),
)
async def forget_password(
    body: PasswordForgotten, device: CallingDevice, after_the_answer: BackgroundTasks
) -> CodeRequestedOut:
    """Sends a code by SMS to the phone of the account, for `POST /auth/password/reset`.

    The answer is the same whether or not there is such an account. A new code ends the one before; a code is
    sent once a minute and five times an hour at most, and what is asked for more often is accepted in silence.
    """
    await verification.limit_forgotten(body.login, device)
    after_the_answer.add_task(verification.send_reset_code, body.login)
    return _REQUESTED


@auth_router.post(
    "/reset",
    summary="Set a forgotten password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(CodeInvalid, TooManyRequests),
)
async def reset_password(body: PasswordReset, device: CallingDevice) -> None:
    """Sets a new password with the code that came by SMS, and ends all logins of the account.

    The code works once, for ten minutes, and for five tries. Its phone is verified from then on. Log in with
    the new password afterwards.
    """
    await verification.reset_password(body, device=device)


@me_router.post(
    "",
    summary="Ask for a code to verify one's phone",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(AlreadyVerified, NoPhone, TooManyRequests),
)
async def request_phone_verification(caller: CurrentUser) -> CodeRequestedOut:
    """Sends a code by SMS to the caller's phone, for `POST /users/me/phone/verification/confirm`.

    A new code ends the one before. Asked for again within a minute, no other one is sent; after five in an
    hour it answers 429.
    """
    await verification.send_verification_code(caller)
    return _REQUESTED


@me_router.post("/confirm", summary="Verify one's phone", responses=responses(CodeInvalid))
async def confirm_phone(body: PhoneConfirmation, caller: CurrentUser) -> OwnAccountOut:
    """Takes the code that came by SMS, and answers with the account, whose phone is verified now.

    The code works once, for ten minutes, for five tries, and for the phone to which it was sent.
    """
    return OwnAccountOut.model_validate(await verification.verify_phone(caller, body.code))
