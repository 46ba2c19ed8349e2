"""When a patient is reminded of an appointment, and which reminder asks for an answer. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from backend.appointments.reminders.quiet_hours import QuietHours
from backend.scheduling.availability import instant, local_day

FAIR_HOUR = timedelta(hours=1)
"""What a patient has at the least, between being asked and being cancelled for silence, in which to confirm."""

_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder is due at a moment, UTC. The last one asks the patient to confirm."""

    at: datetime
    requests_confirmation: bool


def reminders_of(
    start: datetime, *, zone: ZoneInfo, lead_minutes: Iterable[int], quiet: QuietHours
) -> list[Reminder]:
    """All reminders of an appointment that starts then, by time.

    Leads of whole days are days of the clinic's calendar: the same time on the wall, whatever the clocks did in
    between. What falls into quiet hours goes out the evening before.
    """
    moments = sorted({quiet.before(_lead(start, minutes, zone), zone) for minutes in lead_minutes})
    return [Reminder(at=moment, requests_confirmation=moment == moments[-1]) for moment in moments]


def _lead(start: datetime, minutes: int, zone: ZoneInfo) -> datetime:
    if minutes % _DAY:
        return start - timedelta(minutes=minutes)
    wall = start.astimezone(zone)
    day = local_day(start, zone) - timedelta(days=minutes // _DAY)
    return instant(day, wall.hour * 60 + wall.minute, zone)


class SilenceRules(Protocol):
    """The clinic's rules on silence, in minutes before the start."""

    auto_cancel_minutes: int
    confirm_window_minutes: int


def silence_cancels(rules: SilenceRules) -> int:
    """How many minutes before the start silence cancels; 0 for never.

    Never, too, where confirming opens so late that there'd be no fair hour to do it in.
    """
    to_confirm = timedelta(minutes=rules.confirm_window_minutes - rules.auto_cancel_minutes)
    return rules.auto_cancel_minutes if to_confirm >= FAIR_HOUR else 0


def deadline(
    start: datetime, *, confirmation_requested_at: datetime, auto_cancel_minutes: int
) -> datetime | None:
    """When silence cancels; None where there was no fair hour to answer, or where the clinic doesn't (0 minutes)."""
    moment = start - timedelta(minutes=auto_cancel_minutes)
    return moment if auto_cancel_minutes and moment - confirmation_requested_at >= FAIR_HOUR else None
