"""A search that marks full slots, and a seat in one of them that is given back at the same moment.

Each is stopped before every one of its commands in turn while the other is done; and either may die there.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.appointments.booking.book import BookingRequest, book
from backend.scheduling.documents import ANY_LENGTH, Slot
from backend.scheduling.slots.full_hint import repair_full_hints
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.factories import Person, Run
from tests.races.support import (
    Answer,
    Db,
    Wired,
    booked,
    every_pause,
    forget_appointments,
    hours_at,
    in_background,
    people,
    reaches,
    small_clinic,
    tomorrow,
)
from tests.support.wire import Command, Held

pytestmark = [pytest.mark.races, pytest.mark.long]


@dataclass
class FullDay:
    """A doctor's twelve slots of tomorrow, all taken by one patient."""

    run: Run[Any]
    patient: Person
    doctor: Person
    db: Db
    slots: list[Slot] = field(default_factory=list)
    appointment_id: str = ""
    limit: int | None = None

    def fill(self) -> None:
        """Anew: nobody anywhere, then the patient everywhere; no slot is known to be full."""
        forget_appointments(self.db)
        mine = {"doctor_id": self.doctor.object_id, "is_active": True}
        self.db["slots"].update_many(mine, {"$set": {"known_full": False}})
        since = {"start": {"$gte": tomorrow(8)}}
        self.slots = self.run(Slot.find({**mine, **since}).sort("start").to_list())
        assert len(self.slots) == 12
        bookings = [
            self.run(book(self.patient.user, BookingRequest(slot_id=slot.id))) for slot in self.slots[: self.limit]
        ]
        self.appointment_id = str(bookings[0].appointment.id)

    @property
    def freed(self) -> set[str]:
        """What is free once the appointment is gone."""
        slots = self.slots if self.limit else self.slots[:1]
        return {str(slot.id) for slot in slots}

    def search(self, client: httpx.Client, limit: int = 1) -> Answer:
        """Small enough that one batch isn't all."""
        since = tomorrow(8)
        span = {"from": since.isoformat(), "to": (since + timedelta(hours=12)).isoformat()}
        answer = client.get(f"/doctors/{self.doctor.id}/slots", params={**span, "limit": limit})
        assert answer.status_code == 200, answer.text
        return answer

    def cancel(self, client: httpx.Client) -> Answer:
        """Gives the first seat back."""
        return client.post(f"/appointments/{self.appointment_id}/cancel")

    def offered(self, client: httpx.Client) -> set[str]:
        """What a search now finds."""
        return {slot["id"] for slot in self.search(client, limit=100).json()["items"]}


@pytest.fixture(params=[None, 1], ids=["seats", "limit of the day"])
def day(run: Run[Any], db: Db, patient: Person, request: pytest.FixtureRequest) -> FullDay:
    """Full because every seat is taken, or because the doctor sees one patient a day."""
    clinic = small_clinic(run)
    limit: int | None = request.param
    doctor = factories.make_doctor(
        run, clinic, weekly_hours=hours_at(clinic, "08:00", "20:00"), max_patients_per_day=limit
    )
    run(reconcile(doctor.object_id))
    return FullDay(run, patient, doctor, db, limit=limit)


def is_taken_back(command: Command) -> bool:
    return any(
        update["u"].get("$set") == {"known_full": False, "known_longest": ANY_LENGTH} for update in command.updates
    )


def stopped_everywhere(
    wired: Wired,
    db: Db,
    day: FullDay,
    *,
    slow: Callable[[], Answer],
    meanwhile: Callable[[], Any],
    then: Callable[[Held], None],
    check: Callable[[str], None],
) -> int:
    """Runs `slow`, stopped before each of its commands in turn; `meanwhile`; then goes on as `then` says."""
    turns = 0
    for pause in every_pause(wired.wire):
        day.fill()
        doing = in_background(slow)
        reaches(pause, doing)
        meanwhile()
        then(pause)
        doing.exception(30)
        check(f"stopped before {pause.command}")
        turns += 1
    return turns


def test_a_seat_freed_during_a_marking_search_is_found(
    api: httpx.Client, db: Db, day: FullDay, first_wired: Wired, second_wired: Wired
) -> None:
    here, there = first_wired.client(day.patient), second_wired.client(day.patient)

    def check(where: str) -> None:
        assert day.offered(api) == day.freed, where

    turns = stopped_everywhere(
        first_wired,
        db,
        day,
        slow=lambda: day.search(here),
        meanwhile=lambda: day.cancel(there),
        then=Held.release,
        check=check,
    )
    assert turns > 5  # the search did mark


def test_a_seat_that_changes_hands_during_a_search_is_found(
    api: httpx.Client, db: Db, day: FullDay, first_wired: Wired, second_wired: Wired
) -> None:
    """Whoever has the seat now wasn't there when the search had the slot's patients tell."""
    here, there = first_wired.client(day.patient), second_wired.client(day.patient)
    other = people(day.run, 1)[0]
    booked_again: list[dict[str, Any]] = []

    def change_hands() -> None:
        assert day.cancel(there).is_success
        booked_again.append(booked(other.client, day.slots[0]))

    def check(where: str) -> None:
        assert day.offered(api) == set(), where
        assert other.client.post(f"/appointments/{booked_again[-1]['id']}/cancel").is_success
        assert day.offered(api) == day.freed, where

    stopped_everywhere(
        first_wired,
        db,
        day,
        slow=lambda: day.search(here),
        meanwhile=change_hands,
        then=Held.release,
        check=check,
    )


def test_a_search_during_a_cancellation_hides_nothing(
    api: httpx.Client, db: Db, day: FullDay, first_wired: Wired, second_wired: Wired
) -> None:
    here, there = first_wired.client(day.patient), second_wired.client(day.patient)

    def check(where: str) -> None:
        assert day.offered(api) == day.freed, where

    turns = stopped_everywhere(
        first_wired,
        db,
        day,
        slow=lambda: day.cancel(here),
        meanwhile=lambda: day.search(there),
        then=Held.release,
        check=check,
    )
    assert turns > 4


def test_a_freed_seat_is_not_hidden_for_a_moment(
    api: httpx.Client, db: Db, day: FullDay, first_wired: Wired, second_wired: Wired
) -> None:
    """Stopped anywhere when the seat comes back, the search that marks goes on command by command: it might die after
    each."""
    here, there = first_wired.client(day.patient), second_wired.client(day.patient)
    for pause in every_pause(first_wired.wire):
        day.fill()
        doing = in_background(day.search, here)
        reaches(pause, doing)
        assert day.cancel(there).is_success
        with ExitStack() as stack:
            held = pause
            while held.command is not None:
                later = stack.enter_context(first_wired.wire.holding())
                held.release()
                reaches(later, doing)
                assert day.offered(api) == day.freed, f"after {held.command}, before {later.command}"
                held = later
        doing.result(30)


def test_the_job_clears_the_hint_of_a_dead_process(
    run: Run[Any], api: httpx.Client, db: Db, day: FullDay, first_wired: Wired, second_wired: Wired
) -> None:
    here, there = first_wired.client(day.patient), second_wired.client(day.patient)
    day.fill()
    day.search(there)
    with first_wired.wire.holding(is_taken_back) as end:
        doing = in_background(day.cancel, here)
        reaches(end, doing)
        end.lose()
    doing.exception(30)
    assert day.offered(api) < day.freed
    run(repair_full_hints())
    assert day.offered(api) == day.freed
