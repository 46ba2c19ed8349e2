"""Properties of slots in any zone, on any day, above all around changes of clocks."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.accounts.profiles import WEEK, Weekday
from backend.directory.fields import find_overlap
from backend.scheduling.availability import (
    AvailabilityInputs,
    ClinicInputs,
    Span,
    WallBlock,
    WorkingBlock,
    bookable_until,
    cut,
    instant,
    offers,
    on_grid,
    ticks,
)
from tests.scheduling.inputs import HERE, THERE, is_skipped, transitions

ZONES = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
FAVOURITES = (
    *("America/New_York", "Europe/London", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe"),
    *("America/St_Johns", "Antarctica/Troll", "America/Nuuk", "Africa/Casablanca", "Africa/Cairo"),
    *("Pacific/Chatham", "Asia/Gaza", "Pacific/Apia", "Pacific/Kiritimati", "UTC"),
)
FIRST, LAST = date(2024, 1, 1), date(2028, 12, 31)

some_times = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@cache
def changes_of(zone: str) -> list[date]:
    return transitions(ZoneInfo(zone), FIRST, LAST)


@st.composite
def zones_and_days(draw: st.DrawFn) -> tuple[str, date]:
    """A zone, and a day: four times in five one on which its clocks change."""
    zone = draw(st.one_of(st.sampled_from(FAVOURITES), st.sampled_from(ZONES)))
    days = changes_of(zone)
    if days and draw(st.integers(0, 4)):
        return zone, draw(st.sampled_from(days))
    return zone, draw(st.dates(FIRST, LAST))


@st.composite
def wall_blocks(draw: st.DrawFn, weekday: int = 0) -> WallBlock:
    """Hours on the grid, up to 24; some run over midnight."""
    start = draw(st.integers(0, 287))
    end = draw(st.integers(start + 1, start + 288))
    return WallBlock(weekday, start * 5, end * 5)


lengths = st.one_of(st.sampled_from((5, 10, 15, 20, 30, 45, 60, 90)), st.integers(1, 96).map(lambda n: n * 5))


def has_normal_length(day: date, zone: ZoneInfo) -> bool:
    return instant(day, 1440, zone) - instant(day, 0, zone) == timedelta(days=1)


@some_times
@given(zones_and_days(), wall_blocks(), lengths)
def test_slots_of_a_block_are_aligned_apart_and_inside_it(
    where: tuple[str, date], wall: WallBlock, length: int
) -> None:
    zone, day = ZoneInfo(where[0]), where[1]
    spans = list(cut(wall, day, length, zone))
    assert spans == list(cut(wall, day, length, zone))
    block = Span(instant(day, wall.start, zone), instant(day, wall.end, zone))
    for span in spans:
        assert span.end - span.start == timedelta(minutes=length)
        assert block.contains(span)
        assert on_grid(span.start)
        assert len(ticks(span)) == length // 5
        shown = span.start.astimezone(zone)
        assert shown.date() in (day, day + timedelta(days=1))
        assert shown.fold == 0
        minutes = (shown.date() - day).days * 1440 + shown.hour * 60 + shown.minute
        assert (minutes - wall.start) % length == 0
    for earlier, later in pairwise(spans):
        assert earlier.end <= later.start


@some_times
@given(zones_and_days(), wall_blocks(), lengths)
def test_only_a_change_of_clocks_removes_slots_from_a_block(
    where: tuple[str, date], wall: WallBlock, length: int
) -> None:
    zone, day = ZoneInfo(where[0]), where[1]
    spans = {span.start for span in cut(wall, day, length, zone)}
    for start in range(wall.start, wall.end - length + 1, length):
        if instant(day, start, zone) in spans and not is_skipped(day, start, zone):
            continue
        # What is missing has at least one of its five minutes skipped, or follows a skipped start.
        assert any(is_skipped(day, minute, zone) for minute in range(start, start + length, 5))
    if has_normal_length(day, zone) and has_normal_length(day + timedelta(days=1), zone):
        assert len(spans) == (wall.end - wall.start) // length


@some_times
@given(zones_and_days(), st.integers(0, 288))
def test_a_moment_shows_its_wall_clock_time_unless_skipped(where: tuple[str, date], tick: int) -> None:
    zone, day = ZoneInfo(where[0]), where[1]
    moment = instant(day, tick * 5, zone)
    wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=tick * 5)
    shown = moment.astimezone(zone).replace(tzinfo=None)
    assert moment.tzinfo is UTC
    if is_skipped(day, tick * 5, zone):
        just_before = (moment - timedelta(minutes=5)).astimezone(zone).replace(tzinfo=None)
        assert just_before < wall < shown  # the moment of the change lies between
    else:
        assert shown == wall
    if tick:
        assert instant(day, tick * 5 - 5, zone) <= moment


@st.composite
def books(draw: st.DrawFn) -> tuple[AvailabilityInputs, datetime]:
    """A doctor at one or two clinics anywhere, with hours, leave and closures, and a moment to look ahead from."""
    zone, day = draw(zones_and_days())
    near = [zone, *draw(st.lists(st.sampled_from(FAVOURITES), max_size=1))]
    ids = [HERE, THERE][: len(near)]
    now = instant(day, draw(st.integers(0, 287)) * 5, ZoneInfo(zone)) - timedelta(days=1)
    now += timedelta(milliseconds=draw(st.integers(0, 1)))

    def stretches() -> tuple[Span, ...]:
        found = []
        for _ in range(draw(st.integers(0, 2))):
            start = now + timedelta(minutes=draw(st.integers(-600, 4320)))
            found.append(Span(start, start + timedelta(minutes=draw(st.integers(1, 900)))))
        return tuple(found)

    def clinic(its_zone: str) -> ClinicInputs:
        opening = [draw(wall_blocks(weekday)) for weekday in range(7) if draw(st.integers(0, 3))]
        return ClinicInputs(
            is_active=True,
            time_zone=its_zone,
            opening_hours=tuple(opening) if draw(st.booleans()) else tuple(WallBlock(d, 0, 1440) for d in range(7)),
            closures=stretches(),
            horizon_days=draw(st.integers(1, 3)),
        )

    def hours(at: PydanticObjectId) -> list[WorkingBlock]:
        return [
            WorkingBlock(at, draw(wall_blocks(weekday)), draw(lengths), draw(st.integers(1, 3)))
            for weekday in range(7)
            if draw(st.integers(0, 5))
        ]

    clinics = {at: clinic(its_zone) for at, its_zone in zip(ids, near, strict=True)}
    blocks = tuple(block for at in ids for block in hours(at))
    return AvailabilityInputs(is_active=True, blocks=blocks, leaves=stretches(), clinics=clinics), now


def is_on_the_open_wall_clock(span: Span, clinic: ClinicInputs) -> bool:
    """The rule told by the clock on the wall, another way than the code's: five minutes by five minutes."""
    zone = ZoneInfo(clinic.time_zone)
    day = span.start.astimezone(zone).date()
    open_hours = [
        Span(instant(on, h.start, zone), instant(on, h.end, zone))
        for on in (day - timedelta(days=1), day, day + timedelta(days=1))
        for h in clinic.opening_hours
        if h.weekday == on.weekday()
    ]
    moments = [span.start + timedelta(minutes=m) for m in range(0, len(ticks(span)) * 5, 5)]
    return all(any(h.start <= m < h.end for h in open_hours) for m in moments)


