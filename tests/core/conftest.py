"""A small collection of its own for the tests of the cache."""

from collections.abc import Iterator

import pytest

from tests.core.cached import NAME, Db


@pytest.fixture
def collection(db: Db) -> Iterator[Db]:
    """A database of its own, with a small collection in it: the server follows its own whenever it likes."""
    own = db.client[f"{db.name}_remembered"]
    own[NAME].create_index("owner")
    own[NAME].insert_many([{"_id": n, "owner": "ab"[n % 2], "place": "here"} for n in range(10)])
    yield own
    db.client.drop_database(own.name)
