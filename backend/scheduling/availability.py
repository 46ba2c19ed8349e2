"""The only slot arithmetic. Pure: facts in, offers out; no database and no clock.

Wall-clock hours become instants here, once. A doctor who sees patients from 9:00 does so in summer and in
winter; a stretch of the wall clock that a change of clocks skips yields no slot, one that it repeats yields its
slots once (their first occurrence).
"""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

TICK_MINUTES = 5
MOST_SLOT_MINUTES = 480
MOST_CAPACITY = 100


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: UTC, end exclusive."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Span") -> bool:
        """Whether the two share a moment."""
        return self.start < other.end and other.start < self.end

    def holds(self, other: "Span") -> bool:
        """Whether the other lies wholly inside."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class WallBlock:
    """A stretch of a weekday (0 is Monday) on the wall clock: minutes since midnight, at most 1440."""

    weekday: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class WorkingBlock:
    """A wall block in which the doctor works at a clinic, cut into slots of a length, for several patients each."""

    clinic_id: PydanticObjectId
    wall: WallBlock
    slot_minutes: int
    capacity: int


@dataclass(frozen=True, slots=True)
class ClinicInputs:
    """What about a clinic decides on slots."""

    is_active: bool
    time_zone: str
    opening_hours: tuple[WallBlock, ...]
    closures: tuple[Span, ...]
    horizon_days: int


@dataclass(frozen=True, slots=True)
class AvailabilityInputs:
    """All that decides on a doctor's slots. Two equal AvailabilityInputs offer the same slots at the same moment."""

    is_active: bool
    blocks: tuple[WorkingBlock, ...]
    leaves: tuple[Span, ...]
    clinics: dict[PydanticObjectId, ClinicInputs]


@dataclass(frozen=True, slots=True)
class Offer:
    """A slot as it should be."""

    clinic_id: PydanticObjectId
    span: Span
    capacity: int


def on_grid(moment: datetime) -> bool:
    """Whether a moment falls on a tick: a whole multiple of five minutes, to the microsecond."""
    return moment.timestamp() % (TICK_MINUTES * 60) == 0


def ticks(span: Span) -> list[int]:
    """The five-minute ticks that a stretch covers, counted from 1970. Both its ends must be on the grid."""
    first = int(span.start.timestamp()) // (TICK_MINUTES * 60)
    last = int(span.end.timestamp()) // (TICK_MINUTES * 60)
    return list(range(first, last))


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of a moment where the clinic is."""
    return moment.astimezone(zone).date()


def instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """The UTC moment of a wall-clock time, `minutes` after midnight of a day.

    A time that occurs twice means the first (PEP 495, fold=0); one that is skipped means the moment of the change.
    """
    wall = datetime.combine(day, time(), tzinfo=zone) + timedelta(minutes=minutes)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    # fold=0 reads a skipped time by the offset before the change, and so lands behind it: go back to the change.
    tick, offset = timedelta(minutes=TICK_MINUTES), moment.astimezone(zone).utcoffset()
    while (moment - tick).astimezone(zone).utcoffset() == offset:
        moment -= tick
    return moment


def cut(wall: WallBlock, day: date, minutes: int, zone: ZoneInfo) -> Iterator[Span]:
    """The slots of one block on one day, each of `minutes`, the first at the block's start.

    A slot that the change of clocks would shorten is left out, and so is one whose start is skipped: what is left of
    it begins with the change.
    """
    length = timedelta(minutes=minutes)
    for start in range(wall.start, wall.end - minutes + 1, minutes):
        begins = instant(day, start, zone)
        if instant(day, start + minutes, zone) - begins >= length:
            yield Span(begins, begins + length)


def last_day(clinic: ClinicInputs, now: datetime) -> date:
    """The last day of the booking horizon, as the clinic's calendar has it."""
    return local_day(now, ZoneInfo(clinic.time_zone)) + timedelta(days=clinic.horizon_days)


def bookable_until(clinic: ClinicInputs, now: datetime) -> datetime:
    """The end of the booking horizon: midnight at the clinic after its last day. UTC."""
    zone = ZoneInfo(clinic.time_zone)
    return instant(last_day(clinic, now) + timedelta(days=1), 0, zone)


def is_open(clinic: ClinicInputs, span: Span) -> bool:
    """Whether the clinic's opening hours hold the whole stretch and no closure touches it."""
    if any(closure.overlaps(span) for closure in clinic.closures):
        return False
    zone = ZoneInfo(clinic.time_zone)
    day = local_day(span.start, zone)
    return any(
        Span(instant(day, hours.start, zone), instant(day, hours.end, zone)).holds(span)
        for hours in clinic.opening_hours
        if hours.weekday == day.weekday()
    )


def is_possible(facts: AvailabilityInputs, clinic_id: PydanticObjectId, span: Span, now: datetime) -> bool:
    """Whether the doctor could see patients at the clinic in this stretch, whatever the weekly hours say."""
    clinic = facts.clinics.get(clinic_id)
    return (
        clinic is not None
        and facts.is_active
        and clinic.is_active
        and span.end <= bookable_until(clinic, now)
        and not any(leave.overlaps(span) for leave in facts.leaves)
        and is_open(clinic, span)
    )


def without_absence(facts: AvailabilityInputs) -> AvailabilityInputs:
    """The facts as they'd be if nobody were away: no leave, no closure, doctor and clinics active."""
    clinics = {
        clinic_id: replace(clinic, is_active=True, closures=()) for clinic_id, clinic in facts.clinics.items()
    }
    return replace(facts, is_active=True, leaves=(), clinics=clinics)


def offers(facts: AvailabilityInputs, *, since: datetime, now: datetime) -> list[Offer]:
    """The slots that the weekly hours make from `since` up to the horizon, by start, none overlapping another.

    Where blocks of two clinics collide (they can, between zones), the block listed first wins. "The earlier start
    wins" would turn over as the day goes on: each slot that is past lets go of the next one that it had beaten.
    """
    apart: list[Offer] = []
    for block in facts.blocks:
        clinic = facts.clinics.get(block.clinic_id)
        if clinic is None:
            continue
        zone = ZoneInfo(clinic.time_zone)
        # From a day before: what has begun by now still wins against what it collides with.
        day, last = local_day(since, zone) - timedelta(days=1), last_day(clinic, now)
        while day <= last:
            if day.weekday() == block.wall.weekday:
                for span in cut(block.wall, day, block.slot_minutes, zone):
                    if is_possible(facts, block.clinic_id, span, now):
                        _insert_if_apart(apart, Offer(block.clinic_id, span, block.capacity))
            day += timedelta(days=1)
    return [offer for offer in apart if offer.span.start >= since]


def _insert_if_apart(offers_by_start: list[Offer], offer: Offer) -> None:
    place = bisect(offers_by_start, offer.span.start, key=lambda other: other.span.start)
    neighbours = offers_by_start[max(place - 1, 0) : place + 1]
    if not any(offer.span.overlaps(other.span) for other in neighbours):
        offers_by_start.insert(place, offer)
