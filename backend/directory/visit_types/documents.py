"""The visit type: a kind of visit that a clinic offers."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.accounts.documents import Language
from backend.core.clock import utc_now
from backend.core.mongo.text_search import fold


class BookableBy(StrEnum):
    """Who may book a visit type: patients too, or the staff only."""

    ONLINE = "online"
    STAFF = "staff"


class VisitType(Document):
    """A kind of visit at one clinic. Lengths and notices are minutes.

    An appointment without a visit type is the default visit: one slot of the doctor's length, booked online.
    """

    clinic_id: PydanticObjectId
    names: dict[Language, str]
    name: str = Field(description="The name in the clinic's language.")
    name_key: str = Field(description="The same as lists are sorted by it: without case and accents.")
    name_keys: list[str]
    minutes: int
    buffer_minutes: int = 0
    minimum_notice_minutes: int = 0
    cancellation_notice_minutes: int = 0
    open_bookings_per_patient: int | None = None
    bookable_by: BookableBy = BookableBy.ONLINE
    doctor_ids: list[PydanticObjectId] = []
    department_ids: list[PydanticObjectId] = []
    instructions: dict[Language, str] = {}
    telehealth_url: str | None = None
    is_active: bool = True
    version: int = Field(default=0, description="Incremented by every edit. `If-Match` compares it.")
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "visit_types"
        keep_nulls = False
        indexes = [
            IndexModel([("clinic_id", ASCENDING), ("name_keys", ASCENDING)], unique=True),
            IndexModel([("clinic_id", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
        ]

    @property
    def visit_type_id(self) -> PydanticObjectId:
        """The id of a stored visit type."""
        assert self.id is not None  # noqa: S101 - every visit type that is read has one
        return self.id

    @property
    def minimum_notice(self) -> timedelta:
        """How long before its start a patient must book it."""
        return timedelta(minutes=self.minimum_notice_minutes)

    @property
    def cancellation_notice(self) -> timedelta:
        """Until how long before its start a patient may cancel or reschedule it."""
        return timedelta(minutes=self.cancellation_notice_minutes)


def name_fields(names: Mapping[Language, str], language: Language) -> dict[str, Any]:
    """Returns the fields that follow from the names of a visit type at a clinic that speaks this language."""
    name = in_language(names, language)
    return {
        "names": dict(names),
        "name": name,
        "name_key": fold(name or ""),
        "name_keys": sorted(f"{each}:{fold(name)}" for each, name in names.items()),
    }


def in_language(texts: Mapping[Language, str], language: Language | None) -> str | None:
    """Returns the text in a language, or in another one if there is none; None if there is no text at all."""
    return next((texts[each] for each in (language, "en", *texts) if each in texts), None)  # type: ignore[index]
