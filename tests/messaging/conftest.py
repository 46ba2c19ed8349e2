"""Fixtures of the messages' tests: a clinic by day, and the outbox of this process."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.core import clock
from tests.factories import Run
from tests.messaging.office import Db, Office, make_office

NOON = datetime(2030, 6, 3, 16, tzinfo=UTC)
"""Monday, noon in New York: far from quiet hours, and from what MongoDB itself takes for the past."""


@pytest.fixture
def noon() -> Iterator[datetime]:
    """Holds the clock at noon."""
    with clock.stopped(NOON):
        yield NOON


@pytest.fixture
def office(noon: datetime, run: Run[Any], db: Db) -> Office:
    """A clinic in New York whose timed work is done when the test says so."""
    return make_office(run, db)
