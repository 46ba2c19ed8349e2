"""Finds the appointment a reply is about, makes the transition it asks for, and returns the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from backend.messaging.documents import APPOINTMENT_COPY, CallReason, SmsStatus
from backend.messaging.inbound import repository
from backend.messaging.inbound.parse_reply import Reply, ReplyKind, code_of
from backend.messaging.outbox import delivery_state

_MAX_TRIES = 3

_STILL_ANSWERED = timedelta(days=2)
"""For so long after its start a reply may be about an appointment: the answer says that it is too late."""

_NO_TRANSITION = {
    Status.CANCELLED: AnswerText.ALREADY_CANCELLED,
    Status.CHECKED_IN: AnswerText.ALREADY_HERE,
    Status.COMPLETED: AnswerText.ALREADY_HERE,
    Status.NO_SHOW: AnswerText.TOO_LATE,
}
"""The answers if what the patient asks for is done already, or no longer possible."""

_KNOWN_SENT = (SmsStatus.SENT, SmsStatus.DELIVERED)

_CLOCK_SKEW = timedelta(minutes=1)
"""How far the clocks of our machines may differ."""


@dataclass(frozen=True, slots=True)
class ReplyResult:
    """The answer to a reply, the appointment it was about, as it is now, and why the staff should call."""

    text: str
    appointment: Appointment | None = None
    call_reason: CallReason | None = None

    def log_fields(self, user: User | None) -> dict[str, Any]:
        """Returns what the log says about the user and the appointment."""
        fields: dict[str, Any] = {}
        if self.appointment:
            fields = {field: getattr(self.appointment, field) for field in APPOINTMENT_COPY}
            fields["appointment_id"] = self.appointment.id
        if user:
            fields["user_id"] = user.user_id
        if user and user.patient:
            fields |= {"patient_id": user.user_id, "patient_name": user.name}
        return fields


@dataclass(frozen=True, slots=True)
class Questions:
    """The appointments that a patient was reminded of, the last one first, and the last reminder of each."""

    appointments: Sequence[Appointment]
    reminders: Mapping[PydanticObjectId, Mapping[str, Any]]

    @property
    def open(self) -> list[Appointment]:
        """Those that the patient can still confirm or cancel."""
        return [each for each in self.appointments if _is_open(each)]


async def act_on_reply(user: User, reply: Reply, *, received_at: datetime) -> ReplyResult:
    """Does what a patient's reply asks for.

    It is about the appointment of the last reminder, or the one whose code it gives. If several are open, the answer
    asks which one.
    """
    open_ones = await appointments.find_open_of_patient(user.user_id)
    questions = await _find_questions(user, received_at)
    if reply.kind is ReplyKind.UNKNOWN:
        return await _answer_unknown(user, questions.open, open_ones)
    if reply.code:
        recent = await appointments.find_of_patient_since(user.user_id, utc_now() - _STILL_ANSWERED)
        with_code = [each for each in recent if code_of(each.appointment_id) == reply.code]
        meant = [each for each in with_code if _is_open(each)] or with_code
    else:
        past = [each for each in questions.appointments if each.status is not Status.COMPLETED]
        if open_ones:  # then the reply isn't about an appointment that is over
            past = [each for each in past if each.end > received_at]
        meant = questions.open or past[:1]
    if len(meant) > 1:  # rarely, two appointments share a code
        return await _ask_which(user, meant)
    if meant:
        appointment = await _as_asked(meant[0], questions)
        return await _act_on_appointment(user, reply, appointment, has_others=len(open_ones) > 1)
    if reply.code:
        return await _answer_without_appointment(user, AnswerText.NO_SUCH_CODE, open_ones)
    if open_ones:
        return await _ask_which(user, open_ones)
    return await _answer_without_appointment(user, AnswerText.NOTHING_OPEN, questions.appointments)


async def find_unanswered(user: User, *, received_at: datetime) -> Appointment | None:
    """Returns the appointment the patient was last reminded of, if it lies ahead and isn't confirmed."""
    questions = await _find_questions(user, received_at)
    return next((each for each in questions.open if each.status is Status.SCHEDULED), None)


async def answer_opt_in(user: User) -> ReplyResult:
    """Returns the answer to a patient who opts in again."""
    return await _answer_without_appointment(user, AnswerText.OPTED_IN, [])


