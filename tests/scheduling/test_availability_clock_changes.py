"""Wall-clock hours on the days when clocks change, with every offset written out."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from backend.scheduling.availability import Span, bookable_until, instant, is_open, offers
from tests.scheduling.inputs import (
    HERE,
    WallBlock,
    availability_inputs,
    clinic_inputs,
    every_day,
    is_skipped,
    shown,
    slots_on,
    span,
    utc,
)


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("America/New_York", "2026-03-07T09:00:00-05:00", "2026-03-08T09:00:00-04:00"),
        ("America/New_York", "2026-10-31T09:00:00-04:00", "2026-11-01T09:00:00-05:00"),
        ("Europe/London", "2026-03-28T09:00:00+00:00", "2026-03-29T09:00:00+01:00"),
        ("Europe/London", "2026-10-24T09:00:00+01:00", "2026-10-25T09:00:00+00:00"),
        ("America/Santiago", "2026-04-04T09:00:00-03:00", "2026-04-05T09:00:00-04:00"),
        ("America/Santiago", "2026-09-05T09:00:00-04:00", "2026-09-06T09:00:00-03:00"),
        ("Australia/Lord_Howe", "2026-04-04T09:00:00+11:00", "2026-04-05T09:00:00+10:30"),
        ("Australia/Lord_Howe", "2026-10-03T09:00:00+10:30", "2026-10-04T09:00:00+11:00"),
        ("Asia/Kolkata", "2026-03-28T09:00:00+05:30", "2026-03-29T09:00:00+05:30"),
        ("Asia/Kolkata", "2026-10-31T09:00:00+05:30", "2026-11-01T09:00:00+05:30"),
    ],
)
def test_nine_o_clock_stays_nine_o_clock_across_the_change(zone: str, before: str, after: str) -> None:
    inputs = availability_inputs(
        every_day("09:00", "10:00", length=60), clinics={HERE: clinic_inputs(zone, horizon_days=1)}
    )
    now = utc(before)
    offered = offers(inputs, since=now, now=now)
    assert [s.split("/", maxsplit=1)[0] for s in shown([o.span for o in offered], zone)] == [before, after]
    assert [o.span.start for o in offered] == [utc(before), utc(after)]


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        (  # 2:00 -> 3:00: there is no 2:00 and no 2:30
            "2026-03-08",
            "America/New_York",
            [
                "2026-03-08T01:00:00-05:00/2026-03-08T01:30:00-05:00",
                "2026-03-08T01:30:00-05:00/2026-03-08T03:00:00-04:00",
                "2026-03-08T03:00:00-04:00/2026-03-08T03:30:00-04:00",
                "2026-03-08T03:30:00-04:00/2026-03-08T04:00:00-04:00",
            ],
        ),
        (  # 1:00 -> 2:00
            "2026-03-29",
            "Europe/London",
            [
                "2026-03-29T02:00:00+01:00/2026-03-29T02:30:00+01:00",
                "2026-03-29T02:30:00+01:00/2026-03-29T03:00:00+01:00",
                "2026-03-29T03:00:00+01:00/2026-03-29T03:30:00+01:00",
                "2026-03-29T03:30:00+01:00/2026-03-29T04:00:00+01:00",
            ],
        ),
        (  # 2:00 -> 2:30: only half an hour is missing
            "2026-10-04",
            "Australia/Lord_Howe",
            [
                "2026-10-04T01:00:00+10:30/2026-10-04T01:30:00+10:30",
                "2026-10-04T01:30:00+10:30/2026-10-04T02:30:00+11:00",
                "2026-10-04T02:30:00+11:00/2026-10-04T03:00:00+11:00",
                "2026-10-04T03:00:00+11:00/2026-10-04T03:30:00+11:00",
                "2026-10-04T03:30:00+11:00/2026-10-04T04:00:00+11:00",
            ],
        ),
    ],
)
def test_a_skipped_hour_yields_no_slot(day: str, zone: str, expected: list[str]) -> None:
    assert slots_on(day, "01:00", "04:00", 30, zone) == expected


def test_a_skipped_midnight_yields_no_slot() -> None:
    """Santiago's clocks go from 24:00 on Saturday to 1:00 on Sunday."""
    assert slots_on("2026-09-05", "22:00", "24:00", 60, "America/Santiago") == [
        "2026-09-05T22:00:00-04:00/2026-09-05T23:00:00-04:00",
        "2026-09-05T23:00:00-04:00/2026-09-06T01:00:00-03:00",
    ]
    assert slots_on("2026-09-06", "00:00", "02:00", 30, "America/Santiago") == [
        "2026-09-06T01:00:00-03:00/2026-09-06T01:30:00-03:00",
        "2026-09-06T01:30:00-03:00/2026-09-06T02:00:00-03:00",
    ]


