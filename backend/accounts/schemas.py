"""Request bodies of the routes of accounts."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, StringConstraints, TypeAdapter, model_validator

from backend.accounts.documents import Role
from backend.accounts.fields import Email, Phone, example
from backend.accounts.login.passwords import GivenPassword, Password
from backend.accounts.profiles import Gender
from backend.accounts.responses import LanguageField
from backend.core.clock import utc_now
from backend.core.http.fields import Day, Id, Line, Request, Text

_EASTERNMOST = timedelta(hours=14)

_url: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl)


def left_out(**field: Any) -> Any:
    """Returns a field that a PATCH may leave out, but not send as null. Left out, it isn't in `model_fields_set`."""
    return Field(default_factory=lambda: None, **field)


def _not_ahead(day: date) -> date:
    if day > (utc_now() + _EASTERNMOST).date():
        raise ValueError("must not lie in the future")
    return day


BirthDay = Annotated[
    Day,
    AfterValidator(_not_ahead),
    Field(examples=["1985-04-12"], description="`YYYY-MM-DD`, not in the future."),
]


def _as_url(text: str) -> str:
    url = str(_url.validate_python(text))
    if len(url) > 500:
        raise ValueError("must have at most 500 characters")
    return url


WebAddress = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$"),
    AfterValidator(_as_url),
    Field(examples=["https://example.com/ada.jpg"], description="An http or https address."),
]

LoginName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Field(examples=["ada@example.com"], description="The e-mail address or the phone."),
]

RefreshToken = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"),
    Field(description="The newest refresh token. It works once."),
]


class RegisterBody(Request):
    """A new patient's account."""

    model_config = example(
        name="Ada Lovelace",
        email="ada@example.com",
        phone="+15550100001",
        password="correct horse battery",
        language="en",
        date_of_birth="1985-04-12",
        gender="female",
    )

    name: Line
    email: Email
    phone: Phone
    password: Password
    role: Role = Field(default=Role.PATIENT, description="Only `patient` is accepted.")
    language: LanguageField = None
    date_of_birth: BirthDay | None = None
    gender: Gender | None = None
    address: Text | None = None


class LoginBody(Request):
    """A login as JSON."""

    model_config = example(email="ada@example.com", password="correct horse battery")

    email: LoginName
    password: GivenPassword


class LoginForm(Request):
    """A login as an OAuth2 form. Other fields of the standard are ignored."""

    model_config = {
        **example(username="ada@example.com", password="correct horse battery"),
        "extra": "ignore",
    }

    username: LoginName
    password: GivenPassword


class RefreshBody(Request):
    """The refresh token to exchange."""

    model_config = example(refresh_token="9f2c4e6a8b0d1f3a5c7e9b1d.Zm9yIGV4YW1wbGUgb25seSwgbm90IGEgcmVhbCB0b2tlbg")

    refresh_token: RefreshToken


class PasswordChange(Request):
    """A new password for the caller."""

    model_config = example(current_password="correct horse battery", new_password="staple in the stable")

    current_password: GivenPassword
    new_password: Password


class OwnChanges(Request):
    """Changes to the caller's account. Fields left out stay."""

    model_config = example(phone="(555) 010-0002", language="es", photo_url=None)

    name: Line = left_out(examples=["Ada King"])
    email: Email = left_out()
    phone: Phone | None = Field(default=None, description="Staff may send null; patients need a phone.")
    language: LanguageField = None
    photo_url: WebAddress | None = None


class NewUser(Request):
    """A new account of a patient, a nurse or an administrator. `POST /doctors` creates doctors."""

    model_config = example(
        role="nurse",
        name="Florence Nightingale",
        email="florence@example.com",
        phone="+15550100003",
        password="lamp and ledger",
        clinic_ids=["671f0c0e9b1d8a0001a1b2c3"],
    )

    role: Role
    name: Line
    email: Email | None = Field(default=None, description="Required for staff.")
    phone: Phone | None = Field(default=None, description="Required for patients.")
    password: Password
    language: LanguageField = None
    clinic_ids: list[Id] = left_out(max_length=100, description="A nurse's clinics. For nurses only.")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.role is Role.PATIENT and self.phone is None:
            raise ValueError("a patient needs a phone")
        if self.role in (Role.NURSE, Role.ADMIN) and self.email is None:
            raise ValueError("staff need an e-mail")
        return self


class UserChanges(Request):
    """Changes to an account by an administrator. Fields left out stay. A role never changes."""

    model_config = example(name="Florence N.", clinic_ids=["671f0c0e9b1d8a0001a1b2c3"])

    name: Line = left_out(examples=["Florence N."])
    email: Email = left_out()
    phone: Phone | None = Field(default=None, description="Null is allowed for staff only.")
    language: LanguageField = None
    is_active: Literal[True] = left_out(description="True reactivates; `DELETE` deactivates.")
    password: Password = left_out(description="Sets a new password and closes all sessions of the user.")
    clinic_ids: list[Id] = left_out(max_length=100, description="A nurse's clinics. For nurses only.")
