"""When reminders are due: moments written out around changes of clocks, and what holds in any zone on any day."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.appointments.reminders.quiet_hours import QuietHours
from backend.appointments.reminders.timetable import deadline, reminders_of
from tests.scheduling.inputs import transitions

HOUR = 60
DAY = 24 * HOUR
NIGHT = QuietHours(21 * HOUR, 8 * HOUR)
NEVER_QUIET = QuietHours(0, 0)

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    """A moment, its offset written out."""
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return moment


def due(
    start: str, *leads: int, zone: str = "America/New_York", quiet: QuietHours = NIGHT
) -> list[tuple[datetime, bool]]:
    """The reminders of an appointment: when, and whether it asks."""
    found = reminders_of(at(start), zone=ZoneInfo(zone), lead_minutes=leads, quiet=quiet)
    return [(reminder.at, reminder.requests_confirmation) for reminder in found]


# The same time on the wall a day or a week before, where the clocks were changed in between.
CALENDAR_DAYS = [
    ("America/New_York", "2030-03-10T12:00-04:00", DAY, "2030-03-09T12:00-05:00"),
    ("America/New_York", "2030-11-03T12:00-05:00", DAY, "2030-11-02T12:00-04:00"),
    ("America/New_York", "2030-03-12T10:00-04:00", 7 * DAY, "2030-03-05T10:00-05:00"),
    ("Europe/London", "2030-03-31T12:00+01:00", DAY, "2030-03-30T12:00+00:00"),
    ("Europe/London", "2030-10-27T12:00+00:00", DAY, "2030-10-26T12:00+01:00"),
    ("Europe/London", "2030-10-28T09:00+00:00", 2 * DAY, "2030-10-26T09:00+01:00"),
    ("America/Santiago", "2030-04-07T12:00-04:00", DAY, "2030-04-06T12:00-03:00"),
    ("America/Santiago", "2030-09-08T12:00-03:00", DAY, "2030-09-07T12:00-04:00"),
    ("Australia/Lord_Howe", "2030-10-06T12:00+11:00", DAY, "2030-10-05T12:00+10:30"),
    ("Australia/Lord_Howe", "2030-04-07T12:00+10:30", DAY, "2030-04-06T12:00+11:00"),
    ("Asia/Kolkata", "2030-03-10T12:00+05:30", DAY, "2030-03-09T12:00+05:30"),
    ("Asia/Kolkata", "2030-03-31T17:45+05:30", 3 * DAY, "2030-03-28T17:45+05:30"),
]


@pytest.mark.parametrize(("zone", "start", "lead", "moment"), CALENDAR_DAYS)
def test_a_lead_of_whole_days_is_counted_in_days_of_the_calendar(
    zone: str, start: str, lead: int, moment: str
) -> None:
    assert due(start, lead, zone=zone) == [(at(moment), True)]


# Hours are hours, whatever the clocks did.
HOURS = [
    ("America/New_York", "2030-03-10T10:30-04:00", 2 * HOUR, "2030-03-10T08:30-04:00"),
    ("America/New_York", "2030-03-10T14:00-04:00", 23 * HOUR, "2030-03-09T14:00-05:00"),
    ("America/New_York", "2030-11-03T14:00-05:00", 25 * HOUR, "2030-11-02T14:00-04:00"),
    ("Europe/London", "2030-10-27T14:00+00:00", 23 * HOUR, "2030-10-26T16:00+01:00"),
    ("America/Santiago", "2030-09-08T16:00-03:00", 25 * HOUR, "2030-09-07T14:00-04:00"),
    ("Australia/Lord_Howe", "2030-10-06T12:00+11:00", 20 * HOUR, "2030-10-05T15:30+10:30"),
    ("Asia/Kolkata", "2030-03-10T12:00+05:30", 15, "2030-03-10T11:45+05:30"),
    ("America/New_York", "2030-06-04T14:00-04:00", 3 * HOUR, "2030-06-04T11:00-04:00"),
]


@pytest.mark.parametrize(("zone", "start", "lead", "moment"), HOURS)
def test_a_lead_of_hours_is_counted_in_hours(zone: str, start: str, lead: int, moment: str) -> None:
    assert due(start, lead, zone=zone) == [(at(moment), True)]


# What falls into the quiet goes out at eight the evening before, by the clock of that evening.
EVENINGS = [
    ("America/New_York", "2030-06-04T09:00-04:00", 3 * HOUR, "2030-06-03T20:00-04:00"),
    ("America/New_York", "2030-06-04T10:59-04:00", 3 * HOUR, "2030-06-03T20:00-04:00"),
    ("America/New_York", "2030-06-04T11:00-04:00", 3 * HOUR, "2030-06-04T08:00-04:00"),
    ("America/New_York", "2030-06-04T23:59-04:00", 3 * HOUR, "2030-06-04T20:59-04:00"),
    ("America/New_York", "2030-06-05T00:00-04:00", 3 * HOUR, "2030-06-04T20:00-04:00"),
    ("America/New_York", "2030-06-05T02:00-04:00", 3 * HOUR, "2030-06-04T20:00-04:00"),
    ("America/New_York", "2030-03-10T09:00-04:00", 3 * HOUR, "2030-03-09T20:00-05:00"),
    ("America/New_York", "2030-11-03T09:00-05:00", 3 * HOUR, "2030-11-02T20:00-04:00"),
    ("Europe/London", "2030-03-31T09:00+01:00", 3 * HOUR, "2030-03-30T20:00+00:00"),
    ("America/Santiago", "2030-04-07T09:00-04:00", 3 * HOUR, "2030-04-06T20:00-03:00"),
    ("Australia/Lord_Howe", "2030-10-06T08:30+11:00", 2 * HOUR, "2030-10-05T20:00+10:30"),
    ("Asia/Kolkata", "2030-06-04T07:30+05:30", DAY, "2030-06-02T20:00+05:30"),
]


@pytest.mark.parametrize(("zone", "start", "lead", "moment"), EVENINGS)
def test_a_reminder_in_quiet_hours_goes_out_the_evening_before(zone: str, start: str, lead: int, moment: str) -> None:
    assert due(start, lead, zone=zone) == [(at(moment), True)]


def test_a_skipped_local_time_means_the_clock_change() -> None:
    start = "2030-03-11T02:30-04:00"
    assert due(start, DAY, quiet=NEVER_QUIET) == [(at("2030-03-10T03:00-04:00"), True)]


def test_a_time_that_occurs_twice_means_the_first() -> None:
    assert due("2030-11-04T01:30-05:00", DAY, quiet=NEVER_QUIET) == [(at("2030-11-03T01:30-04:00"), True)]


def test_only_the_last_reminder_requests_a_confirmation() -> None:
    assert due("2030-06-04T14:00-04:00", 3 * HOUR, 2 * DAY, DAY) == [
        (at("2030-06-02T14:00-04:00"), False),
        (at("2030-06-03T14:00-04:00"), False),
        (at("2030-06-04T11:00-04:00"), True),
    ]


def test_reminders_at_the_same_moment_are_one() -> None:
    start = "2030-06-04T08:30-04:00"
    assert due(start, 3 * HOUR, 2 * HOUR, 9 * HOUR) == [(at("2030-06-03T20:00-04:00"), True)]
    assert due(start, 3 * HOUR, DAY) == [
        (at("2030-06-03T08:30-04:00"), False),
        (at("2030-06-03T20:00-04:00"), True),
    ]
    # A day of the calendar and 23 hours are the same where the clocks go forward.
    spring = due("2030-03-10T12:00-04:00", DAY, 23 * HOUR)
    assert spring == [(at("2030-03-09T12:00-05:00"), True)]


QUIET = [
    # begins, ends, moment, whether it is quiet then, the next moment to speak, the last one before
    ("21:00", "08:00", "2030-06-03T20:59:59-04:00", False, None, None),
    ("21:00", "08:00", "2030-06-03T21:00-04:00", True, "2030-06-04T08:00-04:00", "2030-06-03T20:00-04:00"),
    ("21:00", "08:00", "2030-06-04T00:00-04:00", True, "2030-06-04T08:00-04:00", "2030-06-03T20:00-04:00"),
    ("21:00", "08:00", "2030-06-04T07:59:59-04:00", True, "2030-06-04T08:00-04:00", "2030-06-03T20:00-04:00"),
    ("21:00", "08:00", "2030-06-04T08:00-04:00", False, None, None),
    ("21:00", "08:00", "2030-03-09T22:00-05:00", True, "2030-03-10T08:00-04:00", "2030-03-09T20:00-05:00"),
    ("13:00", "15:00", "2030-06-03T14:00-04:00", True, "2030-06-03T15:00-04:00", "2030-06-03T12:00-04:00"),
    ("13:00", "15:00", "2030-06-03T22:00-04:00", False, None, None),
    ("00:00", "00:00", "2030-06-03T03:00-04:00", False, None, None),
    ("21:00", "21:00", "2030-06-03T21:00-04:00", False, None, None),
    ("00:00", "09:30", "2030-06-04T00:00-04:00", True, "2030-06-04T09:30-04:00", "2030-06-03T23:00-04:00"),
    # Half an hour a day is left to speak in.
    ("10:30", "10:00", "2030-06-04T09:00-04:00", True, "2030-06-04T10:00-04:00", "2030-06-03T10:00-04:00"),
]


@pytest.mark.parametrize(("begins", "ends", "moment", "is_quiet", "after", "before"), QUIET)
def test_quiet_hours_lie_on_the_clinics_wall_clock(
    begins: str, ends: str, moment: str, is_quiet: bool, after: str | None, before: str | None
) -> None:
    def minutes(wall: str) -> int:
        return int(wall[:2]) * 60 + int(wall[3:])

    quiet = QuietHours(minutes(begins), minutes(ends))
    assert quiet.holds(at(moment), NEW_YORK) is is_quiet
    assert quiet.after(at(moment), NEW_YORK) == at(after or moment)
    assert quiet.before(at(moment), NEW_YORK) == at(before or moment)


ASKED = [
    # asked, auto-cancel minutes, the deadline
    ("2030-06-04T11:00-04:00", 15, "2030-06-04T13:45-04:00"),
    ("2030-06-04T12:45-04:00", 15, "2030-06-04T13:45-04:00"),  # an hour exactly is fair
    ("2030-06-04T12:45:00.001-04:00", 15, None),
    ("2030-06-04T13:59-04:00", 15, None),
    ("2030-06-04T14:01-04:00", 15, None),
    ("2030-06-03T20:00-04:00", 720, "2030-06-04T02:00-04:00"),
    ("2030-06-04T11:00-04:00", 1440, None),  # it would lie before the question
    ("2030-06-04T11:00-04:00", 0, None),  # the clinic doesn't cancel
]


@pytest.mark.parametrize(("asked", "minutes", "expected"), ASKED)
def test_silence_cancels_only_after_an_hour_to_confirm(asked: str, minutes: int, expected: str | None) -> None:
    found = deadline(at("2030-06-04T14:00-04:00"), confirmation_requested_at=at(asked), auto_cancel_minutes=minutes)
    assert found == (at(expected) if expected else None)


ZONES = (
    *("America/New_York", "Europe/London", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"),
    *("Antarctica/Troll", "America/Nuuk", "Africa/Casablanca", "Asia/Gaza", "Pacific/Chatham"),
)
FIRST, LAST = date(2026, 1, 1), date(2028, 12, 31)
LEAST_AWAKE = 4 * HOUR
"""Shorter than that a change of clocks by two hours may leave nothing of a day's time to speak in."""


