"""Patients with appointments in every state in which a reply may meet them."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments import transitions
from backend.appointments.booking import book, reschedule
from backend.appointments.booking.book import BookingRequest
from backend.appointments.documents import Appointment
from backend.appointments.permissions import Actor
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.core.http.pagination import PageRequest
from backend.directory.documents import Clinic
from backend.messaging import message_lists
from backend.messaging.inbound.parse_reply import code_of
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.factories import Person, Run
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, Db, new_phone

THREE = NOON + 3 * HOUR
"""Three in New York, on Monday. Patients are asked about it at noon."""


@dataclass
class Desk:
    """A clinic with a doctor, who has a phone, and a nurse. Patients are booked the day before."""

    network: Network
    db: Db
    clinic: Clinic
    doctor: Person
    nurse: Person

    @property
    def run(self) -> Run[Any]:
        """Runs a coroutine on the server's loop."""
        return self.network.run

    @classmethod
    def open(cls, network: Network, db: Db, **over: Any) -> "Desk":
        """A clinic in New York, with any field changed."""
        with clock.stopped(NOON - DAY):
            clinic = factories.make_clinic(network.run, **{"name": "Elm Clinic", "phone": "+12125550100", **over})
            doctor = factories.make_doctor(network.run, clinic, name="Dr. Ada Vance", weekly_hours=[])
            return cls(network, db, clinic, doctor, factories.make_nurse(network.run, clinic))

    def patient(self, **over: Any) -> User:
        """Somebody in New York, with any field changed; `language` too."""
        fields = {name: over.pop(name) for name in ("language",) if name in over}
        given = {"phone": new_phone(), **over}
        with clock.stopped(NOON - DAY):
            person = factories.make_user(self.run, Role.PATIENT, **given)
        if fields:
            self.change(person.user, **fields)
        return self.user(person.user)

    def change(self, user: User, **fields: Any) -> None:
        """Writes fields of the patient who owns an account; a phone of the account too."""
        if "phone" in fields:
            self.db["users"].update_one({"_id": user.id}, {"$set": {"phone": fields["phone"]}})
        self.db["patients"].update_one({"_id": self.patient_id(user)}, {"$set": fields})

    def patient_id(self, user: User) -> PydanticObjectId | None:
        """The id of the patient who owns an account, None for staff."""
        link = self.db["patient_links"].find_one({"user_id": user.id, "relation": "self"})
        return link["patient_id"] if link else None

    def user(self, user: User) -> User:
        """As stored now."""
        return self._do(User.get(user.id))

    def has_opted_out(self, phone: str | None) -> bool:
        """Whether a number gets no messages."""
        return self.db["phone_numbers"].count_documents({"_id": phone, "opted_out_at": {"$ne": None}}) > 0

    def opt_out(self, phone: str | None) -> None:
        """Opts a number out, by other ways than a reply."""
        update = {"$set": {"opted_out_at": NOON - DAY, "opted_out_by": "STOP"}}
        self.db["phone_numbers"].update_one({"_id": phone}, update, upsert=True)

    def book(self, user: User, start: datetime = THREE) -> Appointment:
        """Books as the patient, the day before noon."""
        return self.book_all([user], start)[0]

    def book_all(self, users: Sequence[User], start: datetime = THREE) -> list[Appointment]:
        """Books all of them into one slot."""
        with clock.stopped(NOON - DAY):
            slot_id = self.slot(start, capacity=len(users))
            return self._do(_book_all(users, slot_id))

    def slot(self, start: datetime, capacity: int = 1) -> PydanticObjectId:
        """A free slot of half an hour; its id."""
        made = create_slot(
            doctor_id=self.doctor.object_id,
            clinic_id=self.clinic.clinic_id,
            start=start,
            minutes=30,
            capacity=capacity,
        )
        slot_id: PydanticObjectId = self._do(made).id
        return slot_id

    def ask(self, at: datetime = NOON) -> None:
        """Sends all reminders that are due."""
        with clock.stopped(at):
            self._do(enqueue_due_reminders())
            self.send()

    def send(self) -> None:
        """Sends what is owed or queued, now."""
        self.network.send()

    def staff(self, step: str, appointment: Appointment, at: datetime = NOON + MINUTE, **more: Any) -> None:
        """The nurse or, for what only the doctor does, the doctor takes a step."""
        actor = Actor.of((self.doctor if step == "complete" else self.nurse).user)
        with clock.stopped(at):
            self._do(getattr(transitions, step)(self.again(appointment), actor, **more))

    def move(self, appointment: Appointment, to: datetime, at: datetime = NOON + MINUTE) -> None:
        """The nurse moves it."""
        with clock.stopped(at):
            self._do(reschedule.reschedule(self.again(appointment), self.nurse.user, to=self.slot(to)))

    def again(self, appointment: Appointment) -> Appointment:
        """As stored now."""
        return self._do(Appointment.get(appointment.id))

    def reminder(self, appointment: Appointment) -> dict[str, Any]:
        """The last reminder of it, as stored."""
        newest = [("created_at", -1), ("_id", -1)]
        found = self.db["sms_logs"].find_one({"appointment_id": appointment.id, "kind": "reminder"}, sort=newest)
        assert found is not None
        return found

    def list_(self, viewer: Person | None = None) -> list[tuple[str, str | None]]:
        """The staff's list, as the nurse of the clinic sees it: the trouble and the appointment's id."""
        page = self._do(message_lists.list_calls((viewer or self.nurse).user, PageRequest(limit=50)))
        return [(entry.reason.value, entry.appointment_id) for entry in page.items]

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.run(work)


async def _book_all(users: Sequence[User], slot_id: PydanticObjectId) -> list[Appointment]:
    booked = [book.book(user, BookingRequest(slot_id=slot_id)) for user in users]
    return [each.appointment for each in await asyncio.gather(*booked)]


def code(appointment: Appointment) -> str:
    """What names it in a reply."""
    return code_of(appointment.appointment_id)
