"""Fixtures of the emulator: a `conftest.py` imports them."""

from collections.abc import Iterator

import pytest

from tests.emulator.client import Carrier, running_carrier


@pytest.fixture(scope="session")
def carrier() -> Iterator[Carrier]:
    """One emulator for the run; it holds everything against the contract."""
    with running_carrier("--validate") as carrier:
        yield carrier


@pytest.fixture
def clean_carrier(carrier: Carrier) -> Iterator[Carrier]:
    """The emulator as newly started. Fails a test that has broken the contract, unless it resets it itself."""
    carrier.reset()
    yield carrier
    assert not carrier.violations()
