"""Request bodies of the routes of codes by SMS."""

from typing import Annotated

from pydantic import Field, StringConstraints

from backend.accounts.fields import example
from backend.accounts.login.codes import DIGITS
from backend.accounts.login.passwords import Password
from backend.accounts.schemas import LoginName
from backend.core.http.fields import Request

Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=rf"^[0-9]{{{DIGITS}}}$"),
    Field(examples=["042917"], description="The six digits from the SMS."),
]


class PasswordForgotten(Request):
    """The account whose password was forgotten."""

    model_config = example(login="ada@example.com")

    login: LoginName


class PasswordReset(Request):
    """A new password and the code that permits it."""

    model_config = example(login="ada@example.com", code="042917", new_password="staple in the stable")

    login: LoginName = Field(description="The e-mail address or the phone, as in the request for the code.")
    code: Code
    new_password: Password


class PhoneConfirmation(Request):
    """The code from the SMS."""

    model_config = example(code="042917")

    code: Code
