"""The one source of time. Nothing else in the project asks the system what time it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Before everything: a field that is later than this is a date that was set."""


def _system_time() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system_time


def utc_now() -> datetime:
    """The current time: aware, UTC, cut to milliseconds as MongoDB stores it."""
    now = _source()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    """Lets the clock of this process run ahead of (or behind) the system's. For tests and the seed script."""
    global _source  # noqa: PLW0603 - the seam by which time is replaced
    before = _source
    _source = lambda: before() + by  # noqa: E731
    try:
        yield
    finally:
        _source = before


@contextmanager
def stopped(at: datetime) -> Iterator[None]:
    """Holds the clock of this process at one instant (aware). For tests and the seed script."""
    global _source  # noqa: PLW0603 - the seam by which time is replaced
    before = _source
    _source = lambda: at.astimezone(UTC)  # noqa: E731
    try:
        yield
    finally:
        _source = before
