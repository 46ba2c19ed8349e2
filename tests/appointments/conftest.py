"""A Monday morning in New York that doesn't pass, a clinic, and a doctor whose slots each test makes itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import NOW, Book
from tests.factories import Person, Run


@pytest.fixture(autouse=True)
def monday() -> Iterator[None]:
    """The clock stands at NOW. Whoever goes elsewhere logs in there anew (`support.make_transition` does)."""
    with clock.stopped(NOW):
        yield


@pytest.fixture
def doctor(run: Run[Any], clinic: Clinic) -> Person:
    """A doctor without weekly hours: the book holds what a test puts there."""
    return factories.make_doctor(run, clinic, weekly_hours=[])


@pytest.fixture
def book(run: Run[Any], clinic: Clinic, doctor: Person) -> Book:
    """The doctor's book at the clinic."""
    return Book(run=run, clinic=clinic, doctor=doctor)
