"""Fixtures for all tests. The environment is set first: importing `backend` reads the settings."""

from tests.support import environment

ENVIRONMENT = environment.begin()

import logging  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import httpx  # noqa: E402
import pymongo  # noqa: E402
import pytest  # noqa: E402
from bson import MinKey  # noqa: E402
from pymongo import WriteConcern  # noqa: E402
from pymongo.database import Database  # noqa: E402

from backend.accounts.documents import Role  # noqa: E402
from backend.directory.documents import Clinic  # noqa: E402
from tests import factories  # noqa: E402
from tests.factories import Person, Run  # noqa: E402
from tests.support.servers import ServerThread, Unexpected, serving  # noqa: E402


def pytest_unconfigure() -> None:
    """After the last test, and after a failure to collect them."""
    ENVIRONMENT.end()


TESTS = Path(__file__).parent

LONGEST_FIRST = ("seed/", "properties/", "infrastructure/", "core/", "web/", "races/", "test_readme", "contract/")

SMOKE = (
    "accounts/login/test_register.py",
    "appointments/booking/test_book.py",
    "directory/test_departments.py",
    "messaging/outbox/test_claim.py",
    "reports/test_dashboard.py",
    "scheduling/slots/test_manual_slots.py",
)
"""One file for each package that needs the server: the one that touches most of it for the least time."""

EXHAUSTIVE = (
    "test_every_character_there_is_becomes_gsm_7",
    "test_every_zone_there_is_has_times_in_words",
    "test_no_name_breaks_a_message",
)
"""Tests without a server that try everything there is, for seconds: not for the inner loop."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files whose tests are all long, where long tests don't run: importing them takes seconds."""
    if config.option.markexpr != "not long" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text()
    return True if "\npytestmark = pytest.mark.long\n" in text or "pytest.mark.long]\n" in text else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the inner loop, and begins with the files that take longest, so that none is last."""
    missing = [name for name in SMOKE if not (TESTS / name).exists()]
    if missing:
        raise pytest.UsageError(f"tests/conftest.py names files that are gone: {', '.join(missing)}")
    for item in items:
        if _is_fast(item):
            item.add_marker(pytest.mark.fast)

    def place(item: pytest.Item) -> int:
        path = item.nodeid.removeprefix("tests/")
        found = (number for number, name in enumerate(LONGEST_FIRST) if path.startswith(name))
        return next(found, len(LONGEST_FIRST))

    items.sort(key=place)


def _is_fast(item: pytest.Item) -> bool:
    """Whether `make test-fast` runs a test: it needs no server and tries no multitude, or it is a smoke test."""
    if item.get_closest_marker("long") is not None:
        return False
    if str(item.path.relative_to(TESTS)) in SMOKE:
        return True
    needs_server = "server" in getattr(item, "fixturenames", ())
    return not needs_server and getattr(item, "originalname", item.name) not in EXHAUSTIVE


@pytest.fixture(scope="session")
def server() -> Iterator[ServerThread]:
    """The application on a free port, in a thread of this process."""
    server = ServerThread("backend.app:app")
    server.start()
    factories.Server.api_url = f"{server.base_url}/api/v1"
    yield server
    server.stop()


@pytest.fixture(scope="session")
def base_url(server: ServerThread) -> str:
    """The server's root, without `/api/v1`."""
    return server.base_url


@pytest.fixture(scope="session")
def run(server: ServerThread) -> Run[Any]:
    """Runs a coroutine on the server's loop."""
    return server.run


@pytest.fixture(scope="session")
def api(server: ServerThread) -> httpx.Client:
    """A client of `/api/v1` that is nobody."""
    return factories.make_client()


@pytest.fixture(scope="session")
def db(server: ServerThread) -> Iterator[Database[dict[str, Any]]]:
    """The server's database, without Beanie."""
    with pymongo.MongoClient[dict[str, Any]](ENVIRONMENT.url, tz_aware=True) as client:
        yield client[ENVIRONMENT.database_name]


@pytest.fixture(scope="session")
def two_servers(server: ServerThread) -> Iterator[tuple[str, str]]:
    """The root URLs of two more servers, each a process, on the same database."""
    with serving() as first, serving() as second:
        yield first.base_url, second.base_url


@pytest.fixture(autouse=True)
def empty_database(request: pytest.FixtureRequest) -> None:
    """Before each test that uses the server: no documents, but all indexes."""
    if "server" not in request.fixturenames:
        return
    db: Database[dict[str, Any]] = request.getfixturevalue("db")
    for name in _not_empty(db):
        db[name].with_options(write_concern=WriteConcern(w=1)).delete_many({}, hint=[("_id", 1)])


def _not_empty(db: Database[dict[str, Any]]) -> list[str]:
    """The collections with documents, by one command."""
    anything = {"$match": {"_id": {"$gt": MinKey()}}}
    one_of = {name: [anything, {"$limit": 1}, {"$project": {"_id": name}}] for name in db.list_collection_names()}
    (first, pipeline), *others = one_of.items()
    unions = [{"$unionWith": {"coll": name, "pipeline": stages}} for name, stages in others]
    return [row["_id"] for row in db[first].aggregate([*pipeline, *unions])]


@pytest.fixture(autouse=True)
def expected_errors() -> Iterator[Callable[[], list[str]]]:
    """Fails a test during which the application logged an error, a 500 above all.

    A test that means to cause one takes the errors away by calling the fixture's value.
    """
    handler = Unexpected()
    logger = logging.getLogger()
    logger.addHandler(handler)

    def take() -> list[str]:
        taken, handler.messages = handler.messages, []
        return taken

    yield take
    logger.removeHandler(handler)
    assert not handler.messages, "\n".join(handler.messages)


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """A clinic in New York, open every day from 8 to 20."""
    return factories.make_clinic(run)


@pytest.fixture
def admin(run: Run[Any]) -> Person:
    """An administrator."""
    return factories.make_user(run, Role.ADMIN)


@pytest.fixture
def nurse(run: Run[Any], clinic: Clinic) -> Person:
    """A nurse of the clinic."""
    return factories.make_nurse(run, clinic)


@pytest.fixture
def doctor(run: Run[Any], clinic: Clinic) -> Person:
    """A doctor of the clinic."""
    return factories.make_doctor(run, clinic)


@pytest.fixture
def patient(run: Run[Any]) -> Person:
    """A patient."""
    return factories.make_user(run, Role.PATIENT)
