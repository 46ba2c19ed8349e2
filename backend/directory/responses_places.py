"""Responses of the routes of clinics and departments."""

from datetime import datetime
from typing import Any, Self

from pydantic import ConfigDict, Field

from backend.accounts.documents import Language
from backend.accounts.profiles import Weekday
from backend.core.http.fields import Id, Response
from backend.directory.clinics import FoundClinic
from backend.directory.documents import Clinic, Policy, Rules

_ID = "671f0c0e9b1d8a0001a1b2c3"


class PositionOut(Response):
    """A position on earth, in degrees (WGS 84)."""

    longitude: float
    latitude: float


class OpeningHoursOut(Response):
    """Hours of a weekday when the clinic is open, in wall-clock time of its zone."""

    weekday: Weekday
    opens: str = Field(examples=["09:00"])
    closes: str = Field(examples=["17:00"], description="Up to `24:00`.")


class PolicyOut(Response, Policy):
    """A clinic's own rules. Null: the setting of the system applies."""


class RulesOut(Response, Rules):
    """The rules of a clinic in force. Minutes, except for the horizon."""


class ClinicOut(Response):
    """A clinic."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "name": "Midtown Clinic",
                    "address": "350 Fifth Avenue",
                    "city": "New York",
                    "state": "NY",
                    "zip_code": "10118",
                    "phone": "+15550100100",
                    "email": "midtown@example.com",
                    "time_zone": "America/New_York",
                    "language": "en",
                    "location": {"longitude": -73.9857, "latitude": 40.7484},
                    "distance_m": 412,
                    "opening_hours": [{"weekday": "monday", "opens": "09:00", "closes": "17:00"}],
                    "policy": {
                        "slot_minutes": 20,
                        "horizon_days": None,
                        "confirm_window_minutes": None,
                        "check_in_window_minutes": None,
                        "no_show_grace_minutes": None,
                        "reminder_minutes": None,
                        "auto_cancel_minutes": None,
                    },
                    "rules": {
                        "slot_minutes": 20,
                        "horizon_days": 60,
                        "confirm_window_minutes": 180,
                        "check_in_window_minutes": 60,
                        "no_show_grace_minutes": 15,
                        "reminder_minutes": [180],
                        "auto_cancel_minutes": 15,
                    },
                    "is_active": True,
                    "created_at": "2026-01-05T09:00:00Z",
                    "updated_at": "2026-11-20T08:15:00Z",
                }
            ]
        }
    )

    id: Id
    name: str
    address: str | None
    city: str
    state: str | None
    zip_code: str | None
    phone: str | None
    email: str | None
    time_zone: str = Field(description="The IANA time zone of the clinic's wall-clock times.")
    language: Language
    location: PositionOut | None
    distance_m: int | None = Field(
        default=None, description="Metres in a straight line from the point `near`."
    )
    opening_hours: list[OpeningHoursOut]
    policy: PolicyOut
    rules: RulesOut
    is_active: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, clinic: Clinic) -> Self:
        """Returns the response for a clinic."""
        shown: dict[str, Any] = {name: getattr(clinic, name, None) for name in cls.model_fields}
        if clinic.location is not None:
            longitude, latitude = clinic.location.coordinates
            shown["location"] = PositionOut(longitude=longitude, latitude=latitude)
        return cls.model_validate(shown)

    @classmethod
    def of_found(cls, found: FoundClinic) -> Self:
        """Returns the response for a clinic in a list, with its distance."""
        shown = cls.of(found.clinic)
        shown.distance_m = None if found.distance_m is None else round(found.distance_m)
        return shown


class DepartmentOut(Response):
    """A department."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "name": "Cardiology",
                    "description": "Heart and vessels.",
                    "is_active": True,
                    "created_at": "2026-01-05T09:00:00Z",
                    "updated_at": "2026-01-05T09:00:00Z",
                }
            ]
        }
    )

    id: Id
    name: str
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
