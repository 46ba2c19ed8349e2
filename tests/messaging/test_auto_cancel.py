"""Nobody is cancelled who was not asked: every way in which an appointment may come to its deadline.

The visit is on Tuesday at 14:00 in New York, booked on Monday at noon; the question is due at 11:00, and silence
cancels at 13:45.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.appointments.reminders.auto_cancel import LATEST, cancel_unconfirmed
from backend.directory.documents import Policy
from tests.appointments.support import visiting
from tests.factories import Person
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, TWO, Db, Office, Row, make_office

ASKED = TWO - 3 * HOUR
DEADLINE = TWO - 15 * MINUTE
SECOND = timedelta(seconds=1)

REFUSED = 21612
UNSUBSCRIBED = 21610


@dataclass
class Visit:
    """One patient's visit at an office, on its way to the deadline."""

    office: Office
    admin: Person
    patient: Person
    appointment: Row
    closes: datetime = DEADLINE
    is_on_time: bool = True

    @property
    def phone(self) -> str:
        """The patient's."""
        return self.patient.user.phone or ""

    def until(self, *moments: datetime) -> None:
        """The timetable is run at these moments."""
        for moment in moments:
            self.office.minute(moment)

    def admins(self, method: str, path: str, at: datetime, **body: Any) -> Any:
        """An administrator's request."""
        with visiting(self.office.run, self.admin, at) as client:
            answer = client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def policy(self, at: datetime, **policy: Any) -> None:
        """Changes the clinic's policy."""
        self.admins("PATCH", f"/clinics/{self.office.clinic.id}", at, policy=policy)


Story = Callable[[Visit], None]


@dataclass(frozen=True)
class Case:
    """What happens before the deadline, what then has become of the visit, and why staff should call, if so."""

    story: Story
    status: str = "scheduled"
    is_cancelled_for_silence: bool = False
    troubles: tuple[str, ...] = ()
    phone: str | None = "a real one"
    booked_at: datetime = NOON
    start: datetime = TWO
    policy: Policy | None = None


def silent(visit: Visit) -> None:
    visit.until(ASKED)


def nothing(visit: Visit) -> None:
    """The timetable stands still."""


