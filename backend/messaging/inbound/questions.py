"""What a patient is being asked: the appointments that a reply may mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments.documents import Appointment, Status
from backend.core.clock import utc_now
from backend.messaging.content.content import OPEN
from backend.messaging.documents import SmsKind, SmsLog, SmsStatus
from backend.messaging.outbox import delivery_state

_LATELY = timedelta(days=2)
"""How long after its start a reply may still be about an appointment: it is told that it comes too late."""

_SENT = (SmsStatus.SENT, SmsStatus.DELIVERED)
_SKEW = timedelta(minutes=1)
"""By how much the clocks of our machines may differ."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """An appointment that the patient was asked about, and the message that asked."""

    appointment: Appointment
    log: Row


async def open_to_come(user: User) -> list[Appointment]:
    """What the patient may still confirm or cancel, by time."""
    coming = {"patient_id": user.user_id, "start": {"$gt": utc_now()}, "status": {"$in": list(OPEN)}}
    return await Appointment.find(coming).sort("start", "_id").to_list()


async def of_late(user: User) -> list[Appointment]:
    """All that the patient may write about by code: also what was cancelled, or began of late."""
    since = {"patient_id": user.user_id, "start": {"$gt": utc_now() - _LATELY}}
    return await Appointment.find(since).sort("start", "_id").to_list()


async def questions_of(user: User, at: datetime) -> list[Question]:
    """What the patient had been asked when the reply came, the last question first.

    By reminders that were sent, or perhaps sent, to this phone, of appointments that lie ahead or began of late.
    """
    logs = SmsLog.get_pymongo_collection().find(
        {
            "patient_id": user.user_id,
            "kind": SmsKind.REMINDER,
            "status": {"$in": [*_SENT, SmsStatus.SENDING, SmsStatus.UNKNOWN]},
            "phone": user.phone,
            "start": {"$gt": at - _LATELY},
            "created_at": {"$lte": at + _SKEW},
        },
        sort=[("created_at", -1), ("_id", -1)],
        limit=20,
    )
    asked: dict[PydanticObjectId, Row] = {}
    async for row in logs:
        asked.setdefault(row["appointment_id"], row)
    found = await Appointment.find({"_id": {"$in": list(asked)}}).to_list()
    by_id = {each.appointment_id: each for each in found}
    # A question about the time before a move has no answer any more.
    return [
        Question(by_id[id_], row)
        for id_, row in asked.items()
        if by_id[id_].reschedule_count == row["reschedule_count"]
    ]


async def as_answered(appointment: Appointment, questions: Sequence[Question]) -> Appointment:
    """The appointment, asked about: who answers a question has got it, even if its outcome isn't known yet."""
    for question in questions:
        is_its = question.appointment.appointment_id == appointment.appointment_id
        if is_its and question.log["requests_confirmation"] and question.log["status"] not in _SENT:
            await delivery_state.handed_over(question.log, sid=None, status=SmsStatus.SENT)
            return await read_again(appointment)
    return appointment


async def read_again(appointment: Appointment) -> Appointment:
    """The appointment as it is now."""
    again = await Appointment.get(appointment.appointment_id)
    assert again is not None  # noqa: S101 - appointments are never deleted
    return again


def is_open(appointment: Appointment) -> bool:
    """Whether it lies ahead and was not cancelled."""
    return appointment.status in OPEN and appointment.start > utc_now()


async def waiting_for_answer(user: User, *, at: datetime) -> Appointment | None:
    """The appointment last asked about that lies ahead and that the patient has said nothing of."""
    asked_about = [question.appointment for question in await questions_of(user, at)]
    return next((a for a in asked_about if is_open(a) and a.status is Status.SCHEDULED), None)


def is_over(appointment: Appointment, *, at: datetime, has_others: bool) -> bool:
    """Whether nobody writes about it any more, `at` a moment (UTC).

    One that ended without a visit: if there are others to write about.
    """
    return appointment.status is Status.COMPLETED or (has_others and appointment.end <= at)
