"""Which appointment a reply means, what it does with it, and how that is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.accounts.documents import Language, User
from backend.appointments import transitions
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import InvalidTransition, TooEarly, TooLate, confirm_opens
from backend.appointments.permissions import Actor
from backend.directory.documents import Clinic
from backend.messaging.content.content import language_of, message_details
from backend.messaging.content.templates import MessageDetails, answer, several_open
from backend.messaging.content.texts import ReplyText
from backend.messaging.documents import CallReason
from backend.messaging.inbound.parse_reply import Reply, ReplyKind, code_of
from backend.messaging.inbound.questions import (
    Question,
    as_answered,
    is_open,
    is_over,
    of_late,
    open_to_come,
    questions_of,
    read_again,
)

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer's text, the appointment that was meant, and whether the reply has changed it."""

    text: str
    appointment: Appointment | None = None
    is_done: bool = False
    call_reason: CallReason | None = None

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
    open_ones = await open_to_come(user)
    questions = await questions_of(user, at)
    if reply.kind is ReplyKind.UNKNOWN:
        asked_about = [question.appointment for question in questions]
        return await _not_understood(user, [each for each in asked_about if is_open(each)], open_ones)
    if reply.code:
        return await _act_on_code(user, reply, questions, open_ones)
    return await _act_on_question(user, reply, questions, open_ones, at=at)


async def _act_on_code(
    user: User, reply: Reply, questions: Sequence[Question], open_ones: Sequence[Appointment]
) -> Answered:
    alike = [each for each in await of_late(user) if code_of(each.appointment_id) == reply.code]
    named = [each for each in alike if is_open(each)] or alike
    if not named:
        return await _without_appointment(user, ReplyText.NO_SUCH_CODE, open_ones)
    if len(named) > 1:  # two codes alike: rare, and nothing to guess about
        return await _which(user, named)
    return await _do(user, reply, await as_answered(named[0], questions), has_others=len(open_ones) > 1)


async def _act_on_question(
    user: User,
    reply: Reply,
    questions: Sequence[Question],
    open_ones: Sequence[Appointment],
    *,
    at: datetime,
) -> Answered:
    asked_about = [question.appointment for question in questions]
    meant = [each for each in asked_about if is_open(each)]
    if len(meant) > 1:
        return await _which(user, meant)
    # What is over is not what the reply is about if something lies ahead.
    meant = meant or [each for each in asked_about if not is_over(each, at=at, has_others=bool(open_ones))]
    if meant:
        return await _do(user, reply, await as_answered(meant[0], questions), has_others=len(open_ones) > 1)
    if open_ones:
        return await _which(user, open_ones)
    return await _without_appointment(user, ReplyText.NOTHING_OPEN, asked_about)


async def _do(user: User, reply: Reply, appointment: Appointment, *, has_others: bool) -> Answered:
    """Takes the step, as the patient. Of two who change it at once the other may be first: then once more."""
    for _ in range(_ATTEMPTS):
        try:
            said, is_done = await _try(user, reply, appointment)
        except AppointmentChanged:
            again = await read_again(appointment)
            if again.reschedule_count != appointment.reschedule_count and is_open(again):
                return await _which(user, [again])  # nobody has been asked about the new time
            appointment = again
        else:
            facts = await _facts(user, appointment, has_others=has_others)
            text = answer(said, await _language(user, appointment), facts)
            return Answered(text, appointment, is_done=is_done)
    return Answered(answer(ReplyText.TRY_AGAIN, await _language(user, appointment)), appointment)


async def _try(user: User, reply: Reply, appointment: Appointment) -> tuple[ReplyText, bool]:
    """What there is to say, and whether the step was taken. Raises `AppointmentChanged`."""
    if said := _already(reply, appointment):
        return said, False
    try:
        if reply.kind is ReplyKind.CONFIRM:
            await transitions.confirm(appointment, Actor.of(user))
            return ReplyText.CONFIRMED, True
        await transitions.cancel(appointment, Actor.of(user), reason="by SMS")
        return ReplyText.CANCELLED, True
    except TooEarly:
        return ReplyText.TOO_EARLY, False
    except (TooLate, InvalidTransition):
        return ReplyText.TOO_LATE, False


def _already(reply: Reply, appointment: Appointment) -> ReplyText | None:
    """What there is to say if the reply asks for what is so already, or for what can't be any more."""
    match appointment.status:
        case Status.CANCELLED:
            return ReplyText.ALREADY_CANCELLED
        case Status.CHECKED_IN | Status.COMPLETED:
            return ReplyText.ALREADY_HERE
        case Status.NO_SHOW:
            return ReplyText.TOO_LATE
        case Status.CONFIRMED if reply.kind is ReplyKind.CONFIRM and is_open(appointment):
            return ReplyText.ALREADY_CONFIRMED
    return None


async def _which(user: User, appointments: Sequence[Appointment]) -> Answered:
    facts = [await _facts(user, each, has_others=True) for each in appointments]
    return Answered(several_open(await _language(user, appointments[0]), facts))


async def _not_understood(
    user: User, asked_about: Sequence[Appointment], open_ones: Sequence[Appointment]
) -> Answered:
    appointments = asked_about or open_ones
    if not appointments:
        return await _without_appointment(user, ReplyText.NOTHING_OPEN, [])
    if len(appointments) > 1:
        return await _which(user, appointments)
    (only,) = appointments
    # Without a question before, a mere "1" would have to be asked back: so its code is told.
    facts = await _facts(user, only, has_others=len(open_ones) > 1 or not asked_about)
    return Answered(answer(ReplyText.NOT_UNDERSTOOD, await _language(user, only), facts), only)


async def _without_appointment(user: User, what: ReplyText, known: Sequence[Appointment]) -> Answered:
    """An answer about none, in the name of the clinic that the patient last had to do with."""
    last = known[0] if known else await _last(user)
    clinic = await _clinic(last) if last else None
    language = language_of({"language": user.language}, clinic)
    return Answered(answer(what, language, phone=clinic.phone if clinic else None))


async def _last(user: User) -> Appointment | None:
    found = await Appointment.find({"patient_id": user.user_id}).sort("-start", "-_id").limit(1).to_list()
    return found[0] if found else None


async def opted_in(user: User) -> Answered:
    """The answer to whoever wants to get messages again."""
    return await _without_appointment(user, ReplyText.OPTED_IN, [])


async def _facts(user: User, appointment: Appointment, *, has_others: bool) -> MessageDetails:
    clinic = await _clinic(appointment)
    row = {**appointment.model_dump(), "_id": appointment.id}
    return message_details(
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
