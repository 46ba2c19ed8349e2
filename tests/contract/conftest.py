"""A Monday morning in New York that doesn't pass, and a small clinic."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.core import clock
from tests.contract.world import NOW, World
from tests.factories import Run


@pytest.fixture
def world(run: Run[Any]) -> Iterator[World]:
    """The clinic, at NOW."""
    with clock.stopped(NOW):
        yield World(run)
