"""Inputs for tests of the slot arithmetic, and times as a wall clock shows them."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.directory.fields import block_minutes
from backend.scheduling.availability import (
    AvailabilityInputs,
    ClinicInputs,
    Offer,
    Span,
    WallBlock,
    WorkingBlock,
    cut,
)

HERE = PydanticObjectId("0000000000000000000000aa")
THERE = PydanticObjectId("0000000000000000000000bb")

ALL_DAY = (0, 1440)


def utc(text: str) -> datetime:
    """A moment, with whatever offset it is written, as UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def span(start: str, end: str) -> Span:
    """A span between two moments written with their offsets."""
    return Span(utc(start), utc(end))


def shown(spans: list[Span], zone: str) -> list[str]:
    """Starts and ends as the clinic's clock shows them, with the offset in force."""
    there = ZoneInfo(zone)
    return [f"{s.start.astimezone(there).isoformat()}/{s.end.astimezone(there).isoformat()}" for s in spans]


def slots_on(day: str, start: str, end: str, length: int, zone: str) -> list[str]:
    """The slots of one block on one day, as `shown`. An end that is not after the start is on the next day."""
    on = date.fromisoformat(day)
    wall = WallBlock(on.weekday(), *block_minutes(start, end))
    return shown(list(cut(wall, on, length, ZoneInfo(zone))), zone)


def clinic_inputs(zone: str = "America/New_York", **over: Any) -> ClinicInputs:
    """A clinic that is open all day, every day, a week ahead."""
    return ClinicInputs(
        **{
            "is_active": True,
            "time_zone": zone,
            "opening_hours": tuple(WallBlock(day, *ALL_DAY) for day in range(7)),
            "closures": (),
            "horizon_days": 7,
            **over,
        }
    )


def every_day(
    start: str, end: str, *, length: int = 30, capacity: int = 1, at: PydanticObjectId = HERE
) -> tuple[WorkingBlock, ...]:
    """The same hours on each weekday."""
    wall = block_minutes(start, end)
    return tuple(WorkingBlock(at, WallBlock(day, *wall), length, capacity) for day in range(7))


def availability_inputs(
    blocks: tuple[WorkingBlock, ...],
    *,
    leaves: tuple[Span, ...] = (),
    is_active: bool = True,
    clinics: dict[PydanticObjectId, ClinicInputs] | None = None,
) -> AvailabilityInputs:
    """An active doctor with these hours at one clinic in New York, by default."""
    return AvailabilityInputs(
        is_active=is_active, blocks=blocks, leaves=leaves, clinics=clinics or {HERE: clinic_inputs()}
    )


def starts(offered: list[Offer], zone: str = "America/New_York") -> list[str]:
    """The local starts of offers, to the minute: `2026-03-08T09:00`."""
    there = ZoneInfo(zone)
    return [f"{offer.span.start.astimezone(there):%Y-%m-%dT%H:%M}" for offer in offered]


def is_skipped(day: date, minutes: int, zone: ZoneInfo) -> bool:
    """Whether the wall clock jumps over this time: there and back again, it isn't the same (PEP 495)."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall


def transitions(zone: ZoneInfo, first: date, last: date) -> list[date]:
    """The days on which the zone's clock changes. Some end with the change, so the day before counts too."""
    found = []
    day = first
    while day < last:
        noon, next_noon = (
            datetime.combine(on, time(12), tzinfo=zone).utcoffset() for on in (day, day + timedelta(days=1))
        )
        if noon != next_noon:
            found += [day, day + timedelta(days=1)]
        day += timedelta(days=1)
    return found