@some_times
@given(books())
def test_offers_are_apart_open_and_inside_the_horizon(
    case: tuple[AvailabilityInputs, datetime],
) -> None:
    book, now = case
    found = offers(book, since=now, now=now)
    assert found == offers(book, since=now, now=now)
    taken: set[int] = set()
    for offer in found:
        clinic = book.clinics[offer.clinic_id]
        assert offer.span.end > now
        assert offer.span.start < bookable_until(clinic, now)
        assert is_on_the_open_wall_clock(offer.span, clinic)
        assert not any(away.overlaps(offer.span) for away in (*book.leaves, *clinic.closures))
        assert taken.isdisjoint(ticks(offer.span))
        taken |= set(ticks(offer.span))
        assert any(
            (offer.clinic_id, offer.capacity) == (block.clinic_id, block.capacity)
            and len(ticks(offer.span)) * 5 == block.slot_minutes
            for block in book.blocks
        )
    assert [o.span.start for o in found] == sorted(o.span.start for o in found)


week_blocks = st.integers(0, 6).flatmap(wall_blocks)


def minutes_of_week(block: WallBlock) -> set[int]:
    """Every five minutes that a block covers, in a week that runs in a circle."""
    start, end = block.in_week
    return {minute % (7 * 1440) for minute in range(start, end, 5)}


@some_times
@given(week_blocks, st.lists(week_blocks, max_size=8))
def test_a_block_lies_within_hours_that_cover_each_of_its_minutes(block: WallBlock, hours: list[WallBlock]) -> None:
    covered = set[int]().union(*(minutes_of_week(each) for each in hours))
    assert block.lies_within(hours) == (minutes_of_week(block) <= covered)
    assert block.lies_within([*hours, block])


@some_times
@given(st.lists(week_blocks, max_size=6))
def test_blocks_overlap_if_they_share_a_minute_of_the_week(blocks: list[WallBlock]) -> None:
    def hours_of(block: WallBlock) -> tuple[Weekday, str, str]:
        start, end = block.start, block.end % 1440
        return WEEK[block.weekday], f"{start // 60:02}:{start % 60:02}", f"{end // 60:02}:{end % 60:02}"

    minutes = [minute for block in blocks for minute in minutes_of_week(block)]
    assert (find_overlap(blocks, hours_of) is not None) == (len(minutes) > len(set(minutes)))


@some_times
@given(books(), st.integers(0, 60 * 36))
def test_passing_time_only_removes_slots_that_are_over(
    case: tuple[AvailabilityInputs, datetime], passed: int
) -> None:
    book, now = case
    later = now + timedelta(minutes=passed)
    before = offers(book, since=now, now=now)
    after = offers(book, since=later, now=later)
    # A slot that the next day adds may win against one that ends a little before it.
    until = min(bookable_until(clinic, now) for clinic in book.clinics.values()) - timedelta(hours=8)
    assert [o for o in after if o.span.end <= until] == [
        o for o in before if o.span.end > later and o.span.end <= until
    ]
