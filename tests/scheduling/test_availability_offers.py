"""Which slots the inputs offer: opening hours, leave, closures, horizon, and clinics that overlap."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from beanie import PydanticObjectId

from backend.scheduling.availability import (
    MOST_SLOT_MINUTES,
    AvailabilityInputs,
    WallBlock,
    WorkingBlock,
    is_possible,
    local_day,
    offers,
)
from tests.scheduling.inputs import (
    HERE,
    THERE,
    ZoneInfo,
    availability_inputs,
    clinic_inputs,
    every_day,
    span,
    starts,
    utc,
)

MIDNIGHT = utc("2026-06-01T00:00:00-04:00")
"""The first moment of a Monday in New York, far from any change of clocks."""


def offered_on_monday(inputs: AvailabilityInputs, *, since: datetime = MIDNIGHT) -> list[str]:
    found = offers(inputs, since=since, now=MIDNIGHT)
    return [start[11:] for start in starts(found) if start.startswith("2026-06-01")]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (5, ["09:00", "09:05", "09:10", "09:15", "09:20", "09:25", "09:30", "09:35", "09:40", "09:45"]),
        (10, ["09:00", "09:10", "09:20", "09:30", "09:40"]),
        (15, ["09:00", "09:15", "09:30"]),
        (20, ["09:00", "09:20"]),
        (25, ["09:00", "09:25"]),
        (45, ["09:00"]),
        (50, ["09:00"]),
        (55, []),
        (MOST_SLOT_MINUTES, []),
    ],
)
def test_a_block_has_as_many_slots_as_fit(length: int, expected: list[str]) -> None:
    assert offered_on_monday(availability_inputs(every_day("09:00", "09:50", length=length))) == expected


def test_a_slot_that_would_end_after_closing_is_not_offered() -> None:
    closes_at_ten = clinic_inputs(opening_hours=tuple(WallBlock(day, 540, 600) for day in range(7)))
    inputs = availability_inputs(every_day("08:30", "10:30", length=40), clinics={HERE: closes_at_ten})
    assert offered_on_monday(inputs) == ["09:10"]


def test_hours_may_end_at_midnight_and_begin_there() -> None:
    inputs = availability_inputs((*every_day("23:00", "24:00"), *every_day("00:00", "00:30")))
    assert offered_on_monday(inputs) == ["00:00", "23:00", "23:30"]
    late = [o for o in offers(inputs, since=MIDNIGHT, now=MIDNIGHT) if starts([o])[0].endswith("T23:30")]
    assert late[0].span.end == utc("2026-06-02T00:00:00-04:00")


def test_opening_until_midnight_ends_with_the_day() -> None:
    until_midnight = clinic_inputs(opening_hours=(WallBlock(0, 0, 1440),))
    over_midnight = span("2026-06-01T23:45:00-04:00", "2026-06-02T00:15:00-04:00")
    to_midnight = span("2026-06-01T23:30:00-04:00", "2026-06-02T00:00:00-04:00")
    inputs = availability_inputs((), clinics={HERE: until_midnight})
    assert not is_possible(inputs, HERE, over_midnight, MIDNIGHT)
    assert is_possible(inputs, HERE, to_midnight, MIDNIGHT)


def test_a_slot_may_not_bridge_a_lunch_break_or_two_days() -> None:
    with_break = clinic_inputs(opening_hours=(WallBlock(0, 480, 720), WallBlock(0, 780, 1020)))
    inputs = availability_inputs(every_day("08:00", "17:00", length=60), clinics={HERE: with_break})
    assert offered_on_monday(inputs) == [
        *("08:00", "09:00", "10:00", "11:00"),
        *("13:00", "14:00", "15:00", "16:00"),
    ]


def test_a_day_without_opening_hours_has_no_slots() -> None:
    closed_on_monday = clinic_inputs(opening_hours=tuple(WallBlock(day, 0, 1440) for day in range(1, 7)))
    inputs = availability_inputs(every_day("09:00", "10:00"), clinics={HERE: closed_on_monday})
    assert offered_on_monday(inputs) == []
    assert starts(offers(inputs, since=MIDNIGHT, now=MIDNIGHT))[0] == "2026-06-02T09:00"


@pytest.mark.parametrize(
    ("start", "end", "left"),
    [
        ("10:00", "10:30", ["09:30", "10:30"]),
        # Touching by nothing: the end is exclusive, and so is the start's other side.
        ("09:00", "09:30", ["09:30", "10:00", "10:30"]),
        ("11:00", "12:00", ["09:30", "10:00", "10:30"]),
        # Touching by a minute.
        ("09:00", "09:31", ["10:00", "10:30"]),
        ("10:59", "12:00", ["09:30", "10:00"]),
        # Inside a slot, and around all of them.
        ("10:10", "10:15", ["09:30", "10:30"]),
        ("00:00", "23:59", []),
        ("09:30:00", "11:00:00", []),
        ("09:00", "09:30:00.001", ["10:00", "10:30"]),
    ],
)
@pytest.mark.parametrize("what", ["leave", "closure"])
def test_leave_and_closures_remove_the_slots_they_overlap(start: str, end: str, left: list[str], what: str) -> None:
    away = (span(f"2026-06-01T{start}-04:00", f"2026-06-01T{end}-04:00"),)
    inputs = availability_inputs(
        every_day("09:30", "11:00"),
        leaves=away if what == "leave" else (),
        clinics={HERE: clinic_inputs(closures=away if what == "closure" else ())},
    )
    assert offered_on_monday(inputs) == left


@pytest.mark.parametrize(("days", "last"), [(1, "2026-06-02"), (7, "2026-06-08")])
def test_the_last_day_of_the_horizon_is_offered_whole(days: int, last: str) -> None:
    inputs = availability_inputs(
        every_day("00:00", "24:00", length=60), clinics={HERE: clinic_inputs(horizon_days=days)}
    )
    for now in (MIDNIGHT, MIDNIGHT + timedelta(hours=23, minutes=59, seconds=59)):
        found = starts(offers(inputs, since=now, now=now))
        assert found[-1] == f"{last}T23:00"
    assert len(starts(offers(inputs, since=MIDNIGHT, now=MIDNIGHT))) == 24 * (days + 1)


def test_the_night_belongs_to_the_day_on_which_it_begins() -> None:
    """Hours of Monday alone, 22:00 to 3:00: the slots after midnight are offered with the others."""
    monday = WorkingBlock(HERE, WallBlock(0, 22 * 60, 27 * 60), 45, 1)
    inputs = availability_inputs((monday,), clinics={HERE: clinic_inputs(horizon_days=1)})
    evening, morning = ("22:00", "22:45", "23:30"), ("00:15", "01:00", "01:45")
    night = [*(f"2026-06-01T{time}" for time in evening), *(f"2026-06-02T{time}" for time in morning)]
    assert starts(offers(inputs, since=MIDNIGHT, now=MIDNIGHT)) == night
    after_midnight = utc("2026-06-02T00:15:00-04:00")
    assert starts(offers(inputs, since=after_midnight, now=after_midnight)) == night[3:]


def test_the_last_slot_of_the_horizon_may_run_over_midnight() -> None:
    clinics = {HERE: clinic_inputs(horizon_days=1)}
    inputs = availability_inputs(every_day("23:30", "00:30", length=60), clinics=clinics)
    found = starts(offers(inputs, since=MIDNIGHT, now=MIDNIGHT))
    assert found == ["2026-05-31T23:30", "2026-06-01T23:30", "2026-06-02T23:30"]


def test_around_the_clock_no_slot_is_missing_at_midnight() -> None:
    for start in ("00:00", "08:00", "23:55"):
        inputs = availability_inputs(every_day(start, start), clinics={HERE: clinic_inputs(horizon_days=2)})
        found = [offer.span.start for offer in offers(inputs, since=MIDNIGHT, now=MIDNIGHT)]
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=30)}


def test_nothing_is_possible_after_the_horizon() -> None:
    inputs = availability_inputs((), clinics={HERE: clinic_inputs(horizon_days=0)})
    last = span("2026-06-01T23:30:00-04:00", "2026-06-02T00:00:00-04:00")
    first_beyond = span("2026-06-02T00:00:00-04:00", "2026-06-02T00:30:00-04:00")
    assert is_possible(inputs, HERE, last, MIDNIGHT)
    assert not is_possible(inputs, HERE, first_beyond, MIDNIGHT)


def test_the_horizon_counts_the_days_of_each_clinic() -> None:
    """Late on Monday in New York it is Tuesday in Auckland."""
    now = utc("2026-06-01T22:00:00-04:00")
    clinics = {
        HERE: clinic_inputs(horizon_days=1),
        THERE: clinic_inputs("Pacific/Auckland", horizon_days=1),
    }
    inputs = availability_inputs(
        (*every_day("09:00", "09:30"), *every_day("09:00", "09:30", at=THERE)),
        clinics=clinics,
    )
    found = offers(inputs, since=now, now=now)
    assert [o.span.start for o in found if o.clinic_id == THERE] == [utc("2026-06-03T09:00:00+12:00")]
    assert [o.span.start for o in found if o.clinic_id == HERE] == [utc("2026-06-02T09:00:00-04:00")]


def test_slots_that_end_by_the_given_moment_are_left_out() -> None:
    inputs = availability_inputs(every_day("09:00", "10:00"))
    nine = utc("2026-06-01T09:00:00-04:00")
    half_past = nine + timedelta(minutes=30)
    assert offered_on_monday(inputs, since=half_past - timedelta(milliseconds=1)) == ["09:00", "09:30"]
    assert offered_on_monday(inputs, since=half_past) == ["09:30"]


def test_year_and_leap_day_boundaries() -> None:
    clinic = {HERE: clinic_inputs(horizon_days=2)}
    inputs = availability_inputs(every_day("23:30", "24:00"), clinics=clinic)
    new_year = utc("2027-12-31T12:00:00-05:00")
    assert starts(offers(inputs, since=new_year, now=new_year)) == [
        "2027-12-31T23:30",
        "2028-01-01T23:30",
        "2028-01-02T23:30",
    ]
    leap = utc("2028-02-28T12:00:00-05:00")
    assert starts(offers(inputs, since=leap, now=leap)) == [
        "2028-02-28T23:30",
        "2028-02-29T23:30",
        "2028-03-01T23:30",
    ]


def test_the_day_of_a_slot_is_the_clinic_s_not_utc_s() -> None:
    late = utc("2027-12-31T23:30:00-05:00")
    assert local_day(late, ZoneInfo("America/New_York")).isoformat() == "2027-12-31"
    assert local_day(late, ZoneInfo("UTC")).isoformat() == "2028-01-01"
    assert local_day(late, ZoneInfo("Pacific/Kiritimati")).isoformat() == "2028-01-01"


def test_each_block_has_its_own_length_and_capacity() -> None:
    inputs = availability_inputs((*every_day("09:00", "10:00", length=20, capacity=3), *every_day("13:00", "14:00")))
    found = [o for o in offers(inputs, since=MIDNIGHT, now=MIDNIGHT) if starts([o])[0].startswith("2026-06-01")]
    assert [(start[11:], o.capacity) for start, o in zip(starts(found), found, strict=True)] == [
        ("09:00", 3),
        ("09:20", 3),
        ("09:40", 3),
        ("13:00", 1),
        ("13:30", 1),
    ]


def test_an_inactive_doctor_or_clinic_offers_nothing() -> None:
    blocks = every_day("09:00", "10:00")
    assert offers(availability_inputs(blocks, is_active=False), since=MIDNIGHT, now=MIDNIGHT) == []
    shut = availability_inputs(blocks, clinics={HERE: clinic_inputs(is_active=False)})
    assert offers(shut, since=MIDNIGHT, now=MIDNIGHT) == []


def test_hours_at_a_former_clinic_offer_nothing() -> None:
    inputs = availability_inputs(every_day("09:00", "10:00", at=THERE))
    assert offers(inputs, since=MIDNIGHT, now=MIDNIGHT) == []


def _in_two_zones() -> AvailabilityInputs:
    """Nine to five in New York, and the same instants and half an hour more in Newfoundland's odd zone."""
    return availability_inputs(
        (
            *every_day("09:00", "17:00", length=60),
            *every_day("11:00", "19:00", length=60, at=THERE),
        ),
        clinics={HERE: clinic_inputs(), THERE: clinic_inputs("America/St_Johns")},
    )


