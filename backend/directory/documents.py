"""Clinics and departments."""

from datetime import datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field, model_validator
from pymongo import ASCENDING, GEOSPHERE, IndexModel

from backend.accounts.documents import Language
from backend.accounts.phone_numbers import country_of_zone
from backend.accounts.profiles import WEEK, Weekday
from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.text_search import fold, words_of
from backend.core.settings import settings


class GeoPoint(BaseModel):
    """A GeoJSON point: longitude, then latitude, in degrees."""

    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float]


class OpeningHours(BaseModel):
    """Hours of a weekday when the clinic is open. Wall-clock times of its zone, `HH:MM`, up to 24:00.

    A closing time that is not after the opening is on the next day.
    """

    weekday: Weekday
    opens: str
    closes: str


def usual_opening_hours() -> list[OpeningHours]:
    """Returns Monday to Friday, 9:00 to 17:00."""
    return [OpeningHours(weekday=day, opens="09:00", closes="17:00") for day in WEEK[:5]]


class Closure(BaseModel):
    """A period when the clinic is closed despite its opening hours. UTC; the end is exclusive."""

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    start: datetime
    end: datetime
    reason: str | None = None


class Policy(BaseModel):
    """A clinic's own rules. None: the setting applies."""

    slot_minutes: int | None = None
    horizon_days: int | None = None
    staff_horizon_days: int | None = None
    confirm_window_minutes: int | None = None
    check_in_window_minutes: int | None = None
    no_show_grace_minutes: int | None = None
    reminder_minutes: list[int] | None = None
    auto_cancel_minutes: int | None = None


class Rules(BaseModel):
    """The rules of a clinic in force: its policy, completed by the settings. Minutes, except for the horizons."""

    slot_minutes: int
    horizon_days: int
    staff_horizon_days: int
    confirm_window_minutes: int
    check_in_window_minutes: int
    no_show_grace_minutes: int
    reminder_minutes: list[int]
    auto_cancel_minutes: int


CLINIC_WORDS = ("name", "city", "address", "state", "zip_code")
"""The fields that a clinic's keys are derived from."""


def clinic_keys(*, name: str, city: str, **more: str | None) -> dict[str, Any]:
    """Returns the keys by which a clinic is compared and searched, derived from the fields of `CLINIC_WORDS`."""
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
    country: str = Field(default_factory=lambda data: country_of_zone(data["time_zone"]))
    language: Language = "en"
    location: GeoPoint | None = None
    opening_hours: list[OpeningHours] = Field(default_factory=usual_opening_hours)
    closures: list[Closure] = []
    policy: Policy = Field(default_factory=Policy)
    is_active: bool = True
    search_words: list[str] = []
    version: int = Field(default=0, description="Incremented by every edit. `If-Match` compares it.")
    zone_corrected_at: datetime | None = Field(
        default=None, description="UTC. While set, some appointments may still show the zone from before."
    )
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "clinics"
        keep_nulls = False
        indexes = [
            IndexModel([("name_key", ASCENDING), ("city_key", ASCENDING)], unique=True),
            IndexModel([("is_active", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("city_key", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
            IndexModel([("search_words", ASCENDING)]),
            IndexModel([("location", GEOSPHERE)]),
            IndexModel(
                [("zone_corrected_at", ASCENDING)], partialFilterExpression={"zone_corrected_at": {"$gt": EPOCH}}
            ),
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
        """The rules in force."""
        own = self.policy.model_dump(exclude_none=True)
        return Rules.model_validate(
            {
                "slot_minutes": settings.SLOT_MINUTES,
                "horizon_days": settings.BOOKING_HORIZON_DAYS,
                "staff_horizon_days": settings.STAFF_HORIZON_DAYS,
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
        """Derives the keys of a new clinic. An update of their fields must write new keys."""
        if not self.name_key:
            for key, value in clinic_keys(**{name: getattr(self, name) for name in CLINIC_WORDS}).items():
                setattr(self, key, value)
        return self


class Department(Document):
    """A department that doctors belong to, at all clinics."""

    name: str
    name_key: str
    description: str | None = None
    is_active: bool = True
    version: int = Field(default=0, description="Incremented by every edit. `If-Match` compares it.")
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "departments"
        keep_nulls = False
        indexes = [
            IndexModel([("name_key", ASCENDING)], unique=True),
            IndexModel([("is_active", ASCENDING), ("name_key", ASCENDING), ("_id", ASCENDING)]),
        ]

    @property
    def department_id(self) -> PydanticObjectId:
        """The id of a stored department."""
        assert self.id is not None  # noqa: S101 - every department that is read has one
        return self.id
