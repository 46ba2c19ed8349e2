"""The only slot arithmetic. It is pure: inputs in, offers out, no database and no clock.

Wall-clock hours become instants only here. A doctor who sees patients from 9:00 does so in summer and in winter.
Wall-clock time that a change of clocks skips yields no slot. Time that it repeats yields its slots once, at the first
occurrence. Hours may run over midnight: a slot belongs to the day on which it starts.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

TICK_MINUTES = 5
_DAY = 24 * 60
_WEEK = 7 * _DAY
MOST_SLOT_MINUTES = 480
MOST_CAPACITY = 100


@dataclass(frozen=True, slots=True)
class Span:
    """A period of time: UTC, end exclusive."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Span") -> bool:
        """Returns whether the two share a moment."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: "Span") -> bool:
        """Returns whether the other lies wholly inside."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class WallBlock:
    """A period on the wall clock: minutes since midnight of a weekday (0 is Monday), at most 1440 long.

    One that ends later than 1440 runs into the next day.
    """

    weekday: int
    start: int
    end: int

    @property
    def in_week(self) -> tuple[int, int]:
        """Start and end in minutes since Monday began. A block of Sunday may end in the next week."""
        return self.weekday * _DAY + self.start, self.weekday * _DAY + self.end

    def lies_within(self, hours: Iterable["WallBlock"]) -> bool:
        """Returns whether weekly hours contain the block. Adjacent hours count as one, Sunday runs into Monday."""
        weeks = sorted(
            (start + shift, end + shift) for start, end in (h.in_week for h in hours) for shift in (-_WEEK, 0, _WEEK)
        )
        reached, end = self.in_week
        for begins, ends in weeks:
            if begins <= reached < ends:
                reached = ends
        return reached >= end


@dataclass(frozen=True, slots=True)
class WorkingBlock:
    """A wall block in which the doctor works at a clinic. It is cut into slots, each for one patient or several."""

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
    staff_horizon_days: int = 0


@dataclass(frozen=True, slots=True)
class AvailabilityInputs:
    """All that decides on a doctor's slots. Equal inputs offer the same slots at the same moment."""

    is_active: bool
    blocks: tuple[WorkingBlock, ...]
    leaves: tuple[Span, ...]
    clinics: dict[PydanticObjectId, ClinicInputs]


@dataclass(frozen=True, slots=True)
class Offer:
    """A slot that the weekly hours require, or that staff add."""

    clinic_id: PydanticObjectId
    span: Span
    capacity: int


def on_grid(moment: datetime) -> bool:
    """Returns whether a moment is a whole multiple of five minutes, to the microsecond."""
    return moment.timestamp() % (TICK_MINUTES * 60) == 0


