"""The rate limit: so many messages a second and sender, for all processes together, as carriers demand."""

from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging.outbox import repository


async def take(wanted: int) -> int:
    """Takes up to `wanted` messages out of the present second; returns how many may be sent in it.

    One write for a whole batch. What is taken and not used is lost, never saved up.
    """
    limit = settings.SMS_PER_SECOND
    if limit == 0 or not settings.has_carrier:
        return wanted
    sender = settings.TWILIO_MESSAGING_SERVICE_SID or settings.TWILIO_PHONE_NUMBER
    second = int(utc_now().timestamp())
    used_before = await repository.use_second(sender, second=second, wanted=wanted, limit=limit)
    return max(0, min(wanted, limit - used_before))
