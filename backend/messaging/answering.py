"""Which appointment a reply means, what it does with it, and how that is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Language, User
from backend.appointments import steps
from backend.appointments.actors import Actor
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import TooEarly, TooLate, WrongStatus, confirm_opens
from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.messaging import outcomes
from backend.messaging.composing import OPEN, facts_about, language_of
from backend.messaging.documents import Kind, SmsLog, SmsStatus, Trouble
from backend.messaging.replies import Reply, ReplyKind, code_of
from backend.messaging.templates import Facts, answer, several_open
from backend.messaging.texts import Answer

_LATELY = timedelta(days=2)
"""How long after its start a reply may still be about an appointment: it is told that it comes too late."""

_ATTEMPTS = 3
_SENT = (SmsStatus.SENT, SmsStatus.DELIVERED)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer's text, the appointment that was meant, and whether the reply has changed it."""

    text: str
    appointment: Appointment | None = None
    is_done: bool = False
    trouble: Trouble | None = None

    def about(self, user: User | None) -> dict[str, Any]:
        """What the log says of whom and what the reply was."""
        found: dict[str, Any] = {"user_id": user.user_id} if user and user.patient else {}
        if user and user.patient:
            found |= {"patient_id": user.user_id, "patient_name": user.name}
        if self.appointment:
            found |= {
                "appointment_id": self.appointment.appointment_id,
                "clinic_id": self.appointment.clinic_id,
                "doctor_id": self.appointment.doctor_id,
                "start": self.appointment.start,
            }
        return found


async def act(user: User, reply: Reply, *, at: datetime) -> Answered:
    """Does what a patient's reply asks for. `at` is when it came, UTC.

    It means the appointment last asked about, or the one whose code it gives. If several are open it is asked back.
    """
    open_ones = await _open_to_come(user)
    asked_about = await _asked_about(user, at)
    if reply.kind is ReplyKind.UNKNOWN:
        return await _not_understood(user, [each for each in asked_about if _is_open(each)] or open_ones)
    if reply.code:
        known = {each.appointment_id: each for each in (*open_ones, *asked_about)}
        meant = [each for each in known.values() if code_of(each.appointment_id) == reply.code]
        otherwise = Answer.NO_SUCH_CODE
    else:
        # Without a question there is nothing that "1" or "2" could answer: which one is asked back.
        meant = [each for each in asked_about if _is_open(each)] or asked_about[:1] or open_ones
        otherwise = Answer.NOTHING_OPEN
    if not meant:
        return await _without_appointment(user, otherwise, open_ones)
    if len(meant) > 1 or not (reply.code or asked_about):
        return await _which(user, meant)
    return await _do(user, reply, meant[0], has_others=len(open_ones) > 1)


async def _open_to_come(user: User) -> list[Appointment]:
    coming = {"patient_id": user.user_id, "start": {"$gt": utc_now()}, "status": {"$in": list(OPEN)}}
    return await Appointment.find(coming).sort("start", "_id").to_list()


async def _asked_about(user: User, at: datetime) -> list[Appointment]:
    """The appointments that the patient was written about with a question, the last one first.

    Those that a reminder was sent for, at this phone, and that lie ahead or have only just begun.
    """
    logs = SmsLog.get_pymongo_collection().find(
        {
            "patient_id": user.user_id,
            "kind": Kind.REMINDER,
            "status": {"$in": [*_SENT, SmsStatus.SENDING, SmsStatus.UNKNOWN]},
            "phone": user.phone,
            "start": {"$gt": at - _LATELY},
        },
        sort=[("created_at", -1), ("_id", -1)],
        limit=20,
    )
    asked: dict[PydanticObjectId, int] = {}
    async for row in logs:
        if row["status"] not in _SENT:
            await outcomes.handed_over(row, sid=None, status=SmsStatus.SENT)  # who answers it has got it
        asked.setdefault(row["appointment_id"], row["moves"])
    order = list(asked)
    found = await Appointment.find({"_id": {"$in": order}}).to_list()
    # A question about the time before a move has no answer any more.
    as_asked = [each for each in found if each.moves == asked[each.appointment_id]]
    return sorted(as_asked, key=lambda each: order.index(each.appointment_id))


