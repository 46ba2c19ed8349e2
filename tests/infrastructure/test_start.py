"""Starts that fail: in words, with an exit code, in bounded time, and without anybody's password."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest

from backend.devtools.processes import find_free_port
from tests.support.servers import Program, launch

pytestmark = pytest.mark.long

SERVE = ("-m", "backend", "serve", "--port", "0")
UVICORN = ("-m", "uvicorn", "backend.app:app", "--port", "0")
PASSWORD = "geheim%40wort"

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "x" * 40,
    "FRONTEND_URL": "https://clinic.example.com",
    "PUBLIC_BASE_URL": "https://api.example.com",
    "TWILIO_ACCOUNT_SID": "AC0",
    "TWILIO_AUTH_TOKEN": "0",
    "TWILIO_PHONE_NUMBER": "+15550100000",
}
NOT_FIT = {"ENVIRONMENT": "production", "FRONTEND_URL": "*", "SECRET_KEY": "short", "MONGODB_URL": ""}
FAULTS = (
    *("MONGODB_URL is not set", "PUBLIC_BASE_URL is not set", "TWILIO_ACCOUNT_SID is not set"),
    *("TWILIO_AUTH_TOKEN is not set", "TWILIO_PHONE_NUMBER is not set", "SECRET_KEY is shorter"),
    "FRONTEND_URL admits every origin",
)
UNREADABLE = {"LOG_LEVEL": "LOUD", "BOOKING_HORIZON_DAYS": "hunter2", "DATABASE_NAME": "a b"}


@pytest.fixture(scope="module")
def ports(bare_mongod: Callable[..., int]) -> dict[str, int]:
    """Nobody's, a standalone server's, and that of a replica set that was never initiated."""
    return {
        "away": find_free_port(),
        "standalone": bare_mongod(),
        "uninitiated": bare_mongod("--replSet", "rs0"),
    }


@pytest.fixture(scope="module")
def starts(ports: dict[str, int]) -> Iterator[dict[str, Program]]:
    """All the starts that fail, at once: each takes a while."""

    def at(server: str, query: str = "") -> dict[str, str]:
        url = f"mongodb://127.0.0.1:{ports[server]}/{query}"
        return {"MONGODB_URL": url, "DATABASE_START_TIMEOUT_SECONDS": "0"}

    away = {
        "MONGODB_URL": f"mongodb://clinic:{PASSWORD}@127.0.0.1:{ports['away']}/?replicaSet=rs0",
        "DATABASE_START_TIMEOUT_SECONDS": "1",
    }
    wrong = os.environ["MONGODB_URL"].replace("mongodb://", f"mongodb://clinic:{PASSWORD}@")
    programs = {
        "away": launch(*SERVE, environment=away),
        "away, uvicorn": launch(*UVICORN, environment=away),
        "standalone": launch(*SERVE, environment=at("standalone")),
        "standalone, named": launch(*SERVE, environment=at("standalone", "?replicaSet=rs0")),
        "uninitiated": launch(*SERVE, environment=at("uninitiated", "?replicaSet=rs0")),
        "wrong password": launch(*SERVE, environment={"MONGODB_URL": wrong}),
        "no URL": launch(*SERVE, environment={"MONGODB_URL": "mongodb://clinic:ge@heim:wort@localhost"}),
        "not fit": launch(*SERVE, environment=NOT_FIT),
        "not fit, uvicorn": launch(*UVICORN, environment=NOT_FIT),
        "unreadable": launch(*SERVE, environment=UNREADABLE),
        "demo": launch(*SERVE, "--demo", environment=PRODUCTION),
        "port too high": launch(*SERVE, "--port", "70000"),
        "no workers": launch(*SERVE, "--workers", "0"),
    }
    yield programs
    for program in programs.values():
        program.kill()


def ended(program: Program, code: int) -> str:
    assert program.wait(60) == code, program.output
    assert "Traceback" not in program.output
    return program.output


@pytest.mark.parametrize("start", ["away", "away, uvicorn"])
def test_mongodb_that_is_away_is_named(starts: dict[str, Program], ports: dict[str, int], start: str) -> None:
    said = ended(starts[start], 3)
    assert f"mongodb://127.0.0.1:{ports['away']}/ can't be reached" in said
    assert "Gave up after 1 s" in said
    assert "MONGODB_URL" in said
    assert "geheim" not in said


@pytest.mark.parametrize("start", ["standalone", "standalone, named"])
def test_a_standalone_server_is_refused_with_the_commands_that_mend_it(
    starts: dict[str, Program], start: str
) -> None:
    said = ended(starts[start], 3)
    assert "standalone" in said
    assert "mongod --replSet rs0" in said
    assert "mongosh --eval 'rs.initiate()'" in said


def test_a_replica_set_that_was_never_initiated_is_told_apart(
    starts: dict[str, Program], ports: dict[str, int]
) -> None:
    said = ended(starts["uninitiated"], 3)
    assert "never been initiated" in said
    assert f"mongosh --host 127.0.0.1 --port {ports['uninitiated']} --eval 'rs.initiate()'" in said
    assert "standalone" not in said


def test_a_wrong_password_is_told_apart(starts: dict[str, Program]) -> None:
    said = ended(starts["wrong password"], 3)
    assert "refuses the user or password" in said
    assert "geheim" not in said


def test_a_url_that_is_none_is_not_repeated(starts: dict[str, Program]) -> None:
    said = ended(starts["no URL"], 3)
    assert "MONGODB_URL" in said
    assert "heim" not in said


@pytest.mark.parametrize(("start", "code"), [("not fit", 2), ("not fit, uvicorn", 3)])
def test_production_names_all_faults_of_the_settings_at_once(
    starts: dict[str, Program], start: str, code: int
) -> None:
    said = ended(starts[start], code)
    assert [fault for fault in FAULTS if fault not in said] == []


def test_settings_that_can_not_be_read_are_named_without_their_values(starts: dict[str, Program]) -> None:
    said = ended(starts["unreadable"], 2)
    assert all(name in said for name in UNREADABLE)
    assert "hunter2" not in said


def test_demo_data_is_refused_in_production(starts: dict[str, Program]) -> None:
    assert "--demo" in ended(starts["demo"], 2)


@pytest.mark.parametrize("start", ["port too high", "no workers"])
def test_arguments_that_make_no_sense_are_refused(starts: dict[str, Program], start: str) -> None:
    assert "is not a number from" in ended(starts[start], 2)


def test_a_start_waits_for_mongodb(bare_mongod: Callable[..., int]) -> None:
    """As when both come up together: the replica set is initiated while we are waiting."""
    port = bare_mongod("--replSet", "rs0")
    program = launch(*SERVE, environment={"MONGODB_URL": f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"})
    program.wait_for_line("waiting for the database")
    with pymongo.MongoClient("127.0.0.1", port, directConnection=True) as client:
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
    deadline = time.monotonic() + 20
    with pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0") as client:
        while "users" not in client[os.environ["DATABASE_NAME"]].list_collection_names():
            assert time.monotonic() < deadline, program.output
            time.sleep(0.1)
    program.stop()


def test_a_port_in_use_is_reported_before_anything_is_started(private_environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = ended(launch("-m", "backend", "serve", "--port", str(port), environment=private_environment), 1)
    assert f"port {port}" in said
    assert "PORT=" in said
    assert not Path(private_environment["DATA_DIR"]).exists()