@pytest.mark.parametrize(
    ("day", "zone", "block", "expected"),
    [
        (
            "2026-11-01",
            "America/New_York",
            ("00:30", "03:00"),
            [
                "2026-11-01T00:30:00-04:00/2026-11-01T01:00:00-04:00",
                "2026-11-01T01:00:00-04:00/2026-11-01T01:30:00-04:00",
                "2026-11-01T01:30:00-04:00/2026-11-01T01:00:00-05:00",
                "2026-11-01T02:00:00-05:00/2026-11-01T02:30:00-05:00",
                "2026-11-01T02:30:00-05:00/2026-11-01T03:00:00-05:00",
            ],
        ),
        (
            "2026-10-25",
            "Europe/London",
            ("01:00", "02:30"),
            [
                "2026-10-25T01:00:00+01:00/2026-10-25T01:30:00+01:00",
                "2026-10-25T01:30:00+01:00/2026-10-25T01:00:00+00:00",
                "2026-10-25T02:00:00+00:00/2026-10-25T02:30:00+00:00",
            ],
        ),
        (  # 24:00 -> 23:00: the hour before midnight comes twice
            "2026-04-04",
            "America/Santiago",
            ("22:30", "24:00"),
            [
                "2026-04-04T22:30:00-03:00/2026-04-04T23:00:00-03:00",
                "2026-04-04T23:00:00-03:00/2026-04-04T23:30:00-03:00",
                "2026-04-04T23:30:00-03:00/2026-04-04T23:00:00-04:00",
            ],
        ),
        (  # 2:00 -> 1:30: half an hour comes twice
            "2026-04-05",
            "Australia/Lord_Howe",
            ("01:00", "02:30"),
            [
                "2026-04-05T01:00:00+11:00/2026-04-05T01:30:00+11:00",
                "2026-04-05T01:30:00+11:00/2026-04-05T01:30:00+10:30",
                "2026-04-05T02:00:00+10:30/2026-04-05T02:30:00+10:30",
            ],
        ),
    ],
)
def test_a_repeated_hour_yields_its_slots_once(
    day: str, zone: str, block: tuple[str, str], expected: list[str]
) -> None:
    assert slots_on(day, *block, 30, zone) == expected


@pytest.mark.parametrize(
    ("start", "end", "length", "expected"),
    [
        # 1:30 to 3:00 on the clock is half an hour: too short for 90 minutes.
        ("01:30", "03:00", 90, []),
        # The end of 1:45 to 2:30 is skipped: only a quarter of an hour of it is there.
        (
            "01:00",
            "04:00",
            45,
            [
                "2026-03-08T01:00:00-05:00/2026-03-08T01:45:00-05:00",
                "2026-03-08T03:15:00-04:00/2026-03-08T04:00:00-04:00",
            ],
        ),
        ("01:00", "02:30", 90, []),
        # The whole gap lies inside.
        ("00:00", "04:00", 240, []),
        # It ends just as the clocks change: nothing of it is missing.
        ("01:00", "02:00", 60, ["2026-03-08T01:00:00-05:00/2026-03-08T03:00:00-04:00"]),
        ("02:00", "03:00", 30, []),
        ("02:15", "02:45", 5, []),
    ],
)
def test_a_slot_that_the_change_would_shorten_is_left_out(
    start: str, end: str, length: int, expected: list[str]
) -> None:
    assert slots_on("2026-03-08", start, end, length, "America/New_York") == expected


