"""Field types of the directory's requests: time zones, positions, opening hours, policies, licences."""

from functools import cache
from itertools import pairwise
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from backend.accounts.profiles import WEEK, Weekday
from backend.core.http.fields import Id, Line, Request

MOST_BLOCKS_A_DAY = 4
MOST_PATIENTS_A_DAY = 500

_NOT_PLACES = {"Factory", "localtime"}

WallTime = Annotated[
    str,
    StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][05]$"),
    Field(examples=["09:00"], description="A wall-clock time, `HH:MM`, on the grid of five minutes."),
]
"""A wall-clock time of day, `HH:MM`, on the grid of five minutes; whose wall is up to the field."""

ClosingTime = Annotated[
    str,
    StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][05]|24:00)$"),
    Field(examples=["17:00"], description="A wall-clock time like an opening one, or `24:00`: midnight."),
]
"""A wall-clock time at which something ends: like `WallTime`, and also `24:00`."""


def minutes_of(wall_time: str) -> int:
    """The minutes from midnight to a `WallTime` or `ClosingTime`, on the clock's face: 0 to 1440."""
    hours, minutes = wall_time.split(":")
    return int(hours) * 60 + int(minutes)


@cache
def _zones() -> frozenset[str]:
    """Returns all IANA zones. Cached, because it reads six hundred files."""
    return frozenset(available_timezones() - _NOT_PLACES)


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("is not an IANA time zone")
    return name


ZoneName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(_known_zone),
    Field(examples=["America/New_York"], description="An IANA time zone."),
]


def _distinct(values: list[str]) -> list[str]:
    """Returns the values without repetitions, in their order."""
    return list(dict.fromkeys(values))


Words = Annotated[list[Line], Field(max_length=30), AfterValidator(_distinct)]


class Position(Request):
    """A position on earth, in degrees (WGS 84)."""

    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[-73.9857])
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[40.7484])


class OpeningHoursBody(Request):
    """Hours of a weekday when the clinic is open, in wall-clock time of its zone."""

    weekday: Weekday
    opens: WallTime
    closes: ClosingTime

    @model_validator(mode="after")
    def _in_order(self) -> "OpeningHoursBody":
        if minutes_of(self.opens) >= minutes_of(self.closes):
            raise ValueError("closes must lie after opens")
        return self


def _tidy_week(hours: list[OpeningHoursBody]) -> list[OpeningHoursBody]:
    """Returns the hours sorted. Adjacent blocks become one, so that a slot can span both."""
    tidy: list[OpeningHoursBody] = []
    for weekday in WEEK:
        day = sorted((h for h in hours if h.weekday is weekday), key=lambda h: minutes_of(h.opens))
        if len(day) > MOST_BLOCKS_A_DAY:
            raise ValueError(f"{weekday.value} has more than {MOST_BLOCKS_A_DAY} blocks")
        if any(minutes_of(a.closes) > minutes_of(b.opens) for a, b in pairwise(day)):
            raise ValueError(f"hours overlap on {weekday.value}")
        for block in day:
            if tidy and tidy[-1].weekday is weekday and tidy[-1].closes == block.opens:
                tidy[-1] = tidy[-1].model_copy(update={"closes": block.closes})
            else:
                tidy.append(block)
    return tidy


Week = Annotated[
    list[OpeningHoursBody],
    Field(
        max_length=len(WEEK) * MOST_BLOCKS_A_DAY,
        description=f"At most {MOST_BLOCKS_A_DAY} blocks a weekday, which must not overlap. Adjacent blocks become "
        "one. The clinic is closed on days without a block.",
    ),
    AfterValidator(_tidy_week),
]

SlotMinutes = Annotated[int, Field(ge=5, le=480, multiple_of=5, description="Length of a slot in minutes.")]
_Lead = Annotated[int, Field(ge=15, le=10_080)]


def _each_once(minutes: list[int]) -> list[int]:
    if len(set(minutes)) != len(minutes):
        raise ValueError("must not name the same time twice")
    return sorted(minutes, reverse=True)


_Leads = Annotated[list[_Lead], Field(min_length=1, max_length=5), AfterValidator(_each_once)]


class PolicyBody(Request):
    """A clinic's own rules, in minutes unless named otherwise. Null: the setting of the system applies."""

    slot_minutes: SlotMinutes | None = None
    horizon_days: int | None = Field(
        default=None, ge=1, le=366, description="How many days ahead slots are open for booking."
    )
    confirm_window_minutes: int | None = Field(
        default=None,
        ge=0,
        le=10_080,
        description="How long before its start an appointment can be confirmed.",
    )
    check_in_window_minutes: int | None = Field(
        default=None, ge=0, le=1440, description="How long before the start a patient can be checked in."
    )
    no_show_grace_minutes: int | None = Field(
        default=None,
        ge=0,
        le=1440,
        description="How long after the start a patient who hasn't come is a no-show.",
    )
    reminder_minutes: _Leads | None = Field(
        default=None, description="How long before the start reminders are sent: one to five times."
    )
    auto_cancel_minutes: int | None = Field(
        default=None,
        ge=0,
        le=10_080,
        description=(
            "How long before the start an appointment is cancelled if the patient was asked to confirm and hasn't; "
            "0: never. It is not cancelled if the patient had less than an hour to confirm."
        ),
    )


def _license(number: str) -> str:
    return " ".join(number.upper().split())


LicenseNumber = Annotated[
    Line,
    Field(max_length=40, examples=["NY-123456"], description="Stored and compared in upper case."),
    AfterValidator(_license),
]


def _each_id_once(ids: list[Id]) -> list[Id]:
    return list(dict.fromkeys(ids))


ClinicIds = Annotated[
    list[Id],
    Field(min_length=1, max_length=20, description="Where the doctor works. The first one is the main clinic."),
    AfterValidator(_each_id_once),
]
PatientsPerDay = Annotated[int, Field(ge=1, le=MOST_PATIENTS_A_DAY)]
Years = Annotated[int, Field(ge=0, le=80)]


def position_of(near: str) -> tuple[float, float]:
    """Returns longitude and latitude, in degrees, of a `NearPoint`."""
    longitude, latitude = near.split(",")
    return float(longitude), float(latitude)


def _on_earth(near: str) -> str:
    longitude, latitude = position_of(near)
    if abs(longitude) > 180 or abs(latitude) > 90:
        raise ValueError("must be a longitude from -180 to 180, then a latitude from -90 to 90")
    return near


NearPoint = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, pattern=r"^[+-]?[0-9]{1,3}(\.[0-9]{0,20})?, ?[+-]?[0-9]{1,2}(\.[0-9]{0,20})?$"
    ),
    AfterValidator(_on_earth),
]
"""Longitude and latitude in degrees, separated by a comma: `-73.98,40.75`."""
