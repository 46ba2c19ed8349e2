"""Finds the appointment a reply is about, makes the transition it asks for, and returns the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Language
from backend.appointments import repository as appointments
from backend.appointments import transitions
from backend.appointments.documents import ActorRole, Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import InvalidTransition, NoticeTooShort, TooEarly, TooLate, confirm_opens
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
from backend.patients.documents import Patient

Row = dict[str, Any]

_MAX_TRIES = 3

_STILL_ANSWERED = timedelta(days=2)
"""For so long after its start a reply may be about an appointment: the answer says that it is too late."""

_NO_TRANSITION = {
    Status.CANCELLED: AnswerText.ALREADY_CANCELLED,
    Status.CHECKED_IN: AnswerText.ALREADY_HERE,
    Status.COMPLETED: AnswerText.ALREADY_HERE,
    Status.NO_SHOW: AnswerText.TOO_LATE,
    Status.LEFT: AnswerText.TOO_LATE,
}
"""The answers if what the patient asks for is done already, or no longer possible."""

_KNOWN_SENT = (SmsStatus.SENT, SmsStatus.DELIVERED)

_CLOCK_SKEW = timedelta(minutes=1)
"""How far the clocks of our machines may differ."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A number from which a reply came (E.164), and the patients who are reached there: one or more."""

    phone: str
    patients: Sequence[Patient]

    @property
    def patient_ids(self) -> list[PydanticObjectId]:
        """The ids of the patients."""
        return [each.patient_id for each in self.patients]

    @property
    def only_patient(self) -> Patient | None:
        """The patient, if the number is nobody else's too."""
        return self.patients[0] if len(self.patients) == 1 else None

    def patient_of(self, appointment: Appointment) -> Patient:
        """Returns the patient of an appointment that was found for this sender."""
        return next(each for each in self.patients if each.patient_id == appointment.patient_id)

    def actor(self, appointment: Appointment) -> Actor:
        """Returns who confirms or cancels by SMS: the patient. No account is known to have done it."""
        return Actor(role=ActorRole.PATIENT, name=self.patient_of(appointment).name)


@dataclass(frozen=True, slots=True)
class ReplyResult:
    """The answer to a reply, the appointment it was about, as it is now, and why the staff should call."""

    text: str
    appointment: Appointment | None = None
    call_reason: CallReason | None = None
    is_understood: bool = True

    def log_fields(self, sender: Sender | None) -> dict[str, Any]:
        """Returns what the log says about the patient and the appointment."""
        fields: dict[str, Any] = {}
        if self.appointment:
            fields = {field: getattr(self.appointment, field) for field in APPOINTMENT_COPY}
            fields["appointment_id"] = self.appointment.id
        elif patient := sender.only_patient if sender else None:
            fields = {"patient_id": patient.patient_id, "patient_name": patient.name}
        if not self.is_understood:
            fields["not_understood"] = True
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


async def act_on_reply(sender: Sender, reply: Reply, received: Row) -> ReplyResult:
    """Does what a patient's reply asks for. `received` is the reply as it is logged.

    It is about the appointment this number was last asked about, or the one whose code it gives. If none was asked
    about, the answer asks which one.
    """
    open_ones = await appointments.find_open_of_patients(sender.patient_ids)
    questions = await _find_questions(sender, received["created_at"])
    if reply.kind is ReplyKind.UNKNOWN:
        if not (possible := questions.open or open_ones):
            return await _answer_without_appointment(sender, AnswerText.NOTHING_OPEN, [])
        asked_back = await _ask_back(sender, questions.open, open_ones)
        return await _hand_to_staff(sender, received, possible, questions, asked_back)
    meant = await _find_meant(sender, reply, questions, open_ones, received_at=received["created_at"])
    if len(meant) == 1:
        appointment = await _as_asked(meant[0], questions)
        return await _act_on_appointment(sender, reply, appointment, has_others=len(open_ones) > 1)
    if reply.code and not meant:
        answered = await _answer_without_appointment(sender, AnswerText.NO_SUCH_CODE, open_ones)
        return await _hand_to_staff(sender, received, questions.open or open_ones, questions, answered)
    if choices := meant or open_ones:
        return await _ask_which(sender, choices)
    return await _answer_without_appointment(sender, AnswerText.NOTHING_OPEN, questions.appointments)