def test_a_change_of_two_hours_and_one_in_the_late_evening() -> None:
    assert slots_on("2026-03-29", "00:00", "05:00", 60, "Antarctica/Troll") == [
        "2026-03-29T00:00:00+00:00/2026-03-29T03:00:00+02:00",
        "2026-03-29T03:00:00+02:00/2026-03-29T04:00:00+02:00",
        "2026-03-29T04:00:00+02:00/2026-03-29T05:00:00+02:00",
    ]
    assert slots_on("2026-03-28", "22:00", "24:00", 60, "America/Nuuk") == [
        "2026-03-28T22:00:00-02:00/2026-03-29T00:00:00-01:00"
    ]


def test_a_skipped_time_means_the_moment_of_the_change() -> None:
    new_york = ZoneInfo("America/New_York")
    for minutes_after_midnight in (120, 125, 150, 175, 180):
        assert instant(date(2026, 3, 8), minutes_after_midnight, new_york) == utc("2026-03-08T07:00:00+00:00")
    assert [is_skipped(date(2026, 3, 8), m, new_york) for m in (115, 120, 175, 180)] == [
        *(False, True),
        *(True, False),
    ]


def test_a_repeated_time_means_its_first_occurrence() -> None:
    assert instant(date(2026, 11, 1), 90, ZoneInfo("America/New_York")) == utc("2026-11-01T01:30:00-04:00")
    assert not is_skipped(date(2026, 11, 1), 90, ZoneInfo("America/New_York"))


def test_opening_in_a_skipped_hour_starts_with_the_change() -> None:
    clinic = clinic_inputs(opening_hours=(WallBlock(6, 150, 300),))
    assert is_open(clinic, span("2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"))
    assert not is_open(clinic, span("2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00"))