def confirmed(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.do(visit.patient, visit.appointment, "confirm", TWO - 2 * HOUR)


def confirmed_by_sms(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.reply(visit.patient, "1", DEADLINE - SECOND)


def cancelled(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.do(visit.patient, visit.appointment, "cancel", TWO - 2 * HOUR)


def checked_in(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.do(visit.office.doctor, visit.appointment, "check-in", TWO - 30 * MINUTE)


def opted_out_before(visit: Visit) -> None:
    visit.office.reply(visit.patient, "STOP", NOON + HOUR)
    visit.until(ASKED)


def opted_out_and_in_again(visit: Visit) -> None:
    visit.office.reply(visit.patient, "STOP", NOON + HOUR)
    visit.office.reply(visit.patient, "START", NOON + 2 * HOUR)
    visit.until(ASKED)


def opted_out_after(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.reply(visit.patient, "STOP", ASKED + HOUR)


def opted_out_between(visit: Visit) -> None:
    """Of another sender's list at the carrier we learn by the refusal of another message."""
    visit.until(ASKED)
    visit.office.network.refuses(visit.phone, UNSUBSCRIBED)
    visit.office.book(visit.patient, TWO + 5 * DAY, at=ASKED + HOUR)
    visit.until(ASKED + HOUR)


def undelivered(visit: Visit) -> None:
    visit.until(ASKED)
    reminder = visit.office.log(visit.appointment, "reminder")
    visit.office.report(reminder, "undelivered", ASKED + HOUR, error_code=30003)


def undelivered_then_sent(visit: Visit) -> None:
    """The reports come in the wrong order."""
    undelivered(visit)
    reminder = visit.office.log(visit.appointment, "reminder")
    visit.office.report(reminder, "sent", ASKED + HOUR)


def undelivered_before_the_answer(visit: Visit) -> None:
    """The carrier's report of failure is faster than its answer to the post."""
    visit.office.send(NOON)
    visit.office.network.reports_early(visit.phone, "undelivered", error_code=30003)
    visit.until(ASKED)


def delivered(visit: Visit) -> None:
    visit.until(ASKED)
    visit.office.report(visit.office.log(visit.appointment, "reminder"), "delivered", ASKED + SECOND)


def refused_with(code: int) -> Story:
    def story(visit: Visit) -> None:
        visit.office.network.refuses(visit.phone, code)
        visit.until(ASKED)

    return story


def lost(visit: Visit) -> None:
    visit.office.network.loses(visit.phone)
    visit.until(ASKED)


def not_taken_yet(visit: Visit) -> None:
    visit.office.network.is_too_busy(visit.phone)
    visit.until(ASKED)


def closed(visit: Visit, *, at: datetime) -> None:
    span = {"start": (TWO - HOUR).isoformat(), "end": (TWO + HOUR).isoformat()}
    visit.admins("POST", f"/clinics/{visit.office.clinic.id}/closures", at, **span)


def closed_before(visit: Visit) -> None:
    closed(visit, at=ASKED - HOUR)
    visit.until(ASKED)


def closed_after(visit: Visit) -> None:
    visit.until(ASKED)
    closed(visit, at=ASKED + HOUR)


def clinic_gone(visit: Visit) -> None:
    visit.until(ASKED)
    visit.admins("DELETE", f"/clinics/{visit.office.clinic.id}", ASKED + HOUR)


def on_leave(visit: Visit, *, at: datetime) -> None:
    span = {"start": (TWO - HOUR).isoformat(), "end": (TWO + HOUR).isoformat()}
    visit.admins("POST", f"/doctors/{visit.office.doctor.id}/leaves", at, **span)


def on_leave_before(visit: Visit) -> None:
    on_leave(visit, at=ASKED - HOUR)
    visit.until(ASKED)


def on_leave_after(visit: Visit) -> None:
    visit.until(ASKED)
    on_leave(visit, at=ASKED + HOUR)


def doctor_gone(visit: Visit) -> None:
    visit.until(ASKED)
    visit.admins("DELETE", f"/doctors/{visit.office.doctor.id}", ASKED + HOUR)


def caught_up(*, before: timedelta) -> Story:
    """Down since the booking, and up again so long before the start."""

    def story(visit: Visit) -> None:
        visit.until(TWO - before)

    return story


def moved(visit: Visit) -> None:
    visit.until(ASKED)
    to = visit.office.slot_id(TWO + DAY)
    visit.office.do(visit.patient, visit.appointment, "reschedule", TWO - 2 * HOUR, slot_id=to)


def moved_within_the_hour(visit: Visit) -> None:
    """To a time for which no fair hour is left: nobody asks any more."""
    visit.until(ASKED)
    to = visit.office.slot_id(TWO + 30 * MINUTE)
    visit.office.do(visit.patient, visit.appointment, "reschedule", TWO - 30 * MINUTE, slot_id=to)
    visit.until(TWO - 29 * MINUTE)
    visit.closes = TWO + 15 * MINUTE


def switched_off(visit: Visit) -> None:
    visit.until(ASKED)
    visit.policy(ASKED + HOUR, auto_cancel_minutes=0)


def last_one_refused(visit: Visit) -> None:
    """The first of two reminders came, but it asked for nothing."""
    visit.until(NOON + 2 * HOUR)
    visit.office.network.refuses(visit.phone, REFUSED)
    visit.until(ASKED)


def down_until(moment: datetime) -> Story:
    """Asked, and then nobody was there until this moment."""

    def story(visit: Visit) -> None:
        visit.until(ASKED)
        visit.closes, visit.is_on_time = moment, False

    return story


def asked_the_evening_before(visit: Visit) -> None:
    visit.until(NOON + 8 * HOUR)  # 20:00 in New York
    visit.closes = visit.office.stored(visit.appointment)["auto_cancel_at"]


def down_that_evening(visit: Visit) -> None:
    visit.until(NOON + 13 * HOUR, NOON + 20 * HOUR)  # 1:00, in the quiet, and 8:00
    visit.closes = EARLY - 15 * MINUTE


EARLY = TWO - 5 * HOUR - 30 * MINUTE
"""Half past eight on Tuesday: its question is due in the quiet hours."""

NEVER = Policy(auto_cancel_minutes=0)
TWICE = Policy(reminder_minutes=[1440, 180])
SHORT = Policy(reminder_minutes=[60])
SILENCE = {"status": "cancelled", "is_cancelled_for_silence": True}

CASES: dict[str, Case] = {
    "asked and silent": Case(silent, **SILENCE),
    "asked, told that it was delivered, and silent": Case(delivered, **SILENCE),
    "asked twice, and silent": Case(lambda visit: visit.until(NOON + 2 * HOUR, ASKED), policy=TWICE, **SILENCE),
    "asked the evening before, and silent": Case(asked_the_evening_before, start=EARLY, **SILENCE),
    "caught up with a fair hour left, and silent": Case(caught_up(before=75 * MINUTE), **SILENCE),
    "asked, and nobody there for some minutes at the deadline": Case(down_until(DEADLINE + LATEST), **SILENCE),
    "asked and confirmed": Case(confirmed, "confirmed"),
    "asked and confirmed by SMS at the last moment": Case(confirmed_by_sms, "confirmed"),
    "asked and there": Case(checked_in, "checked_in"),
    "asked and cancelled by the patient": Case(cancelled, "cancelled"),
    "asked and moved": Case(moved),
    "asked, and moved so late that nobody asks again": Case(moved_within_the_hour),
    "a fictional number": Case(silent, phone="+15550001234"),
    "no phone": Case(silent, phone=None, troubles=("no_phone",)),
    "opted out before": Case(opted_out_before, troubles=("opted_out", "opted_out")),
    "opted out, and in again before the question, and silent": Case(opted_out_and_in_again, **SILENCE),
    "opted out after being asked": Case(opted_out_after, troubles=("opted_out",)),
    "found to be opted out after being asked": Case(opted_out_between),
    "undelivered": Case(undelivered, troubles=("undelivered",)),
    "undelivered, by reports in the wrong order": Case(undelivered_then_sent, troubles=("undelivered",)),
    "undelivered, and heard of before the carrier's answer": Case(
        undelivered_before_the_answer, troubles=("undelivered",)
    ),
    "refused by the carrier": Case(refused_with(REFUSED), troubles=("refused",)),
    "refused by the carrier as opted out": Case(refused_with(UNSUBSCRIBED), troubles=("opted_out",)),
    "of unknown outcome": Case(lost),
    "not taken yet by the carrier": Case(not_taken_yet),
    "reminded, but the one that asks was refused": Case(last_one_refused, policy=TWICE, troubles=("refused",)),
    "booked after the question was due": Case(lambda visit: visit.until(TWO - 2 * HOUR), booked_at=TWO - 2 * HOUR),
    "asked without a fair hour to answer": Case(lambda visit: visit.until(TWO - HOUR), policy=SHORT),
    "caught up without a fair hour left": Case(caught_up(before=75 * MINUTE - SECOND)),
    "down in the evening, and asked without a fair hour": Case(down_that_evening, start=EARLY),
    "never asked, for all were down": Case(nothing),
    "the clinic closed before the question": Case(closed_before),
    "the clinic closed after the question": Case(closed_after),
    "the clinic given up": Case(clinic_gone),
    "the doctor on leave before the question": Case(on_leave_before),
    "the doctor on leave after the question": Case(on_leave_after),
    "the doctor gone": Case(doctor_gone),
    "the deadline passed while all were down": Case(
        down_until(DEADLINE + LATEST + SECOND), troubles=("deadline_missed",)
    ),
    "the start passed while all were down": Case(down_until(TWO + MINUTE), troubles=("deadline_missed",)),
    "a clinic that cancels nobody": Case(silent, policy=NEVER),
    "a clinic that has come to cancel nobody": Case(switched_off),
    "confirming opens an hour before the deadline, and silent": Case(
        silent, policy=Policy(confirm_window_minutes=75), **SILENCE
    ),
    "confirming opens less than an hour before the deadline": Case(silent, policy=Policy(confirm_window_minutes=74)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_only_who_was_asked_and_kept_silent_is_cancelled(
    case: Case, noon: datetime, network: Network, within_reach: None, db: Db, admin: Person
) -> None:
    office = make_office(network, db, **({"policy": case.policy} if case.policy else {}))
    over = {} if case.phone == "a real one" else {"phone": case.phone}
    patient = office.patient(**over)
    visit = Visit(office, admin, patient, office.book(patient, case.start, at=case.booked_at))
    visit.closes = case.start - 15 * MINUTE
    case.story(visit)

    if visit.is_on_time:
        assert office.cancel_at_once(visit.closes - timedelta(milliseconds=1)) == 0
    assert office.cancel_at_once(visit.closes) == case.is_cancelled_for_silence
    visit.until(visit.closes, visit.closes + MINUTE)

    appointment = office.stored(visit.appointment)
    assert appointment["status"] == case.status
    told = sorted(row["recipient"] for row in office.logs(visit.appointment, "auto_cancelled"))
    assert told == (["doctor", "patient"] if case.is_cancelled_for_silence else [])
    assert {row["status"] for row in office.logs(visit.appointment, "auto_cancelled")} <= {"sent"}
    assert "auto_cancel_at" not in appointment
    entries = [row["call_list"] for row in office.logs(visit.appointment) if "call_list" in row]
    assert tuple(entry["reason"] for entry in entries if entry["is_open"]) == case.troubles
    if case.is_cancelled_for_silence:
        last = appointment["history"][-1]
        assert (last["transition"], last["by_role"], last["reason"]) == ("cancel", "system", "not confirmed")
        assert not appointment["active"]
        assert any("Unanswered, it is cancelled." in text for text in network.texts(patient.user.phone or ""))
    if case.policy is NEVER:
        assert not any("Unanswered" in text for text in network.texts(patient.user.phone or ""))


def test_a_cancelled_visit_tells_both_sides_once_whatever_runs_again(office: Office) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    for moment in (ASKED, DEADLINE, DEADLINE, DEADLINE + MINUTE, TWO - MINUTE, TWO + HOUR):
        office.minute(moment)
    kinds = [row["kind"] for row in office.logs(appointment) if row["recipient"] == "patient"]
    assert kinds == ["booked", "reminder", "auto_cancelled"]
    assert len(office.network.texts(patient.user.phone or "")) == 3
    (to_doctor,) = office.network.texts(office.doctor.user.phone or "")
    assert to_doctor.startswith("Cancelled, not confirmed in time: Patient")


def test_the_seat_of_the_silent_is_free_again(office: Office) -> None:
    silent_one, next_one = office.patient(), office.patient()
    slot_id = office.slot_id(TWO)
    office.book_seat(silent_one, slot_id)
    office.minute(ASKED)
    office.minute(DEADLINE)
    office.book_seat(next_one, slot_id, at=DEADLINE + MINUTE)


def test_a_note_that_staff_write_at_that_moment_doesnt_spare_the_silent(office: Office, admin: Person) -> None:
    """It makes the version stale that the job has read: the job must look again, and cancel."""
    slot_id = office.slot_id(TWO, capacity=12)
    appointments = [office.book_seat(office.patient(), slot_id) for _ in range(12)]
    office.minute(ASKED)
    with visiting(office.run, admin, DEADLINE) as client:

        def annotate() -> None:
            for each in appointments:
                client.patch(f"/appointments/{each['id']}", json={"notes": "Called; no answer."})

        async def race() -> int:
            _, cancelled = await asyncio.gather(asyncio.to_thread(annotate), cancel_unconfirmed())
            return cancelled

        assert office.run(race()) + office.run(cancel_unconfirmed()) == 12
    assert {office.stored(each)["status"] for each in appointments} == {"cancelled"}


@pytest.mark.long
def test_many_silent_ones_are_cancelled_once_each_by_jobs_at_once(office: Office) -> None:
    slot_id = office.slot_id(TWO, capacity=30)
    appointments = [office.book_seat(office.patient(), slot_id) for _ in range(30)]
    office.minute(ASKED)
    office.do(office.doctor, appointments[0], "check-in", TWO - 30 * MINUTE)
    assert office.cancel_at_once(DEADLINE) == 29
    assert office.cancel_at_once(DEADLINE) == 0
    office.send(DEADLINE)
    for each in appointments[1:]:
        told = sorted(row["recipient"] for row in office.logs(each, "auto_cancelled"))
        assert told == ["doctor", "patient"]


def test_who_has_opted_in_again_can_answer_the_question_of_the_evening_before(office: Office) -> None:
    """Silence doesn't cancel such a patient; an answer counts all the same."""
    patient = office.patient()
    appointment = office.book(patient, EARLY)
    office.reply(patient, "STOP", NOON + HOUR)
    office.reply(patient, "START", NOON + 2 * HOUR)
    office.minute(NOON + 8 * HOUR)
    assert office.log(appointment, "reminder")["status"] == "sent"
    assert "confirmed" in office.reply(patient, "1", NOON + 9 * HOUR)
    assert office.stored(appointment)["status"] == "confirmed"
