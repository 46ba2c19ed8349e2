"""Responses of the routes of accounts. None contains hashes, sessions or search words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field

from backend.accounts.documents import Language, Role, User
from backend.accounts.fields import example
from backend.accounts.number_repository import find_opted_out
from backend.core.http.fields import Id, Response

_USER: dict[str, Any] = {
    "id": "671f0c0e9b1d8a0001a1b2c3",
    "name": "Florence Nightingale",
    "email": "florence@example.com",
    "phone": "+15550100003",
    "role": "nurse",
    "language": "en",
    "photo_url": None,
    "is_active": True,
    "is_verified": False,
    "sms_opted_out": False,
    "last_login": "2026-11-20T08:15:00Z",
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-11-20T08:15:00Z",
    "doctor": None,
    "nurse": {"clinic_ids": ["671f0c0e9b1d8a0001a1b2c4"]},
}
_PATIENT: dict[str, Any] = {
    **_USER,
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+15550100001",
    "role": "patient",
    "nurse": None,
}

LanguageField = Annotated[
    Language | None, Field(description="The language of messages. Null: the clinic's.", examples=["en"])
]


class DoctorBrief(Response):
    """A part of a doctor's profile. The rest is at `/doctors/{id}`."""

    specialty: str
    license_number: str
    department_id: Id | None = None
    clinic_ids: list[Id] = []


class NurseBrief(Response):
    """The clinics whose appointments the nurse manages."""

    clinic_ids: list[Id] = []


class UserOut(Response):
    """An account."""

    model_config = example(**_USER)

    id: Id
    name: str
    email: str | None = None
    phone: str | None = Field(default=None, description="E.164.")
    role: Role
    language: LanguageField = None
    photo_url: str | None = None
    is_active: bool
    is_verified: bool = Field(description="Whether a code proved that the phone is theirs.")
    sms_opted_out: bool = Field(default=False, description="Whether the phone has opted out of messages.")
    last_login: datetime | None = None
    created_at: datetime
    updated_at: datetime
    doctor: DoctorBrief | None = None
    nurse: NurseBrief | None = None


class OwnAccountOut(UserOut):
    """The caller's account."""

    model_config = example(**_PATIENT)


_Account = TypeVar("_Account", bound=UserOut)


async def account_responses(model: type[_Account], users: Sequence[User]) -> list[_Account]:
    """Returns the responses for accounts."""
    opted_out = await find_opted_out(user.phone for user in users)
    shown = [model.model_validate(user) for user in users]
    return [each.model_copy(update={"sms_opted_out": each.phone in opted_out}) for each in shown]


async def account_response(model: type[_Account], user: User) -> _Account:
    """Returns the response for an account."""
    (shown,) = await account_responses(model, [user])
    return shown


class TokensOut(Response):
    """A pair of tokens. Send the access token as `Authorization: Bearer …`."""

    model_config = example(
        access_token="eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
        refresh_token="9f2c4e6a8b0d1f3a5c7e9b1d.Zm9yIGV4YW1wbGUgb25seQ",
        token_type="bearer",
        expires_in=1800,
    )

    access_token: str
    refresh_token: str = Field(description="For `POST /auth/refresh`, which returns the next one. It works once.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int = Field(description="Seconds until the access token expires.")


class LoggedInOut(TokensOut):
    """The tokens of a new session, and the account."""

    model_config = ConfigDict(json_schema_extra=None)

    user: OwnAccountOut


class CodeRequestedOut(Response):
    """The terms of a code by SMS. They are the same whether or not one was sent."""

    model_config = example(expires_in=600, resend_after=60)

    expires_in: int = Field(description="Seconds until a code expires.")
    resend_after: int = Field(description="Seconds until another code can be requested.")
