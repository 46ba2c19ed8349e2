"""Field types that requests share: text that can be stored and shown, ids, times inside a sane range."""

import json
import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from beanie import PydanticObjectId
from bson import ObjectId
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class Request(BaseModel):
    """A request's body. An unknown field is an error, so that a misspelt one is never lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema in the shape that client generators read best.

        `openapi-typescript` makes a field with a `default` required, so the description states the default.
        `@hey-api/openapi-ts` makes two types of a model with a `writeOnly` field, so passwords have none.
        """
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema).get("properties", {}).values():
            default = field.pop("default", None)
            if default is not None:
                stated = f"Default: `{json.dumps(default)}`."
                field["description"] = f"{field.get('description', '')} {stated}".lstrip()
            for part in (field, *field.get("anyOf", ())):
                part.pop("writeOnly", None)
        return schema


class Response(BaseModel):
    """A response's body, read from documents by attribute. Every field is always written, so all are required."""

    model_config = ConfigDict(from_attributes=True, json_schema_serialization_defaults_required=True)


def without_control_characters(text: str) -> str:
    """Raises `ValueError` at characters that can't be shown. Line breaks and tabs are allowed."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text):
        raise ValueError("must not hold control characters")
    return text


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\r\n\t]*$"),
    AfterValidator(without_control_characters),
]
"""One line of text: 1 to 120 characters, no control characters."""

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2000),
    AfterValidator(without_control_characters),
]
"""Free text: at most 2,000 characters, line breaks allowed."""


def _sane_instant(value: datetime) -> datetime:
    try:
        instant = value.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError("must lie between the years 1900 and 2200") from None
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("must lie between the years 1900 and 2200")
    return instant


_STARTS_LIKE_A_DATE = re.compile(r"[0-9]{4}-")
_LOST_PLUS = re.compile(r".*[0-9] [0-9]{2}:?[0-9]{2}")


def _text_only(value: Any) -> Any:
    """Numbers, as text too, would be read as seconds or milliseconds since 1970: refuse to guess."""
    if not (isinstance(value, date) or (isinstance(value, str) and _STARTS_LIKE_A_DATE.match(value))):
        raise ValueError("must be an RFC 3339 text")
    if isinstance(value, str) and "T" in value and _LOST_PLUS.fullmatch(value):
        raise ValueError("has a space where its offset has a +: write + as %2B in a URL")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_sane_instant)]
"""A moment: RFC 3339 with an offset, between the years 1900 and 2200; UTC from here on."""


def _sane_day(value: date) -> date:
    if not _EARLIEST.date() <= value < _LATEST.date():
        raise ValueError("must lie between the years 1900 and 2200")
    return value


Day = Annotated[date, BeforeValidator(_text_only), AfterValidator(_sane_day)]
"""A calendar day, `YYYY-MM-DD`."""


_ID = re.compile(r"[0-9a-f]{24}")


def _id(value: Any) -> Any:
    """Says what is wrong better than Beanie does; and an ObjectId of None would be a new one."""
    if not isinstance(value, ObjectId) and not (isinstance(value, str) and _ID.fullmatch(value)):
        raise ValueError("must be an id of 24 hexadecimal digits, in lower case")
    return value


Id = Annotated[
    PydanticObjectId,
    BeforeValidator(_id),
    WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$", "examples": ["671f0c0e9b1d8a0001a1b2c3"]}),
]
"""An ObjectId, 24 hexadecimal digits in JSON."""
