"""What one process has answered, every process shows from then on, though each answers from its memory."""

import random
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import factories
from tests.factories import Person, Run
from tests.races.support import HOUR, Db, DoctorSchedule, Wired, client_of, make_book, people

pytestmark = [pytest.mark.races, pytest.mark.long]

Servers = tuple[str, str]
Shown = dict[str, Any]

STEPS = 70


def from_memory(root: str) -> float:
    """How much the server has answered from memory so far."""
    line = re.search(r'response_cache_reads_total\{result="hit"\} (\S+)', httpx.get(f"{root}/metrics").text)
    return float(line[1]) if line else 0


def shown_by(root: str, book: DoctorSchedule, everyone: dict[str, Person]) -> Shown:
    """All that a server's lists and searches show of a book."""
    shown: Shown = {}
    for name, person in everyone.items():
        answer = client_of(person, root).get("/appointments", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        shown[name] = [(row["id"], row["slot_id"], row["status"]) for row in answer.json()["items"]]
    anybody = factories.make_client(base_url=f"{root}/api/v1")
    day = {"from": book.slot.start.isoformat(), "to": (book.slot.start + 24 * HOUR).isoformat()}
    searches: dict[str, tuple[str, dict[str, Any]]] = {
        "the day": (f"/doctors/{book.doctor.id}/slots", day),
        "first free": ("/slots", {"specialty": "cardiology", "city": "new york"}),
    }
    for name, (path, params) in searches.items():
        answer = anybody.get(path, params={**params, "limit": 100})
        assert answer.status_code == 200, answer.text
        shown[name] = [(row["id"], row["free"]) for row in answer.json()["items"]]
    return shown


def found(db: Db, name: str, **query: Any) -> list[dict[str, Any]]:
    """Documents by start. The server refuses to go without an index: that of all ids is one."""
    rows = db[name].find(query, hint="_id_")
    return sorted(rows, key=lambda row: (row["start"], row["_id"]))


def stored(db: Db, book: DoctorSchedule, everyone: dict[str, Person]) -> Shown:
    """What they should show, by the documents themselves."""
    rows = found(db, "appointments", patient_id={"$exists": True})
    shown: Shown = {
        name: [
            (str(row["_id"]), str(row["seats"][0]["slot"]), row["status"])
            for row in rows
            if name in ("nurse", "admin") or person.object_id in (row["patient_id"], row["doctor_id"])
        ]
        for name, person in everyone.items()
    }
    slots = found(db, "slots", is_active=True, state="open")
    held = [held["slot"] for row in rows if row["active"] for held in row["seats"]]
    free = {slot["_id"]: slot["capacity"] - held.count(slot["_id"]) for slot in slots}
    for name, doctors in (
        ("the day", [book.doctor.object_id]),
        ("first free", db["slots"].distinct("doctor_id")),
    ):
        shown[name] = [
            (str(slot["_id"]), free[slot["_id"]])
            for slot in slots
            if free[slot["_id"]] and slot["doctor_id"] in doctors
        ]
    return shown


class Steps:
    """Things that people do to a book, at any server."""

    def __init__(
        self, db: Db, book: DoctorSchedule, nurse: Person, patients: list[Person], chance: random.Random
    ) -> None:
        self._db, self._book, self._nurse, self._patients, self._chance = db, book, nurse, patients, chance

    def one(self, root: str) -> str:
        """Does one of them, and says what was answered."""
        steps: list[Callable[[str], httpx.Response | None]] = [self._book_one, self._cancel, self._reschedule]
        answer = self._chance.choice([*steps * 3, self._add_slot, self._remove_slot])(root)
        return "nothing to do" if answer is None else f"{answer.request.url.path} {answer.status_code}"

    def _slots(self) -> list[str]:
        return [str(slot["_id"]) for slot in found(self._db, "slots", is_active=True, state="open")]

    def _booked(self) -> tuple[Person, str] | None:
        rows = found(self._db, "appointments", patient_id={"$exists": True}, active=True)
        if not rows:
            return None
        row = self._chance.choice(rows)
        whose = next(each for each in self._patients if each.object_id == row["patient_id"])
        return whose, str(row["_id"])

    def _book_one(self, root: str) -> httpx.Response:
        patient = self._chance.choice(self._patients)
        return client_of(patient, root).post("/appointments", json={"slot_id": self._chance.choice(self._slots())})

    def _cancel(self, root: str) -> httpx.Response | None:
        if (booked := self._booked()) is None:
            return None
        return client_of(booked[0], root).post(f"/appointments/{booked[1]}/cancel")

    def _reschedule(self, root: str) -> httpx.Response | None:
        if (booked := self._booked()) is None:
            return None
        body = {"slot_id": self._chance.choice(self._slots())}
        return client_of(booked[0], root).post(f"/appointments/{booked[1]}/reschedule", json=body)

    def _add_slot(self, root: str) -> httpx.Response:
        start = self._book.slot.start + self._chance.randrange(1, 5) * HOUR
        body = {
            "doctor_id": self._book.doctor.id,
            "clinic_id": str(self._book.clinic.id),
            "start": start.isoformat(),
            "minutes": 30,
        }
        return client_of(self._nurse, root).post("/slots", json=body)

    def _remove_slot(self, root: str) -> httpx.Response | None:
        slots = self._slots()
        if len(slots) < 3:
            return None
        return client_of(self._nurse, root).delete(f"/slots/{self._chance.choice(slots)}")


@pytest.mark.parametrize("seed", range(2))
def test_every_process_shows_what_any_process_has_answered(
    run: Run[Any], db: Db, two_servers: Servers, admin: Person, seed: int
) -> None:
    chance, book, patients = random.Random(seed), make_book(run, capacity=2), people(run, 3)
    book.other_slot()
    other = make_book(run, clinic=book.clinic).doctor
    nurse = factories.make_nurse(run, book.clinic)
    everyone = {"doctor": book.doctor, "other doctor": other, "nurse": nurse, "admin": admin}
    everyone |= {f"patient {number}": patient for number, patient in enumerate(patients)}
    steps, before = Steps(db, book, nurse, patients, chance), [from_memory(root) for root in two_servers]
    for number in range(STEPS):
        done = steps.one(chance.choice(two_servers))
        shown = []
        for _ in range(2):  # at once, and again when the change has been told
            shown += [shown_by(root, book, everyone) for root in chance.sample(two_servers, 2)]
            time.sleep(chance.choice([0, 0.005, 0.05]))
        wanted = stored(db, book, everyone)
        assert shown == [wanted] * 4, f"step {number}, after {done}"
    for root, count in zip(two_servers, before, strict=True):
        assert from_memory(root) > count + STEPS, "hardly anything came from memory"


def test_a_process_that_is_told_late_is_not_late_itself(
    run: Run[Any], db: Db, first_wired: Wired, patient: Person, admin: Person
) -> None:
    book, root = make_book(run), first_wired.program.base_url
    everyone = {"patient": patient, "doctor": book.doctor, "admin": admin}
    before = from_memory(root)
    while from_memory(root) == before:
        shown_by(root, book, everyone)
    with first_wired.wire.deaf():
        assert patient.client.post("/appointments", json={"slot_id": str(book.slot.id)}).status_code == 201
        assert shown_by(root, book, everyone) == stored(db, book, everyone)
        assert patient.client.post("/auth/logout").status_code == 204
        assert client_of(patient, root).get("/appointments").status_code == 401


def test_a_session_ended_anywhere_is_ended_everywhere(
    run: Run[Any], two_servers: Servers, admin: Person, patient: Person
) -> None:
    for number in range(20):
        here, elsewhere = two_servers if number % 2 else reversed(two_servers)
        again = factories.log_in(run, patient.user)
        for _ in range(3):
            assert client_of(again, elsewhere).get("/users/me").status_code == 200
        assert client_of(again, here).post("/auth/logout").status_code == 204
        assert client_of(again, elsewhere).get("/users/me").status_code == 401
    for root in two_servers:
        assert client_of(patient, root).get("/users/me").status_code == 200
    assert client_of(admin, two_servers[0]).delete(f"/users/{patient.account_id}").status_code == 204
    assert client_of(patient, two_servers[1]).get("/users/me").status_code == 401


def test_a_new_name_is_shown_everywhere(run: Run[Any], two_servers: Servers, patient: Person) -> None:
    for number in range(10):
        here, elsewhere = two_servers if number % 2 else reversed(two_servers)
        assert client_of(patient, elsewhere).get("/users/me").status_code == 200
        changed = client_of(patient, here).patch("/users/me", json={"name": f"Name {number}"})
        assert changed.status_code == 200, changed.text
        assert client_of(patient, elsewhere).get("/users/me").json()["name"] == f"Name {number}"
