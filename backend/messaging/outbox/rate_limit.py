"""The rate limit: so many messages a second and sender, for all processes together, as carriers demand."""

from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging.outbox import repository

_SPREAD = 0.7
"""The part of a second over which a second's messages are spread: a burst would delay requests."""


def _limit() -> int:
    """Returns how many messages a second the sender may send; 0 for no limit."""
    return settings.SMS_PER_SECOND if settings.has_carrier else 0


def pause() -> float:
    """Returns how many seconds a process waits between two posts."""
    return _SPREAD / _limit() if _limit() else 0


async def take(wanted: int) -> int:
    """Takes up to `wanted` messages out of the present second; returns how many may be sent in it.

    One write for a whole batch. What is taken and not used is lost, never saved up.
    """
    limit = _limit()
    if limit == 0:
        return wanted
    sender = settings.TWILIO_MESSAGING_SERVICE_SID or settings.TWILIO_PHONE_NUMBER
    second = int(utc_now().timestamp())
    used_before = await repository.use_second(sender, second=second, wanted=wanted, limit=limit)
    return max(0, min(wanted, limit - used_before))
