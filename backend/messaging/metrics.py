"""What Prometheus measures of messages."""

from datetime import timedelta

from prometheus_client import Counter, Gauge

from backend.core.clock import utc_now
from backend.messaging.documents import CODE_HEAD_START
from backend.messaging.outbox import repository

_outcomes = Counter("sms_messages_total", "Messages by outcome.", ["outcome", "kind"])
_replies = Counter("sms_replies_total", "Replies by what they asked for.", ["kind"])
_waiting = Gauge("sms_waiting", "Waiting messages by status.", ["status"], multiprocess_mode="mostrecent")
_oldest = Gauge(
    "sms_oldest_queued_seconds",
    "For how long the longest waiting message has been due.",
    multiprocess_mode="mostrecent",
)


def count_outcome(outcome: str, kind: str) -> None:
    """Counts a message that was sent, delivered, refused, skipped or left unknown."""
    _outcomes.labels(outcome, str(kind)).inc()


def count_reply(kind: str) -> None:
    """Counts a reply."""
    _replies.labels(kind).inc()


async def measure_queue() -> None:
    """Counts the waiting messages and sets the gauges."""
    now = utc_now()
    # One-time codes have an earlier date than they were queued at; they never wait for long.
    oldest = await repository.find_oldest_due(now, since=now - CODE_HEAD_START + timedelta(hours=1))
    queued, unknown = await repository.count_waiting(now)
    _waiting.labels("queued").set(queued)
    _waiting.labels("unknown").set(unknown)
    _oldest.set((now - oldest).total_seconds() if oldest else 0)
