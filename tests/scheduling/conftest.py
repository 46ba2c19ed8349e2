"""A clock that stands on a Monday morning in New York, and a clinic with slots up to Wednesday."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.core import clock
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import NOW, every_day


@pytest.fixture(autouse=True)
def monday() -> Iterator[None]:
    """The clock stands at NOW. A test that moves it by more than a few minutes logs in again."""
    with clock.stopped(NOW):
        yield


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """Open every day from 8 to 20 in New York, for booking today and two days ahead: few slots, quick tests."""
    return factories.make_clinic(run, policy=Policy(horizon_days=2))


@pytest.fixture
def doctor(run: Run[Any], clinic: Clinic) -> Person:
    """Sees patients every day from 9:00 to 11:00, half an hour each."""
    return factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00"))


@pytest.fixture
def free_doctor(run: Run[Any], clinic: Clinic) -> Person:
    """Has no weekly hours."""
    return factories.make_doctor(run, clinic, weekly_hours=[])