async def _find_meant(
    sender: Sender, reply: Reply, questions: Questions, open_ones: Sequence[Appointment], *, received_at: datetime
) -> list[Appointment]:
    """Returns the appointment a reply is about; several if they share the code, none if it isn't clear."""
    if reply.code:
        recent = await appointments.find_of_patients_since(sender.patient_ids, utc_now() - _STILL_ANSWERED)
        with_code = [each for each in recent if code_of(each.appointment_id) == reply.code]
        return [each for each in with_code if _is_open(each)] or with_code
    past = [each for each in questions.appointments if each.status is not Status.COMPLETED]
    if open_ones:  # then the reply isn't about an appointment that is over
        past = [each for each in past if each.end > received_at]
    return questions.open[:1] or past[:1]


async def find_asked_about(sender: Sender, *, received_at: datetime) -> list[Appointment]:
    """Returns the open appointments the number was reminded of, the last one first."""
    return (await _find_questions(sender, received_at)).open


async def answer_opt_in(sender: Sender) -> ReplyResult:
    """Returns the answer to a patient who opts in again."""
    return await _answer_without_appointment(sender, AnswerText.OPTED_IN, [])


async def _find_questions(sender: Sender, received_at: datetime) -> Questions:
    """Returns the reminders the patient had got on this phone when the reply came.

    They were sent, or may have been, and are about appointments that lie ahead or began lately.
    """
    reminders = await repository.find_reminders(
        sender.patient_ids,
        sender.phone,
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


async def _act_on_appointment(
    sender: Sender, reply: Reply, appointment: Appointment, *, has_others: bool
) -> ReplyResult:
    """Makes the transition as the patient. If somebody else changes the appointment meanwhile, tries again."""
    for _ in range(_MAX_TRIES):
        try:
            answer, changed = await _make_transition(sender, reply, appointment)
        except AppointmentChanged:
            again = await appointments.reload(appointment)
            if again.reschedule_count != appointment.reschedule_count and _is_open(again):
                return await _ask_which(sender, [again])  # the patient wasn't asked about the new time
            appointment = again
        else:
            for reason in (CallReason.NOT_UNDERSTOOD, CallReason.LATE_CANCELLATION):
                await repository.close_calls_about_replies(
                    reason, now=utc_now(), appointment_id=changed.appointment_id
                )
            text = await _answer(sender, answer, changed, has_others=has_others)
            if answer is not AnswerText.NOTICE_OVER:
                return ReplyResult(text, changed)
            # The patient has answered: silence doesn't cancel, the staff decide.
            await appointments.mark_confirmation_undelivered(
                changed.appointment_id, reschedule_count=changed.reschedule_count
            )
            return ReplyResult(text, changed, call_reason=CallReason.LATE_CANCELLATION)
    text = render_answer(AnswerText.TRY_AGAIN, await _language(sender, appointment))
    return ReplyResult(text, appointment)


async def _make_transition(sender: Sender, reply: Reply, appointment: Appointment) -> tuple[AnswerText, Appointment]:
    """Returns the answer, and the appointment as it is then. Raises `AppointmentChanged`."""
    if answer := _NO_TRANSITION.get(appointment.status):
        return answer, appointment
    try:
        if reply.kind is ReplyKind.CANCEL:
            cancelled = await transitions.cancel(appointment, sender.actor(appointment), reason="by SMS")
            return AnswerText.CANCELLED, cancelled
        if appointment.status is Status.CONFIRMED and _is_open(appointment):
            return AnswerText.ALREADY_CONFIRMED, appointment
        return AnswerText.CONFIRMED, await transitions.confirm(appointment, sender.actor(appointment))
    except (TooEarly, NoticeTooShort) as refusal:
        return AnswerText.TOO_EARLY if isinstance(refusal, TooEarly) else AnswerText.NOTICE_OVER, appointment
    except (TooLate, InvalidTransition):
        return AnswerText.TOO_LATE, appointment


async def _ask_which(sender: Sender, choices: Sequence[Appointment]) -> ReplyResult:
    """Asks which appointment the patient means."""
    details = [await _details(sender, each, has_others=True) for each in choices]
    return ReplyResult(render_choices(await _language(sender, choices[0]), details))


async def _hand_to_staff(
    sender: Sender,
    received: Row,
    possible: Sequence[Appointment],
    questions: Questions,
    asked_back: ReplyResult,
) -> ReplyResult:
    """Returns the result of a reply that we don't understand. The first of a day is asked back.

    If the patient was asked to confirm, they have answered in their way: nothing is cancelled for silence, and the
    staff have their words. If they weren't, the staff have the second such reply.
    """
    if not possible:
        return asked_back
    unanswered = [each for each in questions.open if each.status is Status.SCHEDULED]
    for each in unanswered:
        await appointments.mark_confirmation_undelivered(each.appointment_id, reschedule_count=each.reschedule_count)
    earlier = await repository.count_not_understood(received, limit=2)
    text = asked_back.text
    if earlier:
        handed = await _answer_without_appointment(sender, AnswerText.GIVEN_TO_STAFF, possible)
        text = handed.text if earlier == 1 else ""
    if not (unanswered or earlier):
        return replace(asked_back, text=text, is_understood=False)
    about = (unanswered or possible)[0]
    return ReplyResult(text, about, call_reason=CallReason.NOT_UNDERSTOOD, is_understood=False)


async def _ask_back(
    sender: Sender, asked_about: Sequence[Appointment], open_ones: Sequence[Appointment]
) -> ReplyResult:
    """Asks what a reply means that we don't understand. One of the appointments exists."""
    possible = asked_about or open_ones
    if len(possible) > 1:
        return await _ask_which(sender, possible)
    (only,) = possible
    # Without a reminder before it, a bare "1" would get the question which one. So the answer gives the code.
    has_others = len(open_ones) > 1 or not asked_about
    return ReplyResult(await _answer(sender, AnswerText.NOT_UNDERSTOOD, only, has_others=has_others), only)


async def _answer_without_appointment(
    sender: Sender, answer: AnswerText, known: Sequence[Appointment]
) -> ReplyResult:
    """Answers about no appointment, with the phone and language of the patient's last clinic."""
    last = known[0] if known else await appointments.find_last_of_patients(sender.patient_ids)
    clinic = await _clinic(last) if last else None
    phone = clinic.phone if clinic else None
    return ReplyResult(render_answer(answer, language_of(sender.patients[0].language, clinic), phone=phone))


async def _answer(sender: Sender, answer: AnswerText, appointment: Appointment, *, has_others: bool) -> str:
    details = await _details(sender, appointment, has_others=has_others)
    return render_answer(answer, await _language(sender, appointment), details)


def _is_open(appointment: Appointment) -> bool:
    """Returns whether the patient can still confirm or cancel it."""
    return appointment.status in appointments.OPEN and appointment.start > utc_now()


async def _details(sender: Sender, appointment: Appointment, *, has_others: bool) -> AppointmentDetails:
    clinic = await _clinic(appointment)
    row = {**appointment.model_dump(), "_id": appointment.id}
    details = appointment_details(row, clinic, sender.phone, has_others=has_others, now=utc_now())
    opens = confirm_opens(appointment, clinic.rules)
    return replace(details, opens=opens, names_patient=len(sender.patients) > 1)


async def _language(sender: Sender, appointment: Appointment) -> Language:
    return language_of(sender.patient_of(appointment).language, await _clinic(appointment))


async def _clinic(appointment: Appointment) -> Clinic:
    clinic = await find_clinic(appointment.clinic_id)
    assert clinic is not None  # noqa: S101 - clinics are never deleted
    return clinic
