"""When a patient is reminded of an appointment, and which reminder requests a confirmation. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from backend.appointments.reminders.quiet_hours import QuietHours
from backend.directory.documents import Rules
from backend.scheduling.availability import instant, local_day

FAIR_HOUR = timedelta(hours=1)
"""The shortest time a patient gets to confirm before silence cancels."""

_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder and when it is due, UTC. The last one before the start requests a confirmation."""

    at: datetime
    requests_confirmation: bool


def reminders_of(
    start: datetime, *, zone: ZoneInfo, lead_minutes: Iterable[int], quiet: QuietHours
) -> list[Reminder]:
    """Returns all reminders of an appointment that starts at `start`, by time.

    Lead times of whole days are calendar days at the clinic: the local time is the same, even across a clock change.
    A reminder that would fall into quiet hours is sent the evening before.
    """
    moments = sorted({quiet.before(_lead(start, minutes, zone), zone) for minutes in lead_minutes})
    return [Reminder(at=moment, requests_confirmation=moment == moments[-1]) for moment in moments]


def _lead(start: datetime, minutes: int, zone: ZoneInfo) -> datetime:
    if minutes % _DAY:
        return start - timedelta(minutes=minutes)
    wall = start.astimezone(zone)
    day = local_day(start, zone) - timedelta(days=minutes // _DAY)
    return instant(day, wall.hour * 60 + wall.minute, zone)


def silence_cancels(rules: Rules) -> int:
    """Returns how many minutes before the start an unconfirmed appointment is cancelled; 0 for never.

    It is also never where confirming opens so late that patients wouldn't have an hour for it.
    """
    to_confirm = timedelta(minutes=rules.confirm_window_minutes - rules.auto_cancel_minutes)
    return rules.auto_cancel_minutes if to_confirm >= FAIR_HOUR else 0


def deadline(start: datetime, *, confirmation_requested_at: datetime, auto_cancel_minutes: int) -> datetime | None:
    """Returns when an unconfirmed appointment is cancelled. UTC.

    None if `auto_cancel_minutes` is 0, or if the patient would have less than an hour to confirm.
    """
    moment = start - timedelta(minutes=auto_cancel_minutes)
    return moment if auto_cancel_minutes and moment - confirmation_requested_at >= FAIR_HOUR else None
