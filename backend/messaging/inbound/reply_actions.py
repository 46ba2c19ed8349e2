"""Finds the appointment a reply is about, makes the transition it asks for, and returns the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Language, User
from backend.appointments import repository as appointments
from backend.appointments import transitions
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import InvalidTransition, TooEarly, TooLate, confirm_opens
from backend.appointments.permissions import Actor
from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.directory.repository import find_clinic
from backend.messaging.content.content import appointment_details, language_of
from backend.messaging.content.templates import AppointmentDetails, render_answer, render_choices
from backend.messaging.content.texts import AnswerText
from backend.messaging.documents import CallReason, SmsStatus
from backend.messaging.inbound import repository
from backend.messaging.inbound.parse_reply import Reply, ReplyKind, code_of
from backend.messaging.outbox import delivery_state

_MAX_TRIES = 3

_STILL_ANSWERED = timedelta(days=2)
"""For so long after its start a reply may be about an appointment: the answer says that it is too late."""

_CLOCK_SKEW = timedelta(minutes=1)
"""How far the clocks of our machines may differ."""


@dataclass(frozen=True, slots=True)
class ReplyResult:
    """The answer to a reply, the appointment it was about, whether it was changed, and why the staff should call."""

    text: str
    appointment: Appointment | None = None
    is_changed: bool = False
    call_reason: CallReason | None = None

    def log_fields(self, user: User | None) -> dict[str, Any]:
        """Returns what the log says about the patient and the appointment."""
        fields: dict[str, Any] = {}
        if user and user.patient:
            fields |= {"user_id": user.user_id, "patient_id": user.user_id, "patient_name": user.name}
        if self.appointment:
            fields |= {
                "appointment_id": self.appointment.appointment_id,
                **{field: getattr(self.appointment, field) for field in _LOGGED_FIELDS},
            }
        return fields


_LOGGED_FIELDS = ("clinic_id", "clinic_name", "doctor_id", "doctor_name", "time_zone", "start")


@dataclass(frozen=True, slots=True)
class Question:
    """An appointment the patient was reminded of, and the reminder. The last reminder asks to confirm."""

    appointment: Appointment
    reminder: Mapping[str, Any]


async def act_on_reply(user: User, reply: Reply, *, received_at: datetime) -> ReplyResult:
    """Does what a patient's reply asks for.

    It is about the appointment of the last reminder, or the one whose code it gives. If several are open, the answer
    asks which one.
    """
    open_ones = await appointments.find_open_of_patient(user.user_id)
    questions = await _find_questions(user, received_at)
    if reply.kind is ReplyKind.UNKNOWN:
        asked_about = [question.appointment for question in questions]
        return await _answer_unknown(user, [each for each in asked_about if _is_open(each)], open_ones)
    if reply.code:
        return await _act_on_code(user, reply, questions, open_ones)
    return await _act_on_question(user, reply, questions, open_ones, received_at=received_at)


async def find_unanswered(user: User, *, received_at: datetime) -> Appointment | None:
    """Returns the appointment the patient was last reminded of, if it lies ahead and isn't confirmed."""
    asked_about = [question.appointment for question in await _find_questions(user, received_at)]
    return next((a for a in asked_about if _is_open(a) and a.status is Status.SCHEDULED), None)


async def answer_opt_in(user: User) -> ReplyResult:
    """Returns the answer to a patient who opts in again."""
    return await _answer_without_appointment(user, AnswerText.OPTED_IN, [])


async def _find_questions(user: User, received_at: datetime) -> list[Question]:
    """Returns the reminders the patient had got on this phone when the reply came, the last one first.

    They were sent, or may have been, and are about appointments that lie ahead or began lately.
    """
    reminders = await repository.find_reminders(
        user.user_id,
        user.phone,
        starting_after=received_at - _STILL_ANSWERED,
        created_by=received_at + _CLOCK_SKEW,
    )
    last: dict[PydanticObjectId, Mapping[str, Any]] = {}
    for reminder in reminders:
        last.setdefault(reminder["appointment_id"], reminder)
    found = {each.appointment_id: each for each in await appointments.find_by_ids(list(last))}
    # Nobody can answer a question about the time before the appointment was rescheduled.
    return [
        Question(found[id_], reminder)
        for id_, reminder in last.items()
        if found[id_].reschedule_count == reminder["reschedule_count"]
    ]


async def _act_on_code(
    user: User, reply: Reply, questions: Sequence[Question], open_ones: Sequence[Appointment]
) -> ReplyResult:
    recent = await appointments.find_of_patient_since(user.user_id, utc_now() - _STILL_ANSWERED)
    with_code = [each for each in recent if code_of(each.appointment_id) == reply.code]
    meant = [each for each in with_code if _is_open(each)] or with_code
    if not meant:
        return await _answer_without_appointment(user, AnswerText.NO_SUCH_CODE, open_ones)
    if len(meant) > 1:  # two appointments share the code: rare, and nothing to guess about
        return await _ask_which(user, meant)
    return await _act_on_appointment(
        user, reply, await _as_asked(meant[0], questions), has_others=len(open_ones) > 1
    )


async def _act_on_question(
    user: User,
    reply: Reply,
    questions: Sequence[Question],
    open_ones: Sequence[Appointment],
    *,
    received_at: datetime,
) -> ReplyResult:
    asked_about = [question.appointment for question in questions]
    meant = [each for each in asked_about if _is_open(each)]
    if len(meant) > 1:
        return await _ask_which(user, meant)
    # If an appointment lies ahead, the reply isn't about one that is over.
    meant = meant or [
        each for each in asked_about if not _is_over(each, received_at, has_others=bool(open_ones))
    ]
    if meant:
        return await _act_on_appointment(
            user, reply, await _as_asked(meant[0], questions), has_others=len(open_ones) > 1
        )
    if open_ones:
        return await _ask_which(user, open_ones)
    return await _answer_without_appointment(user, AnswerText.NOTHING_OPEN, asked_about)


