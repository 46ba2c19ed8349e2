"""Server processes whose wires to the database can be held."""

from collections.abc import Iterator

import pytest

from tests.races.support import Wired, wired_server
from tests.support.servers import ServerThread


@pytest.fixture(scope="session")
def first_wired(server: ServerThread) -> Iterator[Wired]:
    """A server process behind a wire."""
    with wired_server("first") as wired:
        yield wired


@pytest.fixture(scope="session")
def second_wired(server: ServerThread) -> Iterator[Wired]:
    """Another one, behind a wire of its own."""
    with wired_server("second") as wired:
        yield wired


@pytest.fixture(scope="session")
def third_wired(server: ServerThread) -> Iterator[Wired]:
    """A third one."""
    with wired_server("third") as wired:
        yield wired