async def _find_questions(user: User, received_at: datetime) -> Questions:
    """Returns the reminders the patient had got on this phone when the reply came.

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
    valid = {id_: row for id_, row in last.items() if found[id_].reschedule_count == row["reschedule_count"]}
    return Questions([found[id_] for id_ in valid], valid)


async def _as_asked(appointment: Appointment, questions: Questions) -> Appointment:
    """Returns the appointment. A patient who replies has got the question, even if the carrier didn't confirm it."""
    reminder = questions.reminders.get(appointment.appointment_id)
    if reminder is None or not reminder["requests_confirmation"] or reminder["status"] in _KNOWN_SENT:
        return appointment
    await delivery_state.mark_sent(reminder, sid=None, status=SmsStatus.SENT)
    return await appointments.reload(appointment)


async def _act_on_appointment(user: User, reply: Reply, appointment: Appointment, *, has_others: bool) -> ReplyResult:
    """Makes the transition as the patient. If somebody else changes the appointment meanwhile, tries again."""
    for _ in range(_MAX_TRIES):
        try:
            answer, changed = await _make_transition(user, reply, appointment)
        except AppointmentChanged:
            again = await appointments.reload(appointment)
            if again.reschedule_count != appointment.reschedule_count and _is_open(again):
                return await _ask_which(user, [again])  # the patient wasn't asked about the new time
            appointment = again
        else:
            return ReplyResult(await _answer(user, answer, changed, has_others=has_others), changed)
    text = render_answer(AnswerText.TRY_AGAIN, await _language(user, appointment))
    return ReplyResult(text, appointment)


async def _make_transition(user: User, reply: Reply, appointment: Appointment) -> tuple[AnswerText, Appointment]:
    """Returns the answer, and the appointment as it is then. Raises `AppointmentChanged`."""
    if answer := _NO_TRANSITION.get(appointment.status):
        return answer, appointment
    try:
        if reply.kind is ReplyKind.CANCEL:
            cancelled = await transitions.cancel(appointment, Actor.of(user), reason="by SMS")
            return AnswerText.CANCELLED, cancelled
        if appointment.status is Status.CONFIRMED and _is_open(appointment):
            return AnswerText.ALREADY_CONFIRMED, appointment
        return AnswerText.CONFIRMED, await transitions.confirm(appointment, Actor.of(user))
    except TooEarly:
        return AnswerText.TOO_EARLY, appointment
    except (TooLate, InvalidTransition):
        return AnswerText.TOO_LATE, appointment


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
    has_others = len(open_ones) > 1 or not asked_about
    return ReplyResult(await _answer(user, AnswerText.NOT_UNDERSTOOD, only, has_others=has_others), only)


async def _answer_without_appointment(user: User, answer: AnswerText, known: Sequence[Appointment]) -> ReplyResult:
    """Answers about no appointment, with the phone and language of the patient's last clinic."""
    last = known[0] if known else await appointments.find_last_of_patient(user.user_id)
    clinic = await _clinic(last) if last else None
    phone = clinic.phone if clinic else None
    return ReplyResult(render_answer(answer, language_of(user.language, clinic), phone=phone))


async def _answer(user: User, answer: AnswerText, appointment: Appointment, *, has_others: bool) -> str:
    details = await _details(user, appointment, has_others=has_others)
    return render_answer(answer, await _language(user, appointment), details)


def _is_open(appointment: Appointment) -> bool:
    """Returns whether the patient can still confirm or cancel it."""
    return appointment.status in appointments.OPEN and appointment.start > utc_now()


async def _details(user: User, appointment: Appointment, *, has_others: bool) -> AppointmentDetails:
    clinic = await _clinic(appointment)
    row = {**appointment.model_dump(), "_id": appointment.id}
    details = appointment_details(row, clinic, user.phone or "", has_others=has_others)
    return replace(details, opens=confirm_opens(appointment, clinic.rules))


async def _language(user: User, appointment: Appointment) -> Language:
    return language_of(user.language, await _clinic(appointment))


async def _clinic(appointment: Appointment) -> Clinic:
    clinic = await find_clinic(appointment.clinic_id)
    assert clinic is not None  # noqa: S101 - clinics are never deleted
    return clinic