async def _as_asked(appointment: Appointment, questions: Sequence[Question]) -> Appointment:
    """Returns the appointment. A patient who replies has got the question, even if the carrier didn't confirm it."""
    for question in questions:
        reminder = question.reminder
        is_about_it = question.appointment.appointment_id == appointment.appointment_id
        is_known_sent = reminder["status"] in (SmsStatus.SENT, SmsStatus.DELIVERED)
        if is_about_it and reminder["requests_confirmation"] and not is_known_sent:
            await delivery_state.mark_sent(reminder, sid=None, status=SmsStatus.SENT)
            return await appointments.reload(appointment)
    return appointment


async def _act_on_appointment(
    user: User, reply: Reply, appointment: Appointment, *, has_others: bool
) -> ReplyResult:
    """Makes the transition as the patient. If somebody else changes the appointment meanwhile, tries again."""
    for _ in range(_MAX_TRIES):
        try:
            answer, is_changed = await _make_transition(user, reply, appointment)
        except AppointmentChanged:
            again = await appointments.reload(appointment)
            if again.reschedule_count != appointment.reschedule_count and _is_open(again):
                return await _ask_which(user, [again])  # the patient wasn't asked about the new time
            appointment = again
        else:
            details = await _details(user, appointment, has_others=has_others)
            text = render_answer(answer, await _language(user, appointment), details)
            return ReplyResult(text, appointment, is_changed=is_changed)
    text = render_answer(AnswerText.TRY_AGAIN, await _language(user, appointment))
    return ReplyResult(text, appointment)


async def _make_transition(user: User, reply: Reply, appointment: Appointment) -> tuple[AnswerText, bool]:
    """Returns the answer, and whether the appointment was changed. Raises `AppointmentChanged`."""
    if answer := _answer_without_transition(reply, appointment):
        return answer, False
    try:
        if reply.kind is ReplyKind.CONFIRM:
            await transitions.confirm(appointment, Actor.of(user))
            return AnswerText.CONFIRMED, True
        await transitions.cancel(appointment, Actor.of(user), reason="by SMS")
        return AnswerText.CANCELLED, True
    except TooEarly:
        return AnswerText.TOO_EARLY, False
    except (TooLate, InvalidTransition):
        return AnswerText.TOO_LATE, False


def _answer_without_transition(reply: Reply, appointment: Appointment) -> AnswerText | None:
    """Returns the answer if what the patient asks for is done already, or no longer possible."""
    match appointment.status:
        case Status.CANCELLED:
            return AnswerText.ALREADY_CANCELLED
        case Status.CHECKED_IN | Status.COMPLETED:
            return AnswerText.ALREADY_HERE
        case Status.NO_SHOW:
            return AnswerText.TOO_LATE
        case Status.CONFIRMED if reply.kind is ReplyKind.CONFIRM and _is_open(appointment):
            return AnswerText.ALREADY_CONFIRMED
    return None


async def _ask_which(user: User, choices: Sequence[Appointment]) -> ReplyResult:
    """Asks which appointment the patient means."""
    details = [await _details(user, each, has_others=True) for each in choices]
    return ReplyResult(render_choices(await _language(user, choices[0]), details))


async def _answer_unknown(
    user: User, asked_about: Sequence[Appointment], open_ones: Sequence[Appointment]
) -> ReplyResult:
    """Answers a reply that we don't understand."""
    possible = asked_about or open_ones
    if not possible:
        return await _answer_without_appointment(user, AnswerText.NOTHING_OPEN, [])
    if len(possible) > 1:
        return await _ask_which(user, possible)
    (only,) = possible
    # Without a reminder before it, a bare "1" would get the question which one. So the answer gives the code.
    details = await _details(user, only, has_others=len(open_ones) > 1 or not asked_about)
    text = render_answer(AnswerText.NOT_UNDERSTOOD, await _language(user, only), details)
    return ReplyResult(text, only)


async def _answer_without_appointment(
    user: User, answer: AnswerText, known: Sequence[Appointment]
) -> ReplyResult:
    """Answers about no appointment, with the phone and language of the patient's last clinic."""
    last = known[0] if known else await appointments.find_last_of_patient(user.user_id)
    clinic = await _clinic(last) if last else None
    language = language_of({"language": user.language}, clinic)
    return ReplyResult(render_answer(answer, language, phone=clinic.phone if clinic else None))


def _is_open(appointment: Appointment) -> bool:
    """Returns whether the patient can still confirm or cancel it."""
    return appointment.status in appointments.OPEN and appointment.start > utc_now()


def _is_over(appointment: Appointment, at: datetime, *, has_others: bool) -> bool:
    """Returns whether no reply is about it any more: it is completed, or it ended and the patient has others."""
    return appointment.status is Status.COMPLETED or (has_others and appointment.end <= at)


async def _details(user: User, appointment: Appointment, *, has_others: bool) -> AppointmentDetails:
    clinic = await _clinic(appointment)
    return appointment_details(
        {**appointment.model_dump(), "_id": appointment.id},
        clinic,
        user.phone or "",
        has_others=has_others,
        opens=confirm_opens(appointment, clinic.rules),
    )


async def _language(user: User, appointment: Appointment) -> Language:
    return language_of({"language": user.language}, await _clinic(appointment))


async def _clinic(appointment: Appointment) -> Clinic:
    clinic = await find_clinic(appointment.clinic_id)
    assert clinic is not None  # noqa: S101 - clinics are never deleted
    return clinic
