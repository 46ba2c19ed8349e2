"""The same Monday that doesn't pass as for the appointments, and clinics that never close."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.accounts.profiles import WEEK
from backend.core import clock
from backend.directory.documents import OpeningHours
from tests import factories
from tests.appointments.support import NOW, Book
from tests.factories import Run


@pytest.fixture(autouse=True)
def monday() -> Iterator[None]:
    """The clock stands at NOW."""
    with clock.stopped(NOW):
        yield


@pytest.fixture
def open_in(run: Run[Any]) -> Callable[[str], Book]:
    """Makes a clinic in a zone that never closes, and a doctor with an empty book there."""

    def make(zone: str) -> Book:
        always = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
        clinic = factories.make_clinic(run, time_zone=zone, city=zone, opening_hours=always)
        return Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))

    return make
