"""Clinics and departments."""

from datetime import datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field, model_validator
from pymongo import ASCENDING, GEOSPHERE, IndexModel

from backend.accounts.documents import Language
from backend.accounts.profiles import WEEK, Weekday
from backend.core.clock import utc_now
from backend.core.mongo.text_search import fold, words_of
from backend.core.settings import settings


class GeoPoint(BaseModel):
    """A GeoJSON point: longitude, then latitude, in degrees."""

    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float]


class OpeningHours(BaseModel):
    """When the clinic is open on a weekday: wall-clock times of its zone, `HH:MM`, up to 24:00."""

    weekday: Weekday
    opens: str
    closes: str


def usual_opening_hours() -> list[OpeningHours]:
    """Monday to Friday, 9:00 to 17:00."""
    return [OpeningHours(weekday=day, opens="09:00", closes="17:00") for day in WEEK[:5]]


class Closure(BaseModel):
    """A stretch in which the clinic is closed in spite of its opening hours. UTC, end exclusive."""

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    start: datetime
    end: datetime
    reason: str | None = None


class Policy(BaseModel):
    """A clinic's own rules. What is None follows the settings."""

    slot_minutes: int | None = None
    horizon_days: int | None = None
    confirm_window_minutes: int | None = None
    check_in_window_minutes: int | None = None
    no_show_grace_minutes: int | None = None
    reminder_minutes: list[int] | None = None
    auto_cancel_minutes: int | None = None


class Rules(BaseModel):
    """A policy with every gap filled from the settings. Minutes, but for the horizon, which is in days."""

    slot_minutes: int
    horizon_days: int
    confirm_window_minutes: int
    check_in_window_minutes: int
    no_show_grace_minutes: int
    reminder_minutes: list[int]
    auto_cancel_minutes: int


CLINIC_WORDS = ("name", "city", "address", "state", "zip_code")
"""The fields of a clinic that its keys are made of."""


def clinic_keys(*, name: str, city: str, **more: str | None) -> dict[str, Any]:
    """By what a clinic is compared and found, from the fields of `CLINIC_WORDS`."""
    return {
        "name_key": fold(name),
        "city_key": fold(city),
        "search_words": words_of(name, city, *more.values()),
    }


class Clinic(Document):
    """A place where patients are seen."""

    name: str
    name_key: str = ""
    address: str | None = None
    city: str
    city_key: str = ""
    state: str | None = None
    zip_code: str | None = None
    phone: str | None = None
    email: str | None = None
    time_zone: str
    language: Language = "en"
    location: GeoPoint | None = None
    opening_hours: list[OpeningHours] = Field(default_factory=usual_opening_hours)
    closures: list[Closure] = []
    policy: Policy = Field(default_factory=Policy)
    is_active: bool = True
    search_words: list[str] = []
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "clinics"
        keep_nulls = False
        indexes = [
            IndexModel([("name_key", ASCENDING), ("city_key", ASCENDING)], unique=True),
            IndexModel([("is_active", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("city_key", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("search_words", ASCENDING)]),
            IndexModel([("location", GEOSPHERE)]),
        ]

    @property
    def clinic_id(self) -> PydanticObjectId:
        """The id of a stored clinic."""
        assert self.id is not None  # noqa: S101 - every clinic that is read has one
        return self.id

    @property
    def zone(self) -> ZoneInfo:
        """The clinic's IANA zone."""
        return ZoneInfo(self.time_zone)

    @property
    def rules(self) -> Rules:
        """The policy in force."""
        own = self.policy.model_dump(exclude_none=True)
        return Rules.model_validate(
            {
                "slot_minutes": settings.SLOT_MINUTES,
                "horizon_days": settings.BOOKING_HORIZON_DAYS,
                "confirm_window_minutes": settings.CONFIRM_WINDOW_MINUTES,
                "check_in_window_minutes": settings.CHECK_IN_WINDOW_MINUTES,
                "no_show_grace_minutes": settings.NO_SHOW_GRACE_MINUTES,
                "reminder_minutes": [settings.REMINDER_MINUTES],
                "auto_cancel_minutes": settings.AUTO_CANCEL_MINUTES,
                **own,
            }
        )

    @model_validator(mode="after")
    def _with_keys(self) -> Self:
        """No clinic is made without its keys. Whoever changes what they are made of writes new ones."""
        if not self.name_key:
            for key, value in clinic_keys(**{name: getattr(self, name) for name in CLINIC_WORDS}).items():
                setattr(self, key, value)
        return self


class Department(Document):
    """A field of medicine as the clinics organise it."""

    name: str
    name_key: str
    description: str | None = None
    is_active: bool = True
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "departments"
        keep_nulls = False
        indexes = [
            IndexModel([("name_key", ASCENDING)], unique=True),
            IndexModel([("is_active", ASCENDING), ("name", ASCENDING), ("_id", ASCENDING)]),
        ]

    @property
    def department_id(self) -> PydanticObjectId:
        """The id of a stored department."""
        assert self.id is not None  # noqa: S101 - every department that is read has one
        return self.id
