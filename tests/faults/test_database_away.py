"""The database stands still or dies while messages are on their way, and comes back."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.messaging.outbox.sender import Outbox
from tests.emulator.client import Carrier
from tests.factories import Run
from tests.faults.conftest import Hand, wait_until
from tests.faults.fleet import Member, is_claim
from tests.faults.reminders import Db, Patient, check_reminded_once
from tests.faults.sizes import IS_FULL, SIZE

pytestmark = pytest.mark.long

Away = Callable[[int, list[str]], AbstractContextManager[None]]


@contextmanager
def stalled(pid: int, _: list[str]) -> Iterator[None]:
    """The database stands still: its machine is too busy, or the network is cut."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def crashed(pid: int, command: list[str]) -> Iterator[None]:
    """The database dies and is started anew."""
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)


def _process(db: Db) -> tuple[int, list[str]]:
    pid = int(db.command("serverStatus")["pid"])
    return pid, Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def test_what_was_posted_while_the_database_was_down_is_known_when_it_is_back(
    run: Run[Any],
    db: Db,
    clean_carrier: Carrier,
    hand: Hand,
    patients: list[Patient],
    base_url: str,
    new_outbox: Callable[[], AbstractContextManager[Outbox]],
    expected_errors: Callable[[], list[str]],
) -> None:
    with new_outbox() as outbox:
        run(enqueue_due_reminders())
        run(outbox.wake())
        wait_until(lambda: clean_carrier.counts()["accepted"] == len(patients))
        with crashed(*_process(db)):
            wait_until(lambda: httpx.get(f"{base_url}/health/ready", timeout=10).status_code == 503)
            time.sleep(SIZE.away)
        wait_until(lambda: httpx.get(f"{base_url}/health/ready", timeout=10).status_code == 200)
        hand.end_all(db)
    assert all("could not be recorded" in line for line in expected_errors())
    check_reminded_once(db, clean_carrier, patients)


@pytest.mark.skipif(not IS_FULL, reason="takes long: make faults")
@pytest.mark.parametrize("away", [stalled, crashed], ids=lambda each: each.__name__)
def test_a_server_process_outlives_its_database(
    db: Db, clean_carrier: Carrier, hand: Hand, member: Member, patients: list[Patient], away: Away
) -> None:
    with member.wire.holding(is_claim, skip=1) as claim:
        member.start()
        assert claim.arrived()
        with away(*_process(db)):
            claim.release()
            began = time.monotonic()
            wait_until(lambda: member.readiness().status_code == 503)
            assert member.readiness().json()["database"] == "unreachable"
            assert member.readiness().json()["scheduler"] == "running"
            time.sleep(max(0, began + SIZE.away - time.monotonic()))
    wait_until(member.is_ready)
    hand.end_all(db)
    check_reminded_once(db, clean_carrier, patients)