def _is_open(appointment: Appointment) -> bool:
    return appointment.status in OPEN and appointment.start > utc_now()


async def _do(user: User, reply: Reply, appointment: Appointment, *, has_others: bool) -> Answered:
    """Takes the step, as the patient. Of two who change it at once the other may be first: then once more."""
    for _ in range(_ATTEMPTS):
        facts = await _facts(user, appointment, has_others=has_others)
        language = await _language(user, appointment)
        if said := _already(reply, appointment):
            return Answered(answer(said, language, facts), appointment)
        try:
            if reply.kind is ReplyKind.CONFIRM:
                await steps.confirm(appointment, Actor.of(user))
                return Answered(answer(Answer.CONFIRMED, language, facts), appointment, is_done=True)
            await steps.cancel(appointment, Actor.of(user), reason="by SMS")
            return Answered(answer(Answer.CANCELLED, language, facts), appointment, is_done=True)
        except TooEarly:
            return Answered(answer(Answer.TOO_EARLY, language, facts), appointment)
        except (TooLate, WrongStatus):
            return Answered(answer(Answer.TOO_LATE, language, facts), appointment)
        except AppointmentChanged:
            again = await Appointment.get(appointment.appointment_id)
            assert again is not None  # noqa: S101 - appointments are never deleted
            appointment = again
    return Answered(answer(Answer.TRY_AGAIN, language), appointment)


def _already(reply: Reply, appointment: Appointment) -> Answer | None:
    """What there is to say if the reply asks for what is so already, or for what can't be any more."""
    match appointment.status:
        case Status.CANCELLED:
            return Answer.ALREADY_CANCELLED
        case Status.CHECKED_IN | Status.COMPLETED:
            return Answer.ALREADY_HERE
        case Status.NO_SHOW:
            return Answer.TOO_LATE
        case Status.CONFIRMED if reply.kind is ReplyKind.CONFIRM and _is_open(appointment):
            return Answer.ALREADY_CONFIRMED
    return None


async def _which(user: User, appointments: Sequence[Appointment]) -> Answered:
    facts = [await _facts(user, each, has_others=True) for each in appointments]
    return Answered(several_open(await _language(user, appointments[0]), facts))


async def _not_understood(user: User, appointments: Sequence[Appointment]) -> Answered:
    if not appointments:
        return await _without_appointment(user, Answer.NOT_UNDERSTOOD, [])
    if len(appointments) > 1:
        return await _which(user, appointments)
    (only,) = appointments
    facts = await _facts(user, only, has_others=False)
    return Answered(answer(Answer.NOT_UNDERSTOOD, await _language(user, only), facts), only)


async def _without_appointment(user: User, what: Answer, known: Sequence[Appointment]) -> Answered:
    language = await _language(user, known[0]) if known else language_of({"language": user.language}, None)
    clinic = await Clinic.get(known[0].clinic_id) if known else None
    return Answered(answer(what, language, phone=clinic.phone if clinic else None))


async def _facts(user: User, appointment: Appointment, *, has_others: bool) -> Facts:
    clinic = await _clinic(appointment)
    row = {**appointment.model_dump(), "_id": appointment.id}
    return facts_about(
        row,
        clinic,
        user.phone or "",
        has_others=has_others,
        opens=confirm_opens(appointment, clinic.rules),
    )


async def _language(user: User, appointment: Appointment) -> Language:
    return language_of({"language": user.language}, await _clinic(appointment))


async def _clinic(appointment: Appointment) -> Clinic:
    clinic = await Clinic.get(appointment.clinic_id)
    assert clinic is not None  # noqa: S101 - clinics are never deleted
    return clinic