@cache
def changes_of(zone: str) -> list[date]:
    return transitions(ZoneInfo(zone), FIRST, LAST)


@st.composite
def starts(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A clinic's zone and a start, mostly within a day of a change of its clocks."""
    name = draw(st.sampled_from(ZONES))
    days = changes_of(name)
    day = draw(st.sampled_from(days)) if days and draw(st.integers(0, 3)) else draw(st.dates(FIRST, LAST))
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(name)).astimezone(UTC)
    return ZoneInfo(name), midnight + timedelta(minutes=5 * draw(st.integers(-288, 576)))


@st.composite
def quiet_hours(draw: st.DrawFn) -> QuietHours:
    """Any that leave some hours to speak in, or none."""
    begins = draw(st.integers(0, DAY - 1))
    length = draw(st.one_of(st.just(0), st.integers(1, DAY - LEAST_AWAKE)))
    return QuietHours(begins, (begins + length) % DAY)


leads = st.lists(
    st.one_of(st.sampled_from([DAY, 2 * DAY, 7 * DAY, 3 * HOUR]), st.integers(15, 7 * DAY)),
    min_size=1,
    max_size=5,
    unique=True,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=starts(), lead_minutes=leads, quiet=quiet_hours())
@example(place=(NEW_YORK, datetime(2030, 3, 10, 13, tzinfo=UTC)), lead_minutes=[180, 1440, 120], quiet=NIGHT)
def test_reminders_are_sorted_and_never_in_quiet_hours(
    place: tuple[ZoneInfo, datetime], lead_minutes: list[int], quiet: QuietHours
) -> None:
    zone, start = place
    found = reminders_of(start, zone=zone, lead_minutes=lead_minutes, quiet=quiet)
    assert 1 <= len(found) <= len(lead_minutes)
    assert all(earlier.at < later.at for earlier, later in pairwise(found))
    assert [reminder.requests_confirmation for reminder in found] == [*[False] * (len(found) - 1), True]
    for reminder in found:
        assert reminder.at < start
        assert not quiet.holds(reminder.at, zone)
    # None comes more than a quiet and a change of clocks before its time.
    assert found[0].at >= start - timedelta(minutes=max(lead_minutes) + DAY + 4 * HOUR)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=starts(), quiet=quiet_hours())
def test_quiet_hours_end_within_a_day(place: tuple[ZoneInfo, datetime], quiet: QuietHours) -> None:
    zone, moment = place
    after = quiet.after(moment, zone)
    assert moment <= after <= moment + timedelta(hours=26)
    assert not quiet.holds(after, zone)
    if not quiet.holds(moment, zone):
        assert after == moment == quiet.before(moment, zone)
