"""What the races share: people on either server, a small book, and stepping through a request command by command."""

import asyncio
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from bson import ObjectId
from pymongo.database import Database

from backend.accounts import users
from backend.accounts.documents import Role, User
from backend.accounts.profiles import WEEK, HoursBlock
from backend.core.clock import utc_now
from backend.directory.documents import Clinic, Policy
from backend.scheduling.documents import Slot
from backend.scheduling.slots.manual_slots import create_slot
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.factories import Person, Run
from tests.support.servers import Program, serving
from tests.support.wire import Command, Held, Which, Wire

T = TypeVar("T")
Db = Database[dict[str, Any]]
Answer = httpx.Response

HOUR = timedelta(hours=1)

_number = itertools.count(1)


@dataclass(frozen=True)
class Wired:
    """A server process and its wire to the database."""

    wire: Wire
    program: Program

    def client(self, person: Person) -> httpx.Client:
        """The person's client of this server."""
        return client_of(person, self.program.base_url)


@contextmanager
def wired_server(name: str = "", environment: Mapping[str, Any] | None = None) -> Iterator[Wired]:
    """A server process behind a wire, with any settings, until the block ends."""
    wire = Wire(urlsplit(os.environ["MONGODB_URL"]).port or 0, name)
    chosen = {each: str(value) for each, value in (environment or {}).items()}
    with serving(environment={**chosen, "MONGODB_URL": wire.url}) as program:
        yield Wired(wire, program)
    wire.close()


def client_of(person: Person, root: str) -> httpx.Client:
    """The person's client of the server at a root URL."""
    return factories.make_client(person.token, f"{root}/api/v1")


@dataclass(frozen=True)
class DoctorSchedule:
    """A doctor's book at a clinic whose horizon is short, with a slot of tomorrow."""

    run: Run[Any]
    clinic: Clinic
    doctor: Person
    slot: Slot

    @property
    def whole_slot(self) -> dict[str, str]:
        """The slot's time, as leave and closures are asked for."""
        return {"start": self.slot.start.isoformat(), "end": self.slot.end.isoformat()}

    def other_slot(self, start: datetime | None = None, *, capacity: int = 1) -> Slot:
        """One more slot; two hours after the first, unless said otherwise."""
        return add_slot(self.run, self.doctor, self.clinic, start or self.slot.start + 2 * HOUR, capacity)

    def patients(self, count: int) -> list[Person]:
        """People who can book."""
        return people(self.run, count)


def people(run: Run[Any], count: int) -> list[Person]:
    """Patients who are logged in. Made side by side: there may be hundreds."""
    return run(_people(count))


async def _people(count: int) -> list[Person]:
    return await asyncio.gather(*(_patient(next(_number)) for _ in range(count)))


async def _patient(number: int) -> Person:
    user = await users.create_user(
        User(
            name=f"Patient {number:05}",
            role=Role.PATIENT,
            email=f"of.the.crowd.{number}@example.com",
            password_hash=factories.PASSWORD_HASH,
        )
    )
    return await factories.logged_in(user)


def forget_appointments(db: Db) -> None:
    """Frees everybody for the next round, blocked seats included: its slots are others."""
    db["appointments"].delete_many({}, hint=[("_id", 1)])


