"""What the tests of reminders and dispatch share: a clinic whose timed work is done when a test says so."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from bson import ObjectId
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.core.settings import settings
from backend.directory.documents import Clinic
from backend.messaging.twilio.carrier import SMS_PATH, STATUS_PATH, signing_key
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.appointments.support import done, visiting
from tests.emulator.webhooks import signature
from tests.factories import Person, Run
from tests.messaging.network import Network

Row = dict[str, Any]
Db = Database[Row]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

TWO = datetime(2030, 6, 4, 18, tzinfo=UTC)
"""Tuesday, 14:00 in New York: when visits are, for which a test names no other time."""

_number = count(1)


def new_phone() -> str:
    """A number in New York that is not fictional."""
    return f"+1212556{next(_number):04}"


@dataclass
class Office:
    """A clinic, a doctor and the network; the clock goes where a test sends it. Moments are UTC."""

    network: Network
    db: Db
    clinic: Clinic
    doctor: Person

    @property
    def run(self) -> Run[Any]:
        """Runs a coroutine on the server's loop."""
        return self.network.run

    def patient(self, **over: Any) -> Person:
        """A patient with a phone of the real world."""
        return factories.make_user(self.run, Role.PATIENT, **{"phone": new_phone(), **over})

    def slot_id(self, start: datetime, *, capacity: int = 1, doctor: Person | None = None) -> str:
        """A new slot of half an hour."""
        slot = self.run(
            create_slot(
                doctor_id=(doctor or self.doctor).object_id,
                clinic_id=self.clinic.clinic_id,
                start=start,
                minutes=30,
                capacity=capacity,
            )
        )
        return str(slot.id)

    def book(self, patient: Person, start: datetime = TWO, *, at: datetime | None = None, **body: Any) -> Row:
        """Books a visit in a new slot, as the patient."""
        return self.book_seat(patient, self.slot_id(start), at=at, **body)

    def book_seat(self, patient: Person, slot_id: str, *, at: datetime | None = None, **body: Any) -> Row:
        """Books a seat of a slot, as the patient."""
        with visiting(self.run, patient, at or clock.utc_now()) as client:
            return done(client.post("/appointments", json={"slot_id": slot_id, **body}), 201)

    def do(self, who: Person, appointment: Row, step: str, at: datetime, **body: Any) -> Row:
        """Takes a step of an appointment, which must be allowed."""
        with visiting(self.run, who, at) as client:
            return done(client.post(f"/appointments/{appointment['id']}/{step}", json=body))

    def owe(self, at: datetime) -> None:
        """The job that owes reminders, at a moment."""
        with clock.stopped(at):
            self.run(enqueue_due_reminders())

    def send(self, at: datetime) -> int:
        """Sends what is owed at a moment; answers how many messages were posted."""
        with clock.stopped(at):
            return self.network.send()

    def minute(self, at: datetime) -> None:
        """All that a process does in a minute, beginning with what is owed already."""
        self.send(at)
        with clock.stopped(at):
            for job in (enqueue_due_reminders, cancel_unconfirmed, mark_no_shows):
                self.run(job())
        self.send(at)

    def cancel_at_once(self, at: datetime, times: int = 8) -> int:
        """The job that cancels the silent, several times at once; answers how many it has cancelled."""

        async def together() -> int:
            return sum(await asyncio.gather(*(cancel_unconfirmed() for _ in range(times))))

        with clock.stopped(at):
            cancelled: int = self.run(together())
        return cancelled

    def logs(self, appointment: Row, kind: str | None = None) -> list[Row]:
        """What was written to the log about an appointment, oldest first."""
        about = {"appointment_id": ObjectId(appointment["id"]), **({"kind": kind} if kind else {})}
        return list(self.db["sms_logs"].find(about, sort=[("created_at", 1), ("_id", 1)]))

    def log(self, appointment: Row, kind: str) -> Row:
        """The one message of a kind to the patient."""
        (found,) = (row for row in self.logs(appointment, kind) if row.get("recipient") == "patient")
        return found

    def stored(self, appointment: Row) -> Row:
        """The appointment as the database has it."""
        found = self.db["appointments"].find_one({"_id": ObjectId(appointment["id"])})
        assert found is not None
        return found

    def reply(self, patient: Person, body: str, at: datetime) -> str:
        """A patient's SMS, signed; answers with the TwiML."""
        given = {"MessageSid": f"SM{next(_number):032x}", "From": patient.user.phone or "", "Body": body}
        return self._webhook(SMS_PATH, given, at).text

    def report(self, log: Row, status: str, at: datetime, error_code: int | None = None) -> None:
        """The carrier's report of a message, signed."""
        given = {"MessageSid": log["twilio_sid"], "MessageStatus": status}
        if error_code:
            given["ErrorCode"] = str(error_code)
        self._webhook(f"{STATUS_PATH}?attempt={log['attempt_id']}", given, at)

    def _webhook(self, path: str, given: dict[str, str], at: datetime) -> httpx.Response:
        form = {"AccountSid": settings.TWILIO_ACCOUNT_SID, **given}
        signed = signature(signing_key(), settings.PUBLIC_BASE_URL + path, form)
        root = factories.Server.api_url.removesuffix("/api/v1")
        with clock.stopped(at):
            answer = httpx.post(root + path, data=form, headers={"X-Twilio-Signature": signed})
        assert answer.is_success, answer.text
        return answer


def make_office(network: Network, db: Db, **clinic: Any) -> Office:
    """An office at a new clinic, with any of its fields changed."""
    place = factories.make_clinic(network.run, **clinic)
    doctor = factories.make_user(
        network.run,
        Role.DOCTOR,
        phone=new_phone(),
        name="Ada Hernandez",
        doctor=factories.doctor_profile(clinic_ids=[place.clinic_id], weekly_hours=[]),
    )
    return Office(network=network, db=db, clinic=place, doctor=doctor)
