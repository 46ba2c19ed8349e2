"""Errors of accounts, and which unique index causes which."""

from pymongo.errors import DuplicateKeyError

from backend.core.http.errors import Conflict, DomainError, Forbidden, NotFound, Unauthorized, Unprocessable


class InvalidCredentials(Unauthorized):
    """The login failed. The response doesn't reveal why: unknown, deactivated, without a password, or a wrong one."""

    code = "INVALID_CREDENTIALS"
    detail = "The login or the password is wrong."


class RefreshTokenInvalid(Unauthorized):
    """The refresh token is unknown, expired, or of a closed session."""

    code = "REFRESH_TOKEN_INVALID"
    detail = "The refresh token is no longer valid. Log in again."


class RefreshTokenReused(Unauthorized):
    """The refresh token was used before. Somebody may hold a copy, so its session was closed."""

    code = "REFRESH_TOKEN_REUSED"
    detail = "This refresh token was used before. The session was closed for safety. Log in again."


class RoleNotAllowed(Forbidden):
    """Only patients register themselves."""

    code = "ROLE_NOT_ALLOWED"
    detail = "Only patients can register. An administrator creates the accounts of staff."


class WrongPassword(Forbidden):
    """The current password is wrong."""

    code = "WRONG_PASSWORD"
    detail = "The current password is wrong."


class EmailTaken(Conflict):
    """Another active account has this e-mail address."""

    code = "EMAIL_TAKEN"
    detail = "There is an account with this e-mail already."


class LicenseTaken(Conflict):
    """Another doctor has this licence number."""

    code = "LICENSE_TAKEN"
    detail = "There is a doctor with this licence number already."


class OwnAccount(Conflict):
    """Administrators can't lock themselves out."""

    code = "OWN_ACCOUNT"
    detail = "You can't do this to your own account."


class LastAdmin(Conflict):
    """There must be at least one active administrator."""

    code = "LAST_ADMIN"
    detail = "This is the only active administrator. Make another one first."


class UseDoctorsRoute(Conflict):
    """Deactivating a doctor withdraws their slots, which only the doctors' routes do."""

    code = "USE_DOCTORS_ROUTE"
    detail = (
        "Use DELETE /doctors/{id} or PATCH /doctors/{id}: "
        "they also withdraw or open the doctor's slots and report the booked appointments."
    )


class AlreadyVerified(Conflict):
    """The phone number is verified already."""

    code = "ALREADY_VERIFIED"
    detail = "This phone number is verified already."


class NoPhone(Conflict):
    """The account has no phone number that gets messages."""

    code = "NO_PHONE"
    detail = "This account has no phone number to send a code to. Add one without an extension first."


class CodeInvalid(Unprocessable):
    """The code is not valid. The response doesn't reveal why: wrong, expired, used, or never sent."""

    code = "CODE_INVALID"
    detail = "The code is wrong or no longer valid. Request a new one."


class DoctorNeedsProfile(Unprocessable):
    """A doctor needs a profile, which this route doesn't take."""

    code = "DOCTOR_NEEDS_PROFILE"
    detail = "Create doctors with POST /doctors, which takes their specialty, licence and clinics."


class PhoneRequired(Unprocessable):
    """A patient's phone is needed for reminders."""

    code = "PHONE_REQUIRED"
    detail = "A patient's phone number can be changed, but not removed."


class WrongRole(Unprocessable):
    """The change doesn't fit the user's role."""

    code = "WRONG_ROLE"
    detail = "Users of this role don't have some of these fields."


class UnknownClinic(Unprocessable):
    """A clinic in the request doesn't exist or is not active. `directory` raises it."""

    code = "UNKNOWN_CLINIC"
    detail = "One of these ids is not that of an active clinic."


class UserNotFound(NotFound):
    """No such account."""

    code = "USER_NOT_FOUND"
    detail = "No such account."


class UnsupportedMediaType(DomainError):
    """The route doesn't read this content type."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    detail = "Send application/x-www-form-urlencoded or application/json."


_BY_FIELD: dict[str, type[Conflict]] = {
    "email": EmailTaken,
    "doctor.license_number": LicenseTaken,
}


def duplicate_error(error: DuplicateKeyError) -> DomainError:
    """Returns the error for a refusal by a unique index of `users`."""
    pattern = (error.details or {}).get("keyPattern") or {}
    for field, found in _BY_FIELD.items():
        if field in pattern:
            return found()
    raise error
