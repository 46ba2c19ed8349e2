"""The embedded MongoDB: who starts it, who stops it, and what it survives."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pymongo
import pytest

from backend.devtools.mongod import Mongod, MongodError
from backend.devtools.processes import command_line_of
from tests.support.servers import Program, launch

pytestmark = pytest.mark.long

Use = Callable[[], Program]


def pid_and_url(program: Program) -> tuple[int, str]:
    pid, url = program.wait_for_line("mongodb://").split()
    return int(pid), url


def remember(url: str, text: str) -> None:
    with pymongo.MongoClient(url, w="majority", journal=True) as client:
        client.test.notes.insert_one({"_id": text})


def notes(url: str) -> list[str]:
    with pymongo.MongoClient(url) as client:
        return sorted(note["_id"] for note in client.test.notes.find())


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 25
    while command_line_of(pid):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def test_a_second_start_finds_the_data_at_the_same_address(folder: Path) -> None:
    mongod = Mongod(folder)
    first = mongod.start()
    remember(first, "kept")
    mongod.release()
    assert mongod.pid is None
    second = mongod.start()
    assert second == first
    assert notes(second) == ["kept"]


def test_a_second_process_uses_it_and_its_owner_stops_it(use_mongod: Use) -> None:
    owner, guest = use_mongod(), use_mongod()
    pid, url = pid_and_url(owner)
    assert pid_and_url(guest) == (pid, url)
    guest.stop()
    remember(url, "still here")
    owner.stop()
    wait_until_gone(pid)


def test_processes_that_start_at_once_start_one(folder: Path) -> None:
    programs = [launch("-m", "tests.support.mongod_user", str(folder)) for _ in range(3)]
    try:
        assert len({pid_and_url(program) for program in programs}) == 1
    finally:
        for program in programs:
            program.stop()


def test_one_left_behind_by_a_killed_process_is_used_again(use_mongod: Use) -> None:
    killed = use_mongod()
    pid, url = pid_and_url(killed)
    remember(url, "before the kill")
    killed.kill()
    assert command_line_of(pid), "mongod lives on"
    heir = use_mongod()
    assert pid_and_url(heir) == (pid, url)
    assert notes(url) == ["before the kill"]
    heir.stop()
    wait_until_gone(pid)


def test_one_left_behind_that_does_not_answer_is_replaced(use_mongod: Use) -> None:
    killed = use_mongod()
    pid, url = pid_and_url(killed)
    remember(url, "kept")
    killed.kill()
    os.kill(pid, signal.SIGSTOP)
    new_pid, new_url = pid_and_url(use_mongod())
    assert new_pid != pid
    assert notes(new_url) == ["kept"]
    wait_until_gone(pid)


def test_a_kill_of_everything_loses_nothing(use_mongod: Use) -> None:
    killed = use_mongod()
    pid, url = pid_and_url(killed)
    remember(url, "kept")
    killed.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    new_pid, new_url = pid_and_url(use_mongod())
    assert new_pid != pid
    assert notes(new_url) == ["kept"]


def test_a_lost_record_does_not_lose_the_server(folder: Path, use_mongod: Use) -> None:
    pid, url = pid_and_url(use_mongod())
    (folder / "mongod.port").unlink()
    assert pid_and_url(use_mongod()) == (pid, url)


@pytest.mark.parametrize("record", [True, False], ids=["known", "forgotten"])
def test_it_moves_to_another_port_when_its_own_is_taken(folder: Path, record: bool) -> None:
    mongod = Mongod(folder)
    url = mongod.start()
    remember(url, "kept")
    mongod.release()
    with socket.create_server(("127.0.0.1", int(url.split(":")[2].split("/")[0]))):
        if not record:
            (folder / "mongod.port").unlink()
        moved = mongod.start()
        assert moved != url
        assert notes(moved) == ["kept"]


def test_a_process_id_that_belongs_to_something_else_is_not_believed(folder: Path) -> None:
    (folder / "db").mkdir(parents=True)
    (folder / "db" / "mongod.lock").write_text(f"{os.getpid()}\n")
    mongod = Mongod(folder)
    mongod.start()
    assert mongod.pid not in (None, os.getpid())


def test_data_that_it_can_not_read_is_reported_with_the_end_of_its_log(folder: Path) -> None:
    (folder / "db").mkdir(parents=True)
    (folder / "db" / "storage.bson").write_text("nonsense")
    with pytest.raises(MongodError) as caught:
        Mongod(folder).start()
    assert str(folder / "mongod.log") in str(caught.value)
    assert "MONGODB_URL" in str(caught.value)


def test_a_folder_that_can_not_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MongodError, match="DATA_DIR"):
        Mongod(tmp_path / "file" / "data").start()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "make setup"),
        ("echo 'error while loading shared libraries: libcurl.so.4' >&2; exit 127", "libcurl.so.4"),
    ],
    ids=["not installed", "cannot run"],
)
def test_a_binary_that_is_missing_or_can_not_run_is_reported(
    folder: Path, tmp_path: Path, script: str | None, said: str
) -> None:
    package = tmp_path / "packages" / "fiftyone"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    if script:
        binary = package / "db" / "bin" / "mongod"
        binary.parent.mkdir(parents=True)
        binary.write_text(f"#!/bin/sh\n{script}\n")
        binary.chmod(0o755)
    program = launch("-m", "tests.support.mongod_user", str(folder), environment={"PYTHONPATH": str(package.parent)})
    assert program.wait() == 1
    assert "MongodError" in program.output
    assert said in program.output
    assert "MONGODB_URL" in program.output
