"""Field types of the directory's requests: time zones, positions, opening hours, policies, licences."""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Annotated, TypeVar
from zoneinfo import available_timezones

import phonenumbers
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from backend.accounts.phone_numbers import country_of_zone, normal_form, phone_region
from backend.accounts.profiles import WEEK, Weekday
from backend.core.http.fields import Id, Line, Request, without_control_characters

MOST_BLOCKS_A_DAY = 4
MOST_PATIENTS_A_DAY = 500
MINUTES_A_DAY = 24 * 60

T = TypeVar("T")

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
    Field(
        examples=["17:00"],
        description="A wall-clock time, `HH:MM`, or `24:00`: midnight. A time that is not after the start is on the "
        "next day: `22:00` to `03:00` is five hours, `08:00` to `08:00` is 24.",
    ),
]
"""A wall-clock time at which something ends: like `WallTime`, and also `24:00`."""


def minutes_of(wall_time: str) -> int:
    """The minutes from midnight to a `WallTime` or `ClosingTime`, on the clock's face: 0 to 1440."""
    hours, minutes = wall_time.split(":")
    return int(hours) * 60 + int(minutes)


def block_minutes(start: str, end: str) -> tuple[int, int]:
    """Returns start and end of a block in minutes since the midnight before its start: the end is at most 2875.

    An end that is not after the start is on the next day. So a block has at most 24 hours.
    """
    begins, ends = minutes_of(start), minutes_of(end)
    return begins, ends if ends > begins else ends + MINUTES_A_DAY


def find_overlap(week: Iterable[T], hours_of: Callable[[T], tuple[Weekday, str, str]]) -> T | None:
    """Returns a block of a week that overlaps another one, None if no blocks overlap. Sunday runs into Monday.

    `hours_of` returns a block's weekday, start and end.
    """

    def minutes(block: T) -> tuple[int, int]:
        weekday, start, end = hours_of(block)
        midnight = WEEK.index(weekday) * MINUTES_A_DAY
        begins, ends = block_minutes(start, end)
        return midnight + begins, midnight + ends

    by_start = sorted(week, key=minutes)
    for earlier, later in pairwise(by_start):
        if minutes(earlier)[1] > minutes(later)[0]:
            return later
    if by_start and minutes(by_start[-1])[1] > minutes(by_start[0])[0] + len(WEEK) * MINUTES_A_DAY:
        return by_start[0]
    return None


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


def _known_country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("is not a country's code of two letters")
    return code


CountryCode = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=2, max_length=2),
    AfterValidator(_known_country),
    Field(examples=["US"], description="The country, ISO 3166-1 alpha-2: of phone numbers without a country code."),
]


def _of_clinics_country(typed: str, info: ValidationInfo) -> str:
    """Reads a number as one of the country that the body gives, or else the stored clinic has, or its time zone."""
    country, time_zone = info.data.get("country"), info.data.get("time_zone")
    if not (region := country or phone_region.get()) and time_zone:
        region = country_of_zone(time_zone)
    return normal_form(typed, region=region)


ClinicPhone = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=40),
    AfterValidator(without_control_characters),
    AfterValidator(_of_clinics_country),
    Field(examples=["+15550100100"], description="Like every phone; without a country code one of `country`."),
]
"""A clinic's phone. `country` and `time_zone` must stand before it in the model."""


def _distinct(values: list[str]) -> list[str]:
    """Returns the values without repetitions, in their order."""
    return list(dict.fromkeys(values))


Words = Annotated[list[Line], Field(max_length=30), AfterValidator(_distinct)]


class Position(Request):
    """A position on earth, in degrees (WGS 84)."""

    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[-73.9857])
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[40.7484])


class OpeningHoursBody(Request):
    """Hours of a weekday when the clinic is open, in wall-clock time of its zone. They may run over midnight."""

    weekday: Weekday
    opens: WallTime
    closes: ClosingTime


def _tidy_week(hours: list[OpeningHoursBody]) -> list[OpeningHoursBody]:
    """Returns the hours sorted. Adjacent blocks of a day become one, unless it would have more than 24 hours."""
    if overlap := find_overlap(hours, lambda block: (block.weekday, block.opens, block.closes)):
        raise ValueError(f"hours overlap on {overlap.weekday.value}")
    tidy: list[OpeningHoursBody] = []
    for weekday in WEEK:
        day = sorted((h for h in hours if h.weekday is weekday), key=lambda h: minutes_of(h.opens))
        if len(day) > MOST_BLOCKS_A_DAY:
            raise ValueError(f"{weekday.value} has more than {MOST_BLOCKS_A_DAY} blocks")
        for block in day:
            if tidy and tidy[-1].weekday is weekday and _make_one(tidy[-1], block):
                tidy[-1] = tidy[-1].model_copy(update={"closes": block.closes})
            else:
                tidy.append(block)
    return tidy


def _make_one(earlier: OpeningHoursBody, later: OpeningHoursBody) -> bool:
    """Returns whether two blocks of a day are adjacent, and have at most 24 hours together."""
    begins, middle = block_minutes(earlier.opens, earlier.closes)
    next_begins, ends = block_minutes(later.opens, later.closes)
    return middle == next_begins and ends - begins <= MINUTES_A_DAY


Week = Annotated[
    list[OpeningHoursBody],
    Field(
        max_length=len(WEEK) * MOST_BLOCKS_A_DAY,
        description=f"At most {MOST_BLOCKS_A_DAY} blocks a weekday, which must not overlap. Adjacent blocks become "
        "one. A block that runs over midnight belongs to the weekday on which it starts. The clinic is closed where "
        "there is no block.",
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
    horizon_days: int | None = Field(default=None, ge=1, le=366, description="How many days ahead patients can book.")
    staff_horizon_days: int | None = Field(
        default=None,
        ge=1,
        le=732,
        description="How many days ahead there are slots, for staff to book; at least as far as patients can.",
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
