"""Quiet hours: when patients are left in peace, on the clinic's wall clock. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from backend.core.http.fields import minutes_of
from backend.core.settings import settings
from backend.scheduling.availability import instant, local_day

EVENING_MINUTES = 60
"""How long before the evening's quiet begins a message goes out that would be due in it."""

_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends`, minutes since midnight, over midnight where it ends earlier than it begins.

    Where both are the same there is no quiet.
    """

    begins: int
    ends: int

    def holds(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether it is quiet at a moment."""
        wall = moment.astimezone(zone).time()
        minutes = wall.hour * 60 + wall.minute
        if self.begins <= self.ends:
            return self.begins <= minutes < self.ends
        return minutes >= self.begins or minutes < self.ends

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The moment itself, or the end of the quiet in which it falls. UTC."""
        if not self.holds(moment, zone):
            return moment
        end = instant(local_day(moment, zone), self.ends, zone)
        return end if end > moment else instant(local_day(moment, zone) + timedelta(days=1), self.ends, zone)

    def before(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The moment itself, or an hour before the quiet in which it falls began. UTC."""
        if not self.holds(moment, zone):
            return moment
        day = local_day(moment, zone)
        if instant(day, self.begins, zone) > moment:
            day -= timedelta(days=1)
        awake = (self.begins - self.ends) % _DAY
        return instant(day, self.begins, zone) - timedelta(minutes=min(EVENING_MINUTES, awake))


def quiet_hours() -> QuietHours:
    """Those of the settings."""
    return QuietHours(minutes_of(settings.SMS_QUIET_FROM), minutes_of(settings.SMS_QUIET_UNTIL))