def test_clinics_in_two_zones_never_get_the_doctor_at_once() -> None:
    found = offers(_in_two_zones(), since=MIDNIGHT, now=MIDNIGHT)
    for earlier, later in pairwise(found):
        assert earlier.span.end <= later.span.start
    monday = [o for o in found if o.span.start < MIDNIGHT + timedelta(days=1)]
    assert [str(o.clinic_id)[-2:] for o in monday] == ["aa"] * 8
    without_the_first = offers(
        replace(_in_two_zones(), blocks=_in_two_zones().blocks[7:]), since=MIDNIGHT, now=MIDNIGHT
    )
    assert {o.clinic_id for o in without_the_first} == {THERE}


def test_of_two_overlapping_clinics_the_first_listed_wins() -> None:
    inputs = _in_two_zones()
    turned = replace(inputs, blocks=tuple(reversed(inputs.blocks)))
    found = offers(turned, since=MIDNIGHT, now=MIDNIGHT)
    monday = [o for o in found if o.span.start < MIDNIGHT + timedelta(days=1)]
    assert [str(o.clinic_id)[-2:] for o in monday] == ["bb"] * 8


def test_an_overlap_of_three_clinics_survives_midnight() -> None:
    """The first's 23:00 beats the second's 23:30, so that the third has 0:15; an hour later still."""
    third = PydanticObjectId("0000000000000000000000cc")
    inputs = availability_inputs(
        (
            *every_day("23:00", "24:00", length=60),
            *every_day("22:30", "23:30", length=60, at=THERE),
            *every_day("22:15", "22:45", at=third),
        ),
        clinics={
            HERE: clinic_inputs(),
            THERE: clinic_inputs("America/Chicago"),
            third: clinic_inputs("America/Denver"),
        },
    )
    whole = offers(inputs, since=MIDNIGHT - timedelta(hours=2), now=MIDNIGHT)
    assert [(str(o.clinic_id)[-2:], start[11:]) for o, start in zip(whole, starts(whole), strict=True)][:2] == [
        ("aa", "23:00"),
        ("cc", "00:15"),
    ]
    assert offers(inputs, since=MIDNIGHT, now=MIDNIGHT) == whole[1:]
    a_little_later = MIDNIGHT + timedelta(minutes=10)
    assert offers(inputs, since=a_little_later, now=a_little_later) == whole[1:]


def test_leave_at_one_clinic_leaves_the_other_s_day_alone() -> None:
    away = span("2026-06-01T09:00:00-04:00", "2026-06-01T09:30:00-04:00")
    inputs = replace(_in_two_zones(), leaves=(away,))
    monday = [o for o in offers(inputs, since=MIDNIGHT, now=MIDNIGHT) if o.span.start < MIDNIGHT + timedelta(days=1)]
    # From 9:30 to 10:00 only the second clinic's first slot would fit, but it runs into the first clinic's 10:00.
    assert [str(o.clinic_id)[-2:] for o in monday] == ["aa"] * 7


def test_an_overlap_is_decided_alike_all_day() -> None:
    """11:00 in Newfoundland is 9:30 in New York: each slot overlaps two of the other clinic's."""
    inputs = _in_two_zones()
    whole = offers(inputs, since=MIDNIGHT, now=MIDNIGHT)
    for passed in range(0, 24 * 60, 10):
        since = MIDNIGHT + timedelta(minutes=passed)
        later = offers(inputs, since=since, now=MIDNIGHT)
        assert later == [offer for offer in whole if offer.span.end > since], since