def ticks(span: Span) -> list[int]:
    """Returns the five-minute ticks that a span covers, counted from 1970. Both its ends must be on the grid."""
    return list(range(*(int(end.timestamp()) // (TICK_MINUTES * 60) for end in (span.start, span.end))))


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """Returns the calendar day of a moment in the clinic's zone."""
    return moment.astimezone(zone).date()


def instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """Returns the UTC moment of a wall-clock time, `minutes` after midnight of a day.

    A time that occurs twice means the first (PEP 495, fold=0); one that is skipped means the moment of the change.
    """
    wall = datetime.combine(day, time(), tzinfo=zone) + timedelta(minutes=minutes)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment
    # fold=0 reads a skipped time by the offset before the change, and so ends up after it: go back to the change.
    tick, offset = timedelta(minutes=TICK_MINUTES), moment.astimezone(zone).utcoffset()
    while (moment - tick).astimezone(zone).utcoffset() == offset:
        moment -= tick
    return moment


def cut(wall: WallBlock, day: date, minutes: int, zone: ZoneInfo) -> Iterator[Span]:
    """Yields the slots of one block on one day, each of `minutes`, the first at the block's start.

    It leaves out slots that a change of clocks would shorten, including those whose start the change skips.
    """
    length = timedelta(minutes=minutes)
    for start in range(wall.start, wall.end - minutes + 1, minutes):
        begins = instant(day, start, zone)
        if instant(day, start + minutes, zone) - begins >= length:
            yield Span(begins, begins + length)


def last_day(clinic: ClinicInputs, now: datetime) -> date:
    """Returns the last day for which there are slots, in the clinic's zone: that of the staff's horizon."""
    days = max(clinic.horizon_days, clinic.staff_horizon_days)
    return local_day(now, ZoneInfo(clinic.time_zone)) + timedelta(days=days)


def online_from(clinic: ClinicInputs, start: datetime) -> datetime:
    """Returns from when patients can book a slot that starts at `start`: a midnight at the clinic. UTC."""
    day = local_day(start, ZoneInfo(clinic.time_zone)) - timedelta(days=clinic.horizon_days)
    return _midnight(day, clinic.time_zone)


@lru_cache(maxsize=4096)
def _midnight(day: date, time_zone: str) -> datetime:
    """Remembered: each reconciliation asks for every slot, some thousands for some hundred days."""
    return instant(day, 0, ZoneInfo(time_zone))


def bookable_until(clinic: ClinicInputs, now: datetime) -> datetime:
    """Returns the end of the staff's horizon: midnight at the clinic after its last day. UTC.

    Slots start before it. The last one may run over it.
    """
    zone = ZoneInfo(clinic.time_zone)
    return instant(last_day(clinic, now) + timedelta(days=1), 0, zone)


def is_open(clinic: ClinicInputs, span: Span) -> bool:
    """Returns whether the span lies within the clinic's opening hours and overlaps no closure.

    Adjacent hours count as one: a slot may run from a day that ends at 24:00 into one that begins at 0:00.
    """
    if any(closure.overlaps(span) for closure in clinic.closures):
        return False
    zone = ZoneInfo(clinic.time_zone)
    day = local_day(span.start, zone)
    reached = span.start
    # From the day before, whose hours may run over midnight; blocks don't overlap, so the order is that of starts.
    for on in (day + timedelta(days=number) for number in (-1, 0, 1)):
        for hours in sorted((h for h in clinic.opening_hours if h.weekday == on.weekday()), key=lambda h: h.start):
            if instant(on, hours.start, zone) <= reached < (closes := instant(on, hours.end, zone)):
                reached = closes
    return reached >= span.end


def is_possible(inputs: AvailabilityInputs, clinic_id: PydanticObjectId, span: Span, now: datetime) -> bool:
    """Returns whether the doctor could see patients at the clinic in this span, whatever the weekly hours say."""
    clinic = inputs.clinics.get(clinic_id)
    return (
        clinic is not None
        and inputs.is_active
        and clinic.is_active
        and span.start < bookable_until(clinic, now)
        and not any(leave.overlaps(span) for leave in inputs.leaves)
        and is_open(clinic, span)
    )


def without_absence(inputs: AvailabilityInputs) -> AvailabilityInputs:
    """Returns the inputs without leave and closures, and with the doctor and all clinics active."""
    clinics = {
        clinic_id: replace(clinic, is_active=True, closures=()) for clinic_id, clinic in inputs.clinics.items()
    }
    return replace(inputs, is_active=True, leaves=(), clinics=clinics)


def offers(inputs: AvailabilityInputs, *, since: datetime, now: datetime) -> list[Offer]:
    """Returns the slots that the weekly hours require up to the horizon and that end after `since`, by start.

    None overlap.

    Where blocks of two clinics overlap (they can, between zones), the block listed first wins. If the earlier start
    won, the result would change during the day: once a slot was over, one that it had beaten would appear.
    """
    apart: list[Offer] = []
    for block in inputs.blocks:
        clinic = inputs.clinics.get(block.clinic_id)
        if clinic is None:
            continue
        zone = ZoneInfo(clinic.time_zone)
        # From earlier days: a slot that has started still wins against those that it overlaps, and a slot of the
        # night may belong to a block of the day before.
        day, last = local_day(since, zone) - timedelta(days=2), last_day(clinic, now)
        while day <= last:
            if day.weekday() == block.wall.weekday:
                for span in cut(block.wall, day, block.slot_minutes, zone):
                    if is_possible(inputs, block.clinic_id, span, now):
                        _insert_if_apart(apart, Offer(block.clinic_id, span, block.capacity))
            day += timedelta(days=1)
    return [offer for offer in apart if offer.span.end > since]


def _insert_if_apart(offers_by_start: list[Offer], offer: Offer) -> None:
    place = bisect(offers_by_start, offer.span.start, key=lambda other: other.span.start)
    neighbours = offers_by_start[max(place - 1, 0) : place + 1]
    if not any(offer.span.overlaps(other.span) for other in neighbours):
        offers_by_start.insert(place, offer)
