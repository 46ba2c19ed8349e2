"""Appointments at a moment of their lives, and pairs of transitions that two people make at the same time."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from backend.accounts.profiles import WEEK
from backend.appointments.booking.book import BookingRequest, book
from backend.core import clock
from backend.core.clock import utc_now
from backend.directory.documents import OpeningHours
from backend.scheduling.documents import Slot
from tests import factories
from tests.factories import Person, Run
from tests.races.support import HOUR, Answer, Db, add_slot, people, said, small_clinic, stored

TICK_SECONDS = 300
ROOM = 100


@dataclass(frozen=True)
class Transition:
    """A transition of an appointment: its route, who makes it, and what its body says."""

    name: str
    by: str
    body: dict[str, str] = field(default_factory=dict)

    @property
    def history_name(self) -> str:
        """Its name in the history."""
        return {"correct-no-show": "correct"}.get(self.name, self.name.replace("-", "_"))


@dataclass(frozen=True)
class Contest:
    """Two transitions of an appointment that has begun or lies ahead, from the status that `before` leads to."""

    one: Transition
    other: Transition
    has_begun: bool = False
    before: tuple[Transition, ...] = ()

    def __str__(self) -> str:
        return f"{self.one.name} by {self.one.by} and {self.other.name} by {self.other.by}"


CONFIRM = Transition("confirm", "patient")
CANCEL = Transition("cancel", "admin", {"reason": "by telephone"})
CHECK_IN = Transition("check-in", "nurse")
COMPLETE = Transition("complete", "doctor")
NO_SHOW = Transition("no-show", "doctor")
RESCHEDULE = Transition("reschedule", "patient")

CONTESTS = (
    Contest(CONFIRM, CANCEL),
    Contest(Transition("cancel", "patient"), CANCEL),
    Contest(CONFIRM, CHECK_IN),
    Contest(RESCHEDULE, CANCEL),
    Contest(RESCHEDULE, Transition("reschedule", "nurse")),
    Contest(Transition("reschedule", "nurse"), CONFIRM),
    Contest(CHECK_IN, NO_SHOW, has_begun=True),
    Contest(COMPLETE, Transition("undo-check-in", "nurse"), has_begun=True, before=(CHECK_IN,)),
    Contest(Transition("left", "nurse"), CANCEL, has_begun=True, before=(CHECK_IN,)),
    Contest(COMPLETE, COMPLETE, has_begun=True, before=(CHECK_IN,)),
    Contest(
        Transition("correct-no-show", "nurse", {"status": "checked_in"}),
        Transition("correct-no-show", "doctor", {"status": "completed"}),
        has_begun=True,
        before=(NO_SHOW,),
    ),
)


class Day:
    """A doctor's day that is under way: a large slot that began some minutes ago, and three that are to come."""

    def __init__(self, run: Run[Any]) -> None:
        self._run = run
        all_day = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
        clinic = small_clinic(run, time_zone=_zone_at_noon(), opening_hours=all_day)
        self._doctor = factories.make_doctor(run, clinic, weekly_hours=[])
        self._staff = {
            "doctor": self._doctor,
            "nurse": factories.make_nurse(run, clinic),
            "admin": factories.make_user(run, "admin"),
        }
        tick = datetime.fromtimestamp(utc_now().timestamp() // TICK_SECONDS * TICK_SECONDS, UTC)
        with clock.shifted(-2 * HOUR):
            self._begun = add_slot(run, self._doctor, clinic, tick, ROOM)
        self._ahead = add_slot(run, self._doctor, clinic, tick + HOUR, ROOM, minutes=30)
        self._targets = {
            by: add_slot(run, self._doctor, clinic, tick + hours * HOUR, ROOM)
            for by, hours in (("patient", 2), ("nurse", 3))
        }

    def appointments(self, contest: Contest, count: int) -> "list[Visit]":
        """So many appointments of different patients, in the state that the contest begins with."""
        slot, patients = self._begun if contest.has_begun else self._ahead, people(self._run, count)
        with clock.shifted(-2 * HOUR if contest.has_begun else 0 * HOUR):
            ids = self._run(_book_all(patients, slot))
        visits = [
            Visit(appointment_id, {**self._staff, "patient": patient}, self)
            for appointment_id, patient in zip(ids, patients, strict=True)
        ]
        for visit in visits:
            for transition in contest.before:
                assert visit.make(transition).status_code == 200
        return visits

    def body(self, transition: Transition) -> dict[str, Any]:
        """The body of a transition, with a slot of their own for each who reschedules."""
        target = {"slot_id": str(self._targets[transition.by].id)} if transition.name == "reschedule" else {}
        return {**transition.body, **target}


async def _book_all(patients: list[Person], slot: Slot) -> list[str]:
    wanted = BookingRequest(slot_id=slot.id)
    bookings = await asyncio.gather(*(book(person.user, wanted) for person in patients))
    return [str(booking.appointment.id) for booking in bookings]


@dataclass(frozen=True)
class Visit:
    """An appointment and everybody who may act on it."""

    id: str
    people: dict[str, Person]
    day: Day

    def actor(self, transition: Transition) -> Person:
        """Who makes the transition."""
        return self.people[transition.by]

    def make(self, transition: Transition, client: httpx.Client | None = None) -> Answer:
        """Makes a transition, by a client of its actor."""
        return (client or self.actor(transition).client).post(self.path(transition), json=self.day.body(transition))

    def path(self, transition: Transition) -> str:
        """The transition's route."""
        return f"/appointments/{self.id}/{transition.name}"

    def check(self, db: Db, contest: Contest, answers: tuple[Answer, Answer]) -> list[str]:
        """Checks that the history explains the answers to both transitions. Returns the ones that were made."""
        row = stored(db, {"id": self.id})
        transitions = {
            transition.history_name: answer
            for transition, answer in zip((contest.one, contest.other), answers, strict=True)
        }
        before = 1 + len(contest.before)
        done = row["history"][before:]
        granted = [answer for answer in answers if answer.status_code == 200]
        assert len(done) == len(granted), [said(answer) for answer in answers]
        assert row["version"] == before + len(granted)
        for number, line in enumerate(done):
            same = [each for each in granted if each.json()["version"] == before + 1 + number]
            assert len(same) == 1
            assert same[0].json()["status"] == line["status"]
            assert same[0].json()["history"][-1]["transition"] == line["transition"]
            assert line["transition"] in transitions
        return [line["transition"] for line in done]


def _zone_at_noon() -> str:
    """A zone in which it is about noon, so that no slot of these hours crosses a midnight."""
    ahead = 12 - utc_now().hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/UTC"
