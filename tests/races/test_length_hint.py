"""A search that marks slots as too short for a visit, and room that is made behind one of them at the same moment.

Each is stopped before every one of its commands in turn while the other is done.
"""

from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest

from backend.appointments.booking.book import BookingRequest, book
from backend.directory.documents import Clinic
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.scheduling.documents import ANY_LENGTH, Slot
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.factories import Person, Run
from tests.races.support import (
    Answer,
    Db,
    Wired,
    every_pause,
    forget_appointments,
    hours_at,
    in_background,
    reaches,
    small_clinic,
    tomorrow,
)

pytestmark = [pytest.mark.races, pytest.mark.long]

Way = Literal["a seat is given back", "a leave ends"]


@dataclass
class DayOfGaps:
    """A doctor's twelve hours of tomorrow, every second one taken: no two of them are free in a row."""

    run: Run[Any]
    db: Db
    patient: Person
    admin: Person
    doctor: Person
    clinic: Clinic
    kind: str
    """A visit of two hours."""
    way: Way
    slots: list[Slot]
    appointment_id: str = ""
    leave_id: str = ""

    def fill(self) -> None:
        """Anew, without hints. The second hour is on leave, or taken like the others."""
        forget_appointments(self.db)
        mine = {"doctor_id": self.doctor.object_id, "is_active": True}
        self.db["slots"].update_many(mine, {"$set": {"known_full": False, "known_longest": ANY_LENGTH}})
        if self.way == "a leave ends":
            span = {"start": self.slots[1].start.isoformat(), "end": self.slots[1].end.isoformat()}
            leave = self.admin.client.post(f"/doctors/{self.doctor.id}/leaves", json=span)
            assert leave.status_code == 201, leave.text
            self.leave_id = leave.json()["id"]
        since = {"start": {"$gte": tomorrow(8)}, "state": "open"}
        now_open = self.run(Slot.find({**mine, **since}).sort("start").to_list())
        taken = {slot.start for slot in self.slots[1::2]}
        bookings = [
            self.run(book(self.patient.user, BookingRequest(slot_id=slot.id)))
            for slot in now_open
            if slot.start in taken
        ]
        self.appointment_id = str(bookings[0].appointment.id)

    def make_room(self, client: httpx.Client) -> Answer:
        """Behind the first hour."""
        if self.way == "a leave ends":
            return client.delete(f"/doctors/{self.doctor.id}/leaves/{self.leave_id}")
        return client.post(f"/appointments/{self.appointment_id}/cancel")

    def search(self, client: httpx.Client, limit: int = 1) -> Answer:
        """Small enough that one batch isn't all."""
        span = {"from": tomorrow(8).isoformat(), "to": tomorrow(20).isoformat()}
        wanted = {**span, "visit_type_id": self.kind, "limit": limit}
        answer = client.get(f"/doctors/{self.doctor.id}/slots", params=wanted)
        assert answer.status_code == 200, answer.text
        return answer

    def offered(self, client: httpx.Client) -> list[str]:
        """When the visit can start, as a search says now."""
        return [slot["start"] for slot in self.search(client, limit=100).json()["items"]]

    @property
    def room(self) -> list[str]:
        """When it can start once there is room."""
        return [slot.start.isoformat().replace("+00:00", "Z") for slot in self.slots[:2]]


@pytest.fixture(params=["a seat is given back", "a leave ends"])
def day(run: Run[Any], db: Db, patient: Person, admin: Person, request: pytest.FixtureRequest) -> DayOfGaps:
    """The day, and how it gets room."""
    clinic = small_clinic(run, time_zone="UTC")
    doctor = factories.make_doctor(run, clinic, weekly_hours=hours_at(clinic, "08:00", "20:00"))
    run(reconcile(doctor.object_id))
    kind = NewVisitType(names={"en": "Two hours"}, minutes=120)
    type_id = str(run(create_visit_type(clinic.clinic_id, kind)).visit_type_id)
    mine = {"doctor_id": doctor.object_id, "is_active": True, "start": {"$gte": tomorrow(8)}}
    slots = run(Slot.find(mine).sort("start").to_list())
    assert len(slots) == 12
    return DayOfGaps(run, db, patient, admin, doctor, clinic, type_id, request.param, slots)


def test_room_made_during_a_marking_search_is_found(
    api: httpx.Client, day: DayOfGaps, first_wired: Wired, second_wired: Wired
) -> None:
    here, there = first_wired.client(day.admin), second_wired.client(day.admin)
    marked = 0
    for pause in every_pause(first_wired.wire):
        day.fill()
        doing = in_background(day.search, here)
        reaches(pause, doing)
        assert day.make_room(there).is_success
        pause.release()
        doing.result(30)
        assert day.offered(api) == day.room, f"stopped before {pause.command}"
        marked += bool(pause.command and "known_longest" in str(pause.command.documents))
    assert marked, "the search did mark"


def test_a_search_while_room_is_made_hides_nothing(
    api: httpx.Client, day: DayOfGaps, first_wired: Wired, second_wired: Wired
) -> None:
    here, there = first_wired.client(day.admin), second_wired.client(day.admin)
    for pause in every_pause(first_wired.wire):
        day.fill()
        doing = in_background(day.make_room, here)
        reaches(pause, doing)
        day.search(there)

        pause.release()
        assert doing.result(30).is_success
        assert day.offered(api) == day.room, f"stopped before {pause.command}"
