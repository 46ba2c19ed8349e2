"""Fixtures of the emulator's own tests."""

from collections.abc import Iterator

import pytest

from tests.emulator.fixtures import carrier, clean_carrier
from tests.emulator.receiver import Receiver

__all__ = ["carrier", "clean_carrier"]


@pytest.fixture(scope="session")
def _receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(_receiver: Receiver) -> Receiver:
    """An application that hears webhooks."""
    _receiver.forget()
    return _receiver
