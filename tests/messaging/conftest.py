"""Fixtures of the messages' tests: a clinic by day, and the carrier."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.core import clock
from backend.core.settings import settings
from tests.emulator.client import Carrier
from tests.emulator.fixtures import carrier, clean_carrier
from tests.factories import Run
from tests.messaging.network import Network, connected
from tests.messaging.office import Db, Office, make_office

__all__ = ["carrier", "clean_carrier"]

NOON = datetime(2030, 6, 3, 16, tzinfo=UTC)
"""Monday, noon in New York: far from quiet hours, and from what MongoDB itself takes for the past."""


@pytest.fixture(autouse=True)
def running_clock() -> Iterator[None]:
    """Fails a test that leaves the clock stopped: it is one for all threads, and for the tests that follow."""
    yield
    assert abs(clock.utc_now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.fixture
def noon() -> Iterator[datetime]:
    """Holds the clock at noon."""
    with clock.stopped(NOON):
        yield NOON


@pytest.fixture
def network(run: Run[Any], clean_carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The carrier, for which this process is set up. It reports nothing unless it is told to."""
    with connected(run, clean_carrier, monkeypatch) as network:
        yield network


@pytest.fixture
def within_reach(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the carrier's reports come to this process."""
    monkeypatch.setattr(settings, "PUBLIC_BASE_URL", base_url)


@pytest.fixture
def office(noon: datetime, network: Network, db: Db) -> Office:
    """A clinic in New York whose timed work is done when the test says so."""
    return make_office(network, db)
