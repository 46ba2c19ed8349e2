"""The benchmark compares like with like: the floor writes what we write, and returns the same fields."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.directory.documents import Clinic
from backend.scheduling.slots.slot_sync import reconcile
from benchmarks import books, client, floor, load
from benchmarks.budgets import Results, verdicts
from benchmarks.load import Found
from benchmarks.measure import Row
from tests.factories import Person, Run
from tests.support.servers import ServerThread

YEAR = {"from": "2020-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}


@pytest.fixture
def bare(server: ServerThread) -> Iterator[httpx.Client]:
    """A client of the floor, on the tests' database."""
    served = ServerThread(floor.app)
    served.start()
    with httpx.Client(base_url=served.base_url, timeout=30, trust_env=False) as http:
        yield http
    served.stop()


def _booked(patient: Person, slot_id: str) -> httpx.Response:
    return patient.client.post("/appointments", json={"slot_id": slot_id, "reason": "Check-up"})


def test_the_floor_writes_and_answers_as_we_do(
    run: Run[Any], clinic: Clinic, doctor: Person, patient: Person, bare: httpx.Client, db: Database[Any]
) -> None:
    run(reconcile(doctor.object_id))
    slots = f"/doctors/{doctor.id}/slots"
    ours, others = patient.client.get(slots).json()["items"], bare.get(slots, params=YEAR).json()["items"]
    assert [set(slot) for slot in ours] == [set(slot) for slot in others]
    assert [slot["id"] for slot in ours] == [slot["id"] for slot in others]
    assert _booked(patient, ours[0]["id"]).status_code == 201
    body = {"slot_id": ours[1]["id"], "patient_id": patient.id, "reason": "Check-up"}
    assert bare.post("/appointments", json=body).status_code == 201
    mine, theirs = (
        db.appointments.find_one({"seats.slot": PydanticObjectId(slot["id"]), "active": True}) for slot in ours[:2]
    )
    assert books.shape(mine) == books.shape(theirs)
    lists = [
        patient.client.get("/appointments"),
        bare.get(f"/patients/{patient.id}/appointments"),
    ]
    rows = [answer.json()["items"] for answer in lists]
    assert [[set(row) for row in found] for found in rows] == [[set(rows[0][0])] * 2] * 2


def test_a_wrong_status_ends_the_run(base_url: str) -> None:
    asked = load.request("GET", "/api/v1/appointments")
    port = int(base_url.rpartition(":")[2])
    with pytest.raises(load.LoadFailed, match="401"):
        load.run(load.Load(port=port, requests=[asked], seconds=0.2, warm_up=0, connections=2))


def test_every_answer_is_counted_once(base_url: str) -> None:
    asked = load.request("GET", "/health")
    port = int(base_url.rpartition(":")[2])
    found = load.run(load.Load(port=port, requests=[asked] * 50, seconds=10, warm_up=0, connections=3, repeat=False))
    assert found.statuses == {200: 50}
    assert len(found.latencies) == 50
    assert client.connections == []  # the load comes from another process


def _row(*rates: int) -> Row:
    """One run of a second for each rate."""
    return Row([Found([1_000_000] * rate, Counter(), 1.0, {}) for rate in rates])


def test_a_budget_is_judged_by_the_rounds_and_not_by_the_medians() -> None:
    # The machine slows down from round to round; within each, ours does 1.4 times the floor's.
    results = Results(sizes=(10, 20), floor={"booking": (_row(140, 70, 14), _row(100, 50, 10))})
    found = {verdict.budget: verdict for verdict in verdicts(results)}
    booking = found["booking, requests/s beside the floor's"]
    assert (booking.figure, booking.met) == ("1.40", False)
    assert found["booking, p99 beside the floor's"].met is True
    assert found["own list, requests/s beside the floor's"].met is None
