"""What can go wrong with accounts, and which unique index says what."""

from pymongo.errors import DuplicateKeyError

from backend.core.http.errors import Conflict, DomainError, Forbidden, NotFound, Unauthorized, Unprocessable


class InvalidCredentials(Unauthorized):
    """Login failed. Why is not told: unknown, deactivated, no password, or the wrong one."""

    code = "INVALID_CREDENTIALS"
    detail = "The login or the password is wrong."


class RefreshTokenInvalid(Unauthorized):
    """Unknown, expired, or of a session that has ended."""

    code = "REFRESH_TOKEN_INVALID"
    detail = "The refresh token is not valid any more. Log in again."


class RefreshTokenReused(Unauthorized):
    """The token was used before: somebody holds a copy, so all tokens of its login are dead."""

    code = "REFRESH_TOKEN_REUSED"
    detail = "This refresh token has been used before. For safety this login has been ended; log in again."


class RoleNotAllowed(Forbidden):
    """Only patients register themselves."""

    code = "ROLE_NOT_ALLOWED"
    detail = "Only patients can register. Accounts of staff are made by an administrator."


class WrongPassword(Forbidden):
    """The current password, asked for again, is wrong."""

    code = "WRONG_PASSWORD"
    detail = "The current password is wrong."


class EmailTaken(Conflict):
    """Another account has this e-mail."""

    code = "EMAIL_TAKEN"
    detail = "There is an account with this e-mail already."


class PhoneTaken(Conflict):
    """Another account has this phone."""

    code = "PHONE_TAKEN"
    detail = "There is an account with this phone number already."


class LicenseTaken(Conflict):
    """Another doctor has this licence number."""

    code = "LICENSE_TAKEN"
    detail = "There is a doctor with this licence number already."


class OwnAccount(Conflict):
    """Administrators don't lock themselves out."""

    code = "OWN_ACCOUNT"
    detail = "You can't do this to your own account."


class LastAdmin(Conflict):
    """Somebody has to remain who can administer."""

    code = "LAST_ADMIN"
    detail = "This is the last active administrator."


class UseDoctorsRoute(Conflict):
    """A doctor's going and coming changes the book, which the directory's routes take care of."""

    code = "USE_DOCTORS_ROUTE"
    detail = (
        "Doctors come and go through /doctors/{id}: "
        "DELETE /doctors/{id} also withdraws the doctor's time and reports the booked appointments."
    )


class AlreadyVerified(Conflict):
    """There is nothing left to verify."""

    code = "ALREADY_VERIFIED"
    detail = "This phone number is verified already."


class NoPhone(Conflict):
    """A code can't be sent."""

    code = "NO_PHONE"
    detail = "There is no phone number in this account to send a code to."


class CodeInvalid(Unprocessable):
    """A code by SMS doesn't do. Why is not told: wrong, expired, used, or never sent to anybody."""

    code = "CODE_INVALID"
    detail = "The code is wrong, or no longer valid. Ask for a new one."


class DoctorNeedsProfile(Unprocessable):
    """A doctor can't be made without a doctor's profile."""

    code = "DOCTOR_NEEDS_PROFILE"
    detail = "Create doctors with POST /doctors, which takes their specialty, licence and clinics."


class PhoneRequired(Unprocessable):
    """A patient without a phone can't be reminded."""

    code = "PHONE_REQUIRED"
    detail = "A patient's phone number can be changed, but not removed."


class WrongRole(Unprocessable):
    """The change doesn't fit what the user is."""

    code = "WRONG_ROLE"
    detail = "Some of these fields don't exist for a user of this role."


class UnknownClinic(Unprocessable):
    """A clinic that is named doesn't exist, or is not active. The directory, which knows, raises it."""

    code = "UNKNOWN_CLINIC"
    detail = "There is no active clinic by one of these ids."


class UserNotFound(NotFound):
    """No such account."""

    code = "USER_NOT_FOUND"
    detail = "There is no such account."


class UnsupportedMediaType(DomainError):
    """The body is of a content type that this route doesn't read."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    detail = "Send application/x-www-form-urlencoded or application/json."


_BY_FIELD: dict[str, type[Conflict]] = {
    "email": EmailTaken,
    "phone": PhoneTaken,
    "doctor.license_number": LicenseTaken,
}


def duplicate_error(error: DuplicateKeyError) -> DomainError:
    """The domain's error for a refusal by a unique index of `users`."""
    pattern = (error.details or {}).get("keyPattern") or {}
    for field, found in _BY_FIELD.items():
        if field in pattern:
            return found()
    raise error
