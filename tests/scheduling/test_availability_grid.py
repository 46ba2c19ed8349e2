"""The grid of five minutes: which starts are aligned, to the microsecond."""

from datetime import timedelta, timezone

import pytest

from backend.scheduling.availability import Span, on_grid, ticks
from tests.scheduling.inputs import utc

NINE = utc("2026-06-01T09:00:00-04:00")


@pytest.mark.parametrize("minutes", [-5, 0, 5, 55, 60])
def test_whole_multiples_of_five_minutes_are_on_the_grid(minutes: int) -> None:
    assert on_grid(NINE + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "off",
    [
        timedelta(microseconds=1),
        timedelta(milliseconds=1),
        timedelta(seconds=1),
        timedelta(minutes=1),
        timedelta(minutes=4, seconds=59, milliseconds=999),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "start", ["2026-06-01T13:00Z", "1970-01-01T00:00Z", "1900-01-01T00:00Z", "2199-12-31T23:55Z"]
)
def test_a_start_off_by_a_microsecond_is_not_aligned(start: str, off: timedelta, sign: int) -> None:
    assert on_grid(utc(start))
    assert not on_grid(utc(start) + sign * off)


@pytest.mark.parametrize("offset", [timedelta(hours=5, minutes=45), timedelta(hours=14), -timedelta(hours=12)])
def test_the_grid_doesn_t_depend_on_the_offset(offset: timedelta) -> None:
    assert on_grid(NINE.astimezone(timezone(offset)))
    # An offset of seconds is possible in Python and ISO 8601: the moment counts, not how it is written.
    odd = timezone(timedelta(hours=1, seconds=1))
    assert on_grid(NINE.astimezone(odd))
    assert not on_grid(NINE.replace(tzinfo=odd))


def test_adjacent_spans_share_no_ticks() -> None:
    half_past, ten = NINE + timedelta(minutes=30), NINE + timedelta(hours=1)
    first, second = ticks(Span(NINE, half_past)), ticks(Span(half_past, ten))
    assert (len(first), len(second)) == (6, 6)
    assert first[-1] + 1 == second[0]
    assert ticks(Span(NINE, ten)) == first + second


def test_ticks_count_on_across_the_epoch() -> None:
    assert ticks(Span(utc("1969-12-31T23:55:00Z"), utc("1970-01-01T00:05:00Z"))) == [-1, 0]


def test_spans_that_only_touch_don_t_overlap() -> None:
    ten = NINE + timedelta(hours=1)
    morning = Span(NINE, ten)
    assert not morning.overlaps(Span(ten, ten + timedelta(hours=1)))
    assert not Span(ten, ten + timedelta(hours=1)).overlaps(morning)
    a_moment_early = Span(ten - timedelta(microseconds=1), ten + timedelta(hours=1))
    assert morning.overlaps(a_moment_early)
    assert a_moment_early.overlaps(morning)
    assert morning.contains(morning)
    assert not morning.contains(Span(NINE, ten + timedelta(microseconds=1)))
