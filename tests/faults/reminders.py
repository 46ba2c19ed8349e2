"""Appointments whose reminders are due at once, and what must have become of them."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from backend.accounts import users
from backend.accounts.documents import Role, User
from backend.appointments.booking import book
from backend.core import clock
from backend.core.clock import EPOCH, utc_now
from backend.scheduling.availability import MOST_CAPACITY
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.emulator.client import Carrier
from tests.factories import Person, Run

Db = Database[dict[str, Any]]

_DAY = timedelta(days=1)
_AUTO_CANCEL = timedelta(minutes=15)


@dataclass(frozen=True)
class Patient:
    """Somebody who is to be reminded."""

    id: Any
    phone: str


def make_due(run: Run[Any], db: Db, count: int, *, first: int = 0) -> list[Patient]:
    """Appointments of so many patients, booked yesterday, for which a reminder is due now.

    They begin in two and a half hours, by day at their clinic. The patients' numbers begin with `first`.
    """
    now = utc_now()
    start = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) + timedelta(minutes=150)
    clinic = factories.make_clinic(run, time_zone=_zone_of_morning(now))
    users: list[User] = []
    for begin in range(first, first + count, MOST_CAPACITY):
        doctor = factories.make_doctor(run, clinic, weekly_hours=[])
        numbers = range(begin, min(first + count, begin + MOST_CAPACITY))
        users += run(_book_all(doctor, clinic.clinic_id, start, numbers))
    # What they owed for having been booked was sent then.
    db["appointments"].update_many(
        {"pending_messages.pending_since": {"$gt": EPOCH}}, {"$set": {"pending_messages": []}}
    )
    own = {link["user_id"]: link["patient_id"] for link in db["patient_links"].find({}, hint=[("_id", 1)])}
    return [Patient(own[user.user_id], user.phone or "") for user in users]


def _zone_of_morning(now: datetime) -> str:
    """Where it is between ten and eleven."""
    hours = 10 - now.hour
    return f"Etc/GMT{-(hours if hours >= -12 else hours + 24):+d}"


async def _book_all(doctor: Person, clinic_id: Any, start: datetime, numbers: range) -> list[User]:
    slot = await create_slot(
        doctor_id=doctor.object_id, clinic_id=clinic_id, start=start, minutes=30, capacity=MOST_CAPACITY
    )
    assert slot.id is not None
    users = await asyncio.gather(*(_patient(number) for number in numbers))
    with clock.shifted(-_DAY):
        for user in users:
            await book.book(user, book.BookingRequest(slot_id=slot.id))
    return users


async def _patient(number: int) -> User:
    return await users.create_user(
        User(
            name=f"Patient {number:05}",
            role=Role.PATIENT,
            email=f"reminded.{number}@example.com",
            phone=f"+1212555{number:04}",
            password_hash=factories.PASSWORD_HASH,
        )
    )


def undecided(db: Db) -> int:
    """How many reminders and messages have not come to their end with us."""
    due = {"$gt": EPOCH, "$lte": utc_now()}
    return int(
        db["sms_logs"].count_documents({"status": {"$in": ["queued", "sending", "unknown"]}})
        + db["appointments"].count_documents({"pending_messages.pending_since": {"$gt": EPOCH}})
        + db["appointments"].count_documents({"remind_at": due})
    )


def check_reminded_once(
    db: Db, carrier: Carrier, patients: list[Patient], opted_out: list[Patient] | None = None
) -> None:
    """Raises `AssertionError` unless each of them got one reminder, and those who have opted out got none."""
    got = Counter(message["to"] for message in carrier.messages())
    sids = {message["to"]: message["sid"] for message in carrier.messages()}
    away = {patient.phone for patient in opted_out or []}
    wrong = {
        patient.phone: got[patient.phone] for patient in patients if got[patient.phone] != (patient.phone not in away)
    }
    assert not wrong, "\n".join(_story(db, carrier, phone) for phone in wrong)
    assert sum(got.values()) == len(patients) - len(away)
    logs = {row["patient_id"]: row for row in db["sms_logs"].find({}, hint=[("_id", 1)])}
    assert db["sms_logs"].count_documents({}, hint=[("_id", 1)]) == len(patients)
    rows = {row["patient_id"]: row for row in db["appointments"].find({"start": {"$gt": EPOCH}})}
    for patient in patients:
        log, row = logs[patient.id], rows[patient.id]
        assert (log["kind"], row["pending_messages"], row.get("remind_at")) == ("reminder", [], None)
        if patient.phone in away:
            _check_opted_out(db, patient, log, row)
        else:
            assert log["status"] in ("sent", "delivered"), log["status"]
            assert log["twilio_sid"] == sids[patient.phone]
            assert row["auto_cancel_at"] == row["start"] - _AUTO_CANCEL
            assert row["confirmation_requested_at"] >= log["created_at"]
            assert not log.keys() & {"not_before", "claimed_until", "reconcile_at", "call_list"}
    assert carrier.violations() == []


def _story(db: Db, carrier: Carrier, phone: str) -> str:
    """What became of somebody's reminders, for whoever has to find out why."""
    fields = (
        "status",
        "attempts",
        "occurrence",
        "attempt_id",
        "twilio_sid",
        "created_at",
        "sending_at",
        "sent_at",
    )
    logs = [{name: str(row.get(name)) for name in fields} for row in db["sms_logs"].find({"phone": phone})]
    taken = [(each["sid"], each["date_created"], each["status"]) for each in carrier.messages(to=phone)]
    return f"{phone}: taken {taken}; logs {logs}"


def _check_opted_out(db: Db, patient: Patient, log: dict[str, Any], row: dict[str, Any]) -> None:
    if log["status"] == "failed":
        assert log["error_code"] == 21610
        assert row["confirmation_undelivered"]
    else:  # a process heard the refusal, noted it of the patient, and died before it noted it of the message
        assert (log["status"], log["skip_reason"]) == ("skipped", "opted out")
    assert log["call_list"]["reason"] == "opted_out"
    assert log["call_list"]["is_open"]
    assert "auto_cancel_at" not in row
    number = db["phone_numbers"].find_one({"_id": patient.phone})
    assert number
    assert number["opted_out_by"] == "21610"
