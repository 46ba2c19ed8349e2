"""Fixtures of the messages' tests: a clinic by day, and the outbox of this process."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from backend.core import clock

NOON = datetime(2030, 6, 3, 16, tzinfo=UTC)
"""Monday, noon in New York: far from quiet hours, and from what MongoDB itself takes for the past."""


@pytest.fixture
def noon() -> Iterator[datetime]:
    """Holds the clock at noon."""
    with clock.stopped(NOON):
        yield NOON
