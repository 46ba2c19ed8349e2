"""Quiet hours: when patients get no messages, in the clinic's local time. Pure functions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from backend.core.settings import settings
from backend.directory.fields import minutes_of
from backend.scheduling.availability import instant, local_day

EVENING_MINUTES = 60
"""A message that would fall into quiet hours goes out this many minutes before they begin."""

_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends`, in minutes since midnight. They span midnight if `ends` is the smaller number.

    If both are equal, there are no quiet hours.
    """

    begins: int
    ends: int

    def holds(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Returns whether a moment lies in quiet hours."""
        wall = moment.astimezone(zone).time()
        minutes = wall.hour * 60 + wall.minute
        if self.begins <= self.ends:
            return self.begins <= minutes < self.ends
        return minutes >= self.begins or minutes < self.ends

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Returns the moment itself or, in quiet hours, their end. UTC."""
        if not self.holds(moment, zone):
            return moment
        end = instant(local_day(moment, zone), self.ends, zone)
        return end if end > moment else instant(local_day(moment, zone) + timedelta(days=1), self.ends, zone)

    def before(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Returns the moment itself or, in quiet hours, an hour before they began. UTC."""
        if not self.holds(moment, zone):
            return moment
        day = local_day(moment, zone)
        if instant(day, self.begins, zone) > moment:
            day -= timedelta(days=1)
        awake = (self.begins - self.ends) % _DAY
        return instant(day, self.begins, zone) - timedelta(minutes=min(EVENING_MINUTES, awake))


def quiet_hours() -> QuietHours:
    """The quiet hours of the settings."""
    return QuietHours(minutes_of(settings.SMS_QUIET_FROM), minutes_of(settings.SMS_QUIET_UNTIL))
