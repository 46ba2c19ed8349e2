"""Field types of contacts, phone numbers and e-mail addresses; and how a model shows an example."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from backend.accounts.phone_numbers import normal_form
from backend.core.http.fields import without_control_characters


def example(**values: Any) -> ConfigDict:
    """Returns the `model_config` of a model with an example. Each subclass shows the fields that it has."""

    def add(schema: dict[str, Any], model: type[BaseModel]) -> None:
        schema["examples"] = [{name: value for name, value in values.items() if name in model.model_fields}]

    return ConfigDict(json_schema_extra=add)


_PHONE = (
    "Any usual notation; stored and shown as E.164. Without a country code it is read as one of the clinic's country."
    " An extension is kept, as in `+15550100001;ext=45`; such a number gets no messages."
)

Phone = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=40),
    AfterValidator(without_control_characters),
    AfterValidator(normal_form),
    Field(examples=["+15550100001"], description=_PHONE),
]

Email = Annotated[
    EmailStr,
    AfterValidator(str.lower),
    Field(examples=["ada@example.com"], max_length=254, description="Stored and compared in lower case."),
]
