"""Clinics without opening hours: doctors are made without hundreds of slots, which these tests don't look at."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests.factories import Person, Run, make_clinic


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """A clinic in New York that is never open."""
    return make_clinic(run, opening_hours=[])


@pytest.fixture
def everybody(
    api: httpx.Client, admin: Person, nurse: Person, doctor: Person, patient: Person
) -> dict[str, httpx.Client]:
    """A client of each role, and one of nobody."""
    people = {"admin": admin, "nurse": nurse, "doctor": doctor, "patient": patient}
    return {"nobody": api, **{role: person.client for role, person in people.items()}}