def test_closing_in_a_skipped_hour_ends_with_the_change() -> None:
    clinic = clinic_inputs(opening_hours=(WallBlock(6, 0, 150),))
    assert is_open(clinic, span("2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00"))
    assert not is_open(clinic, span("2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"))


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        # Sunday, 6 September begins at 1:00 in Santiago.
        ("America/Santiago", "2026-09-04T12:00:00-04:00", "2026-09-06T01:00:00-03:00"),
        ("America/Santiago", "2026-04-03T12:00:00-03:00", "2026-04-05T00:00:00-04:00"),
        ("America/New_York", "2026-03-07T23:59:00-05:00", "2026-03-09T00:00:00-04:00"),
        ("America/New_York", "2026-10-31T23:59:00-04:00", "2026-11-02T00:00:00-05:00"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00+11:00", "2026-04-06T00:00:00+10:30"),
    ],
)
def test_the_horizon_ends_at_a_midnight_that_is_skipped(zone: str, now: str, until: str) -> None:
    assert bookable_until(clinic_inputs(zone, horizon_days=1), utc(now)) == utc(until)


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        (  # Saturday's night ends on Sunday, when the clocks go from 2:00 to 3:00
            "2026-03-07",
            "America/New_York",
            [
                "2026-03-07T22:00:00-05:00/2026-03-07T23:00:00-05:00",
                "2026-03-07T23:00:00-05:00/2026-03-08T00:00:00-05:00",
                "2026-03-08T00:00:00-05:00/2026-03-08T01:00:00-05:00",
                "2026-03-08T01:00:00-05:00/2026-03-08T03:00:00-04:00",
            ],
        ),
        (  # 2:00 -> 1:00: the hour from 1:00 on comes twice
            "2026-10-31",
            "America/New_York",
            [
                "2026-10-31T22:00:00-04:00/2026-10-31T23:00:00-04:00",
                "2026-10-31T23:00:00-04:00/2026-11-01T00:00:00-04:00",
                "2026-11-01T00:00:00-04:00/2026-11-01T01:00:00-04:00",
                "2026-11-01T01:00:00-04:00/2026-11-01T01:00:00-05:00",
                "2026-11-01T02:00:00-05:00/2026-11-01T03:00:00-05:00",
            ],
        ),
        (  # 24:00 -> 1:00: midnight itself is skipped
            "2026-09-05",
            "America/Santiago",
            [
                "2026-09-05T22:00:00-04:00/2026-09-05T23:00:00-04:00",
                "2026-09-05T23:00:00-04:00/2026-09-06T01:00:00-03:00",
                "2026-09-06T01:00:00-03:00/2026-09-06T02:00:00-03:00",
                "2026-09-06T02:00:00-03:00/2026-09-06T03:00:00-03:00",
            ],
        ),
        (  # 24:00 -> 23:00: the hour before midnight comes twice
            "2026-04-04",
            "America/Santiago",
            [
                "2026-04-04T22:00:00-03:00/2026-04-04T23:00:00-03:00",
                "2026-04-04T23:00:00-03:00/2026-04-04T23:00:00-04:00",
                "2026-04-05T00:00:00-04:00/2026-04-05T01:00:00-04:00",
                "2026-04-05T01:00:00-04:00/2026-04-05T02:00:00-04:00",
                "2026-04-05T02:00:00-04:00/2026-04-05T03:00:00-04:00",
            ],
        ),
        (  # 1:00 -> 2:00
            "2026-03-28",
            "Europe/London",
            [
                "2026-03-28T22:00:00+00:00/2026-03-28T23:00:00+00:00",
                "2026-03-28T23:00:00+00:00/2026-03-29T00:00:00+00:00",
                "2026-03-29T00:00:00+00:00/2026-03-29T02:00:00+01:00",
                "2026-03-29T02:00:00+01:00/2026-03-29T03:00:00+01:00",
            ],
        ),
        (  # 2:00 -> 2:30: the slot from 2:00 on would be half an hour short
            "2026-10-03",
            "Australia/Lord_Howe",
            [
                "2026-10-03T22:00:00+10:30/2026-10-03T23:00:00+10:30",
                "2026-10-03T23:00:00+10:30/2026-10-04T00:00:00+10:30",
                "2026-10-04T00:00:00+10:30/2026-10-04T01:00:00+10:30",
                "2026-10-04T01:00:00+10:30/2026-10-04T02:30:00+11:00",
            ],
        ),
    ],
)
def test_a_night_on_which_clocks_change(day: str, zone: str, expected: list[str]) -> None:
    assert slots_on(day, "22:00", "03:00", 60, zone) == expected
    nights = availability_inputs(every_day("22:00", "03:00", length=60), clinics={HERE: clinic_inputs(zone)})
    evening = instant(date.fromisoformat(day), 22 * 60, ZoneInfo(zone))
    offered = [o.span for o in offers(nights, since=evening, now=evening) if o.span.start < utc(expected[-1][26:])]
    assert shown(offered, zone) == expected


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("America/New_York", "2026-06-02T00:00:00-04:00"),
        ("America/Santiago", "2026-09-06T01:00:00-03:00"),
        ("America/Havana", "2026-03-08T01:00:00-04:00"),
    ],
)
def test_a_slot_over_midnight_lies_in_two_days_of_opening_hours(zone: str, midnight: str) -> None:
    """Also where the change of clocks skips midnight."""
    half_hour, moment = timedelta(minutes=30), utc(midnight)
    over = Span(moment - half_hour, moment + half_hour)
    every = range(7)
    for week, expected in (
        ([(day, 0, 1440) for day in every], True),
        ([(day, 1320, 1620) for day in every], True),
        ([(day, 0, 1435) for day in every], False),
        ([(day, 120, 1440) for day in every], False),
    ):
        assert is_open(clinic_inputs(zone, opening_hours=tuple(WallBlock(*each) for each in week)), over) is expected


def test_the_small_hours_are_open_if_the_night_before_is() -> None:
    """Open on Saturday from 22:00 to 3:00, in the night in which the clocks go from 2:00 to 3:00."""
    clinic = clinic_inputs(opening_hours=(WallBlock(5, 22 * 60, 27 * 60),))
    assert is_open(clinic, span("2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00"))
    assert not is_open(clinic, span("2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"))
    assert not is_open(clinic, span("2026-03-09T01:00:00-04:00", "2026-03-09T02:00:00-04:00"))
