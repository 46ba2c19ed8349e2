"""Field types of contacts, phone numbers and e-mail addresses; and how a model shows an example."""

from typing import Annotated, Any

import phonenumbers
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from backend.core.http.fields import without_control_characters
from backend.core.settings import settings


def example(**values: Any) -> ConfigDict:
    """Returns the `model_config` of a model with an example. Each subclass shows the fields that it has."""

    def add(schema: dict[str, Any], model: type[BaseModel]) -> None:
        schema["examples"] = [{name: value for name, value in values.items() if name in model.model_fields}]

    return ConfigDict(json_schema_extra=add)


def e164(value: str) -> str:
    """Reads a phone number as people write it; raises `ValueError`.

    Fictional numbers (+1 555…) are possible, though not assigned.
    """
    try:
        number = phonenumbers.parse(value, settings.DEFAULT_PHONE_REGION)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


Phone = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=40),
    AfterValidator(without_control_characters),
    AfterValidator(e164),
    Field(examples=["+15550100001"], description="Any usual notation; stored and shown as E.164."),
]

Email = Annotated[
    EmailStr,
    AfterValidator(str.lower),
    Field(examples=["ada@example.com"], max_length=254, description="Stored and compared in lower case."),
]
