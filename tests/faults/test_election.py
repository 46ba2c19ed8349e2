"""The primary of a replica set of three goes away while patients book and cancel at two servers, and comes back.

Whatever was acknowledged stays, is shown by both servers from then on, and nobody gets another's seat.
"""

import os
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from operator import gt
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pymongo import MongoClient

from backend.core.clock import utc_now
from tests.faults.conftest import wait_until
from tests.faults.replica_set import ReplicaSet, replica_set
from tests.support.book import check_book
from tests.support.environment import parent_folder
from tests.support.servers import Program, launch, serving

pytestmark = pytest.mark.long

PATIENTS = 6
AWAY_SECONDS = 6
AFTERWARDS_SECONDS = 4
LONGEST_SECONDS = 30
"""For a request to be answered at last, by whichever server, with something else than 503."""
NAME = "elections"

Roots = tuple[str, str]


@pytest.fixture(scope="module")
def three() -> Iterator[ReplicaSet]:
    """A replica set with demo data."""
    with replica_set(Path(tempfile.mkdtemp(prefix="clinic-three-", dir=parent_folder()))) as three:
        assert launch("-m", "seed", environment=_environment(three)).wait(timeout=90) == 0
        yield three


@pytest.fixture(scope="module")
def roots(three: ReplicaSet) -> Iterator[Roots]:
    """Two server processes on it."""
    with serving(environment=_environment(three)) as one, serving(environment=_environment(three)) as other:
        yield one.base_url, other.base_url
        for program in (one, other):
            assert "Traceback" not in _without_jobs(program), program.output


def _environment(three: ReplicaSet) -> dict[str, str]:
    return {"MONGODB_URL": three.url, "DATABASE_NAME": NAME, "ENV_FILE": os.devnull}


def _without_jobs(program: Program) -> str:
    """What it printed; timed work may say that the database was away."""
    return "\n".join(line for line in program.lines if '"job"' not in line)


def from_memory(root: str) -> float:
    """How much a server has answered from memory so far."""
    line = re.search(r'response_cache_reads_total\{result="hit"\} (\S+)', httpx.get(f"{root}/metrics").text)
    return float(line[1]) if line else 0


class Patient:
    """Books, cancels and looks, at either server, and remembers what was answered."""

    def __init__(self, roots: Roots, seed: int) -> None:
        self.acknowledged: dict[str, str] = {}
        self.answers = 0
        self._chance = random.Random(seed)
        self._clients = [httpx.Client(base_url=f"{root}/api/v1", timeout=15) for root in roots]
        body = {
            "name": f"Ada {uuid4().hex}",
            "email": f"{uuid4().hex}@example.com",
            "phone": f"+1555{uuid4().int % 10**7:07}",
            "password": uuid4().hex,
        }
        token = self._until_answered("POST", "/auth/register", json=body).json()["access_token"]
        for client in self._clients:
            client.headers["Authorization"] = f"Bearer {token}"

    def live(self, is_over: threading.Event) -> None:
        """Until it is over. Raises what was wrong."""
        while not is_over.is_set():
            self._book()
            self.look()
            booked = [id for id, status in self.acknowledged.items() if status == "scheduled"]
            if len(booked) > 2:
                self._cancel(self._chance.choice(booked))
                self.look()

    def look(self) -> None:
        """All that was ever acknowledged must be shown, by a server that has perhaps just heard of it."""
        answer = self._until_answered("GET", "/appointments", params={"limit": 100, "descending": True})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        shown = {row["id"]: row["status"] for row in page["items"]}
        if page["next_cursor"] is None:
            assert shown == self.acknowledged
        else:
            assert shown.items() <= self.acknowledged.items()

    def _book(self) -> None:
        ahead = {"from": f"{utc_now() + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", "limit": 40}
        slots = self._until_answered("GET", "/slots", params=ahead).json()["items"]
        answer = self._until_answered(
            "POST",
            "/appointments",
            json={"slot_id": self._chance.choice(slots)["id"]},
            headers={"Idempotency-Key": uuid4().hex},
        )
        assert answer.status_code in (200, 201, 409), answer.text
        if answer.status_code != 409:
            self.acknowledged[answer.json()["id"]] = "scheduled"

    def _cancel(self, appointment_id: str) -> None:
        answer = self._until_answered("POST", f"/appointments/{appointment_id}/cancel")
        if answer.status_code != 200:  # an earlier attempt was carried out, though its answer was lost
            answer = self._until_answered("GET", f"/appointments/{appointment_id}")
        assert answer.json()["status"] == "cancelled", answer.text
        self.acknowledged[appointment_id] = "cancelled"

    def _until_answered(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Asks again, as a client does that was told 503 or nothing at all."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            try:
                answer = self._chance.choice(self._clients).request(method, path, **what)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                self.answers += 1
                return answer
            assert time.monotonic() < deadline, f"{method} {path}: no answer"
            time.sleep(0.2)


def _look_again(patients: list[Patient]) -> bool:
    for patient in patients:
        patient.look()
    return True


@pytest.mark.parametrize("how", ["dies", "stands still", "steps down"])
def test_what_was_acknowledged_outlives_the_primary(three: ReplicaSet, roots: Roots, how: str) -> None:
    patients = [Patient(roots, seed) for seed in range(PATIENTS)]
    is_over = threading.Event()
    with ThreadPoolExecutor(PATIENTS) as pool:
        lives = [pool.submit(patient.live, is_over) for patient in patients]
        try:
            time.sleep(1)
            before = three.primary()
            with three.without_primary(how, seconds=AWAY_SECONDS):
                assert three.primary() != before
                so_far = [patient.answers for patient in patients]
                wait_until(
                    lambda: (
                        any(life.done() for life in lives)  # something was wrong: it is raised below
                        or all(map(gt, [patient.answers for patient in patients], so_far))
                    )
                )
            time.sleep(AFTERWARDS_SECONDS)
        finally:
            is_over.set()
        for life in lives:
            life.result(timeout=60)
    remembered = [from_memory(root) for root in roots]
    wait_until(lambda: _look_again(patients) and all(map(gt, map(from_memory, roots), remembered)))
    with MongoClient[dict[str, Any]](three.url, tz_aware=True) as client:
        check_book(client[NAME])
        booked = client[NAME]["appointments"].find(
            {"patient_id": {"$exists": True}}
        )  # the others block withdrawn time
        stored = {str(row["_id"]): row["status"] for row in booked}
    for patient in patients:
        assert patient.acknowledged.items() <= stored.items()
