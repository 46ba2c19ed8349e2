"""What is measured of messages, for Prometheus."""

from prometheus_client import Counter, Gauge

_outcomes = Counter("sms_messages_total", "Messages by what became of them.", ["outcome", "kind"])
_replies = Counter("sms_replies_total", "Replies by what was read in them.", ["kind"])
_waiting = Gauge("sms_waiting", "Messages that wait, by status.", ["status"], multiprocess_mode="mostrecent")
_oldest = Gauge(
    "sms_oldest_queued_seconds", "Age of the oldest message that is due.", multiprocess_mode="mostrecent"
)


def count(outcome: str, kind: str) -> None:
    """Counts a message that was sent, refused, skipped or left unknown."""
    _outcomes.labels(outcome, str(kind)).inc()


def count_reply(kind: str) -> None:
    """Counts a reply."""
    _replies.labels(kind).inc()


def show_queue(*, queued: int, unknown: int, oldest_seconds: float) -> None:
    """Sets the gauges of the queue. Counted by the job that dispatches."""
    _waiting.labels("queued").set(queued)
    _waiting.labels("unknown").set(unknown)
    _oldest.set(oldest_seconds)
