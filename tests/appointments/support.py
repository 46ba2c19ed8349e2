"""What the tests of appointments share: a doctor's book, requests in the domain's words, and another moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import httpx
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic
from backend.scheduling.documents import Slot
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.factories import Person, Run

NOW = datetime(2037, 6, 1, 10, tzinfo=UTC)
"""A Monday, 6:00 in New York (UTC-4). It lies ahead, so that MongoDB expires nothing by its own clock."""

TEN = datetime(2037, 6, 1, 14, tzinfo=UTC)
"""10:00 in New York on that Monday."""

MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NOBODY = "6b01a5e15cfa6f855f45c9b2"
"""An id that nothing has."""


@dataclass(frozen=True)
class Book:
    """A doctor's book at a clinic."""

    run: Run[Any]
    clinic: Clinic
    doctor: Person

    def slot(self, start: datetime = TEN, *, minutes: int = 30, capacity: int = 1) -> Slot:
        """Opens one slot; `start` in UTC."""
        slot: Slot = self.run(
            create_slot(
                doctor_id=self.doctor.object_id,
                clinic_id=self.clinic.clinic_id,
                start=start,
                minutes=minutes,
                capacity=capacity,
            )
        )
        return slot

    def slots(self, count: int, start: datetime = TEN, *, capacity: int = 1) -> list[Slot]:
        """Opens slots of half an hour, one after the other."""
        return [self.slot(start + number * 30 * MINUTE, capacity=capacity) for number in range(count)]


def try_booking(person: Person, slot: Slot, *, key: str | None = None, **body: Any) -> httpx.Response:
    """Asks for a seat in a slot."""
    headers = {"Idempotency-Key": key} if key else {}
    return person.client.post("/appointments", json={"slot_id": str(slot.id), **body}, headers=headers)


def booked(person: Person, slot: Slot, **body: Any) -> dict[str, Any]:
    """Books a seat, which must be granted."""
    return done(try_booking(person, slot, **body), 201)


@contextmanager
def visiting(run: Run[Any], person: Person, moment: datetime) -> Iterator[httpx.Client]:
    """The person's client at another moment, logged in there: tokens live for half an hour."""
    with clock.stopped(moment):
        yield factories.log_in(run, person.user).client


def make_transition(
    run: Run[Any],
    person: Person,
    appointment: dict[str, Any],
    transition: str,
    *,
    at: datetime = NOW,
    **body: Any,
) -> httpx.Response:
    """Requests a transition (`confirm`, `check-in`, …) of an appointment at a moment."""
    with visiting(run, person, at) as client:
        return client.post(f"/appointments/{appointment['id']}/{transition}", json=body)


def done(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The body of an answer that must be a success."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that must be this error, in the shape of all errors."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body.get("error_code")) == (status, code), answer.text
    assert isinstance(body["detail"], str)
    assert body["detail"]
    return body


def stored(db: Any, appointment: dict[str, Any]) -> dict[str, Any]:
    """The appointment as the database has it."""
    found: dict[str, Any] | None = db["appointments"].find_one({"_id": PydanticObjectId(appointment["id"])})
    assert found is not None
    return found


def pending_messages(db: Any, appointment: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The appointment's pending messages: kind, recipient, occurrence."""
    return [(m["kind"], m["to"], m["occurrence"]) for m in stored(db, appointment)["pending_messages"]]


def history_of(appointment: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The history in a response: transition, the status it led to, and the role that did it."""
    return [(line["transition"], line["status"], line["by_role"]) for line in appointment["history"]]


def instant(text: str) -> datetime:
    """A moment of an answer."""
    return datetime.fromisoformat(text)


def make_patients(run: Run[Any], count: int) -> list[Person]:
    """Several patients."""
    return [factories.make_user(run, Role.PATIENT) for _ in range(count)]


def patients_placed(run: Run[Any], *places: int, capacity: int) -> list[Person]:
    """Patients whose ids make them ask first for these seats of a slot of this capacity."""
    found: dict[int, list[Person]] = {place: [] for place in places}
    people = []
    for place in places:
        while not found[place]:
            person = factories.make_user(run, Role.PATIENT)
            found.setdefault(crc32(person.object_id.binary) % capacity, []).append(person)
        people.append(found[place].pop())
    return people


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Makes the calls from one thread each; the answers come in the order of the calls."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