def tomorrow(hour: int) -> datetime:
    """An hour (UTC) of the day after today: at least twelve hours ahead for hours from 12 on."""
    return (utc_now() + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


def make_book(run: Run[Any], *, capacity: int = 1, clinic: Clinic | None = None, **profile: Any) -> DoctorSchedule:
    """A doctor without weekly hours, and a slot of the staff's tomorrow at 15:00 UTC."""
    clinic = clinic or small_clinic(run)
    doctor = factories.make_doctor(run, clinic, **{"weekly_hours": [], **profile})
    return DoctorSchedule(run, clinic, doctor, add_slot(run, doctor, clinic, tomorrow(15), capacity))


def make_book_of_hours(run: Run[Any], *, capacity: int = 1) -> DoctorSchedule:
    """A doctor with an hour a day in the week, 15:00 to 16:00 at a clinic on UTC; the slot is tomorrow's."""
    clinic = small_clinic(run, time_zone="UTC")
    doctor = factories.make_doctor(run, clinic, weekly_hours=hours_at(clinic, "15:00", "16:00", capacity))
    run(reconcile(doctor.object_id))
    return DoctorSchedule(run, clinic, doctor, run(_slot_at(doctor, tomorrow(15))))


async def _slot_at(doctor: Person, start: datetime) -> Slot:
    slot = await Slot.find_one({"doctor_id": doctor.object_id, "is_active": True, "start": start})
    assert slot is not None
    return slot


def hours_at(clinic: Clinic, start: str, end: str, capacity: int = 1) -> list[HoursBlock]:
    """The same hour-long slots on each day of the week."""
    return [
        HoursBlock(clinic_id=clinic.clinic_id, weekday=day, start=start, end=end, slot_minutes=60, capacity=capacity)
        for day in WEEK
    ]


def small_clinic(run: Run[Any], **over: Any) -> Clinic:
    """A clinic whose book reaches to the end of tomorrow."""
    return factories.make_clinic(run, policy=Policy(horizon_days=1), **{"time_zone": "UTC", **over})


def add_slot(
    run: Run[Any], doctor: Person, clinic: Clinic, start: datetime, capacity: int = 1, *, minutes: int = 60
) -> Slot:
    """One slot, by the service."""
    return run(
        create_slot(
            doctor_id=doctor.object_id,
            clinic_id=clinic.clinic_id,
            start=start,
            minutes=minutes,
            capacity=capacity,
        )
    )


def book_seat(client: httpx.Client, slot: Slot) -> Answer:
    """A patient asks for a seat."""
    return client.post("/appointments", json={"slot_id": str(slot.id)})


def booked(client: httpx.Client, slot: Slot) -> dict[str, Any]:
    """A patient gets a seat."""
    answer = book_seat(client, slot)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def said(answer: Answer) -> str:
    """An answer in a word: its error code, or its status."""
    assert answer.status_code < 500, answer.text
    return str(answer.json().get("error_code", answer.status_code))


def listed(answer: Answer) -> set[str]:
    """The appointments in the report of a withdrawal."""
    body = answer.json()
    return {row["appointment_id"] for row in body.get("report", body)["appointments"]}


def active_in(db: Db, slot: Slot) -> set[str]:
    """The ids of the active appointments in a slot."""
    rows = db["appointments"].find({"seats.slot": slot.id, "active": True, "patient_id": {"$exists": True}})
    return {str(row["_id"]) for row in rows}


def mentions(*ids: Any) -> Which:
    """Whether a command is about one of these: a doctor, a slot, a clinic."""
    wanted = [str(each) for each in ids]

    def is_about(command: Command) -> bool:
        said = str((command.body, command.documents))
        return any(each in said for each in wanted)

    return is_about


def is_booking(command: Command) -> bool:
    """Whether a command is the write with which a patient is booked."""
    return command.name == "insert" and any("patient_id" in document for document in command.documents)


def is_reschedule(command: Command) -> bool:
    """Whether a command is the write that reschedules an appointment."""
    return command.name == "findAndModify" and "seats" in command.body["update"].get("$set", {})


def in_background(call: Callable[..., T], *arguments: Any, **named: Any) -> "Future[T]":
    """Makes a call in a thread of its own."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def reaches(held: Held, doing: "Future[Any]") -> bool:
    """Waits until a held command has come, or what is done has ended without it."""
    doing.add_done_callback(lambda _: held.give_up())
    return held.arrived()


def every_pause(wire: Wire) -> Iterator[Held]:
    """A hold at the first command of what is done in each turn, in the next turn at the second, and so on.

    Ends after the turn in which no command was left to be held.
    """
    for number in itertools.count():
        with wire.holding(skip=number) as held:
            yield held
        if held.command is None:
            return


def stored(db: Db, appointment: dict[str, Any]) -> dict[str, Any]:
    """An appointment as the database has it."""
    found = db["appointments"].find_one({"_id": ObjectId(appointment["id"])})
    assert found is not None
    return found
