"""The life of an appointment as one pure table: which transition is allowed, from which status, to whom and when.

The API, SMS replies and timed work all use it. A transition that isn't allowed raises an error that names the reason.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from pydantic import Field

from backend.appointments.documents import ACTIVE, ActorRole, Status, TransitionName
from backend.core.http.errors import Conflict, ErrorBody, Forbidden
from backend.directory.documents import Rules
from backend.scheduling.decisions.documents import DecisionCause


class InvalidTransition(Conflict):
    """The appointment's status doesn't allow the transition."""

    code = "INVALID_TRANSITION"
    detail = "The appointment is cancelled; this transition is allowed only from scheduled."


class OutsideItsTimeBody(ErrorBody):
    """The body of an error about time."""

    at: str = Field(
        description="When the transition becomes available, or when it stopped being available: RFC 3339, UTC."
    )


class _OutsideItsTime(Conflict):
    """The transition isn't available at this moment. `at` is UTC."""

    body = OutsideItsTimeBody
    says: ClassVar[str]

    def __init__(self, at: datetime) -> None:
        self.at = at
        super().__init__(self.says.format(f"{at:%Y-%m-%dT%H:%MZ}"))

    def content(self) -> dict[str, Any]:
        return {**super().content(), "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}"}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An example with a moment."""
        moment = "2027-03-14T13:30:00Z"
        return {"detail": cls.says.format(moment), "error_code": cls.code, "at": moment}


class TooEarly(_OutsideItsTime):
    """The transition isn't available yet."""

    code = "TOO_EARLY"
    says = "Available from {}."


class TooLate(_OutsideItsTime):
    """The transition is no longer available."""

    code = "TOO_LATE"
    says = "Was available until {}."


class NoticeBody(ErrorBody):
    """The body of an error about notice."""

    until: str = Field(description="Until when it was possible: RFC 3339, UTC.")


class NoticeTooShort(Conflict):
    """It is later than the visit type's notice allows. `until` is UTC."""

    code = "NOTICE_TOO_SHORT"
    detail = "This was possible until 2027-03-14T13:30Z. Please call the clinic."
    body = NoticeBody

    def __init__(self, until: datetime) -> None:
        self.until = until
        super().__init__(f"This was possible until {until:%Y-%m-%dT%H:%MZ}. Please call the clinic.")

    def content(self) -> dict[str, Any]:
        return {**super().content(), "until": f"{self.until:%Y-%m-%dT%H:%M:%SZ}"}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An example with a moment."""
        return {**super().example(), "until": "2027-03-14T13:30:00Z"}


class TransitionForbidden(Forbidden):
    """The caller's role may never make this transition."""

    code = "TRANSITION_FORBIDDEN"
    detail = "Your role can't make this transition."


class DecisionNeeded(Conflict):
    """The clinic withdrew the appointment's time, and nobody has decided what becomes of it."""

    code = "DECISION_NEEDED"
    detail = "The clinic withdrew the time of this appointment. Reschedule, cancel or keep it first."


class Timed(Protocol):
    """The fields of an appointment that the table reads. UTC."""

    start: datetime
    end: datetime
    status: Status
    confirmation_requested_at: datetime | None
    needs_decision: list[DecisionCause] | None
    cancellation_notice_minutes: int | None

    @property
    def time_taken_at(self) -> datetime:
        """When it was booked, or last rescheduled."""


class Step(Protocol):
    """A line of the history."""

    status: Status


class Recorded(Timed, Protocol):
    """An appointment with its history."""

    @property
    def history(self) -> Sequence[Step]:
        """Its lines, oldest first."""

    @property
    def time_taken_at(self) -> datetime:
        """When it was booked, or last rescheduled."""


Moment = Callable[[Timed, Rules], datetime]


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition from any of `sources` to `target`.

    It is available from `opens` (inclusive) until `closes` (exclusive); None means no limit. `opens_for_system`
    replaces `opens` for what the system does by itself. Patients must make one that `needs_notice` earlier by the
    visit type's notice. From `staff_sources`, staff in `roles` can make it at any time, and so they can if the
    appointment needs a decision. `decided_for` are the roles for which somebody has to decide first: what the clinic
    called off is nobody's no-show, and silence doesn't cancel it.
    """

    sources: Set[Status]
    target: Status
    roles: Set[ActorRole]
    opens: Moment | None = None
    closes: Moment | None = None
    opens_for_system: Moment | None = None
    needs_notice: bool = False
    staff_sources: Set[Status] = frozenset()
    decided_for: Set[ActorRole] = frozenset()

    def sources_for(self, role: ActorRole) -> Set[Status]:
        """Returns the statuses from which this role can make the transition."""
        return self.sources | self.staff_sources if role in _STAFF else self.sources

    def window(self, appointment: Timed, *, role: ActorRole, rules: Rules) -> tuple[datetime | None, datetime | None]:
        """Returns when the transition opens (inclusive) and closes (exclusive) for a role, UTC; None for no limit."""
        decides = bool(self.staff_sources and role in _STAFF and appointment.needs_decision)
        if decides or appointment.status in self.staff_sources:
            return None, None
        opens = (role is ActorRole.SYSTEM and self.opens_for_system) or self.opens
        closes = _notice_ends if self.needs_notice and role is ActorRole.PATIENT else self.closes
        return opens and opens(appointment, rules), closes and closes(appointment, rules)


def _start(appointment: Timed, _: Rules) -> datetime:
    return appointment.start


def _end(appointment: Timed, _: Rules) -> datetime:
    return appointment.end


def confirm_opens(appointment: Timed, rules: Rules) -> datetime:
    """Returns when confirming opens: some time before the start, or when the patient was asked, if earlier."""
    opens = appointment.start - timedelta(minutes=rules.confirm_window_minutes)
    return min(opens, appointment.confirmation_requested_at or opens)


def _check_in_opens(appointment: Timed, rules: Rules) -> datetime:
    return appointment.start - timedelta(minutes=rules.check_in_window_minutes)


def no_show_due(appointment: Timed, rules: Rules) -> datetime:
    """Returns when the system marks a no-show if the patient isn't checked in by then.

    Staff book into slots that have begun: the grace then counts from the booking.
    """
    expected = max(appointment.start, appointment.time_taken_at)
    return expected + timedelta(minutes=rules.no_show_grace_minutes)


def _a_day_after_the_end(appointment: Timed, _: Rules) -> datetime:
    return appointment.end + timedelta(hours=24)


_P, _D, _N, _A, _S = ActorRole  # in its order: patient, doctor, nurse, admin, system
_STAFF = {_D, _N, _A}
_AHEAD = {Status.SCHEDULED, Status.CONFIRMED}
_WAITING = {Status.CHECKED_IN}
"""The patient is in the waiting room. If the doctor falls ill, staff must be able to send them home."""

TRANSITIONS: dict[TransitionName, Transition] = {
    TransitionName.CONFIRM: Transition(
        {Status.SCHEDULED}, Status.CONFIRMED, roles={_P, _N, _A}, opens=confirm_opens, closes=_start
    ),
    TransitionName.CANCEL: Transition(
        *(_AHEAD, Status.CANCELLED),
        roles={_P, _D, _N, _A, _S},
        closes=_start,
        needs_notice=True,
        staff_sources=_WAITING,
        decided_for={_S},
    ),
    TransitionName.RESCHEDULE: Transition(
        _AHEAD, Status.SCHEDULED, roles={_P, _N, _A}, closes=_start, needs_notice=True, staff_sources=_WAITING
    ),
    TransitionName.CHECK_IN: Transition(
        _AHEAD, Status.CHECKED_IN, roles={_D, _N, _A}, opens=_check_in_opens, closes=_end
    ),
    TransitionName.COMPLETE: Transition({Status.CHECKED_IN}, Status.COMPLETED, roles={_D, _A}, opens=_start),
    TransitionName.NO_SHOW: Transition(
        _AHEAD,
        Status.NO_SHOW,
        roles={_D, _N, _A, _S},
        opens=_start,
        opens_for_system=no_show_due,
        decided_for={_D, _N, _A, _S},
    ),
    TransitionName.LEFT: Transition(_WAITING, Status.LEFT, roles=_STAFF),
}

CORRECTIONS: dict[Status, Transition] = {
    Status.CHECKED_IN: Transition(
        {Status.NO_SHOW}, Status.CHECKED_IN, roles={_D, _N, _A}, opens=_start, closes=_a_day_after_the_end
    ),
    Status.COMPLETED: Transition({Status.NO_SHOW}, Status.COMPLETED, roles={_D, _A}, opens=_start),
}
"""Correcting a no-show is a transition of its own, so that a check-in never undoes a no-show by accident."""

UNDO_CHECK_IN: dict[Status, Transition] = {
    before: Transition(_WAITING, before, roles=_STAFF, closes=_a_day_after_the_end)
    for before in (Status.SCHEDULED, Status.CONFIRMED, Status.NO_SHOW)
}
"""By the status before the check-in. A no-show that was corrected by mistake is a no-show again."""


KEEP: dict[Status, Transition] = {
    status: Transition({status}, status, roles=_STAFF) for status in Status if status in ACTIVE
}
"""By the present status, which stays. Only an appointment that needs a decision can be kept."""


def status_before_check_in(history: Sequence[Step]) -> Status:
    """Returns the status that a checked-in appointment had before it was checked in."""
    return next(entry.status for entry in reversed(history) if entry.status is not Status.CHECKED_IN)


def check(transition: Transition, appointment: Timed, *, role: ActorRole, now: datetime, rules: Rules) -> None:
    """Raises unless the transition is allowed now.

    `TransitionForbidden` by role, `InvalidTransition` by status, `DecisionNeeded`, `TooEarly` and `TooLate` by time,
    `NoticeTooShort` if a patient needs to give more notice.
    """
    if role not in transition.roles:
        raise TransitionForbidden
    possible = transition.sources_for(role)
    if appointment.status not in possible:
        sources = " or ".join(_in_words(status) for status in Status if status in possible)
        raise InvalidTransition(
            f"The appointment is {_in_words(appointment.status)}; this transition is allowed only from {sources}."
        )
    if appointment.needs_decision and role in transition.decided_for:
        raise DecisionNeeded
    opens, closes = transition.window(appointment, role=role, rules=rules)
    if opens and now < opens:
        raise TooEarly(opens)
    if closes and now >= closes:
        if transition.needs_notice and role is ActorRole.PATIENT and now < appointment.start:
            raise NoticeTooShort(closes)
        raise TooLate(closes)


def notice_until(appointment: Timed) -> datetime:
    """Returns until when a patient may cancel or reschedule. UTC."""
    return appointment.start - timedelta(minutes=appointment.cancellation_notice_minutes or 0)


def _notice_ends(appointment: Timed, _: Rules) -> datetime:
    return notice_until(appointment)


def is_past_notice(appointment: Timed, now: datetime) -> bool:
    """Returns whether a patient can't cancel or reschedule any more. Staff can, and the history says so."""
    return now >= notice_until(appointment)


@dataclass(frozen=True, slots=True)
class AllowedAction:
    """A transition that a role can make: `since` (inclusive) `until` (exclusive), UTC. None means no limit."""

    action: TransitionName
    status: Status
    since: datetime | None
    until: datetime | None


def allowed_actions(
    appointment: Recorded, *, role: ActorRole, now: datetime, rules: Rules
) -> Sequence[AllowedAction]:
    """Returns the transitions that a role can make from the present status, now or later: what `check` allows."""
    found = []
    for name, transition in _transitions_of(appointment):
        if role not in transition.roles or appointment.status not in transition.sources_for(role):
            continue
        if appointment.needs_decision and role in transition.decided_for:
            continue
        opens, closes = transition.window(appointment, role=role, rules=rules)
        if closes is None or now < closes:
            found.append(AllowedAction(name, transition.target, opens, closes))
    return found


def _transitions_of(appointment: Recorded) -> Iterator[tuple[TransitionName, Transition]]:
    yield from TRANSITIONS.items()
    if appointment.needs_decision:
        yield TransitionName.KEEP, KEEP[appointment.status]
    if appointment.status is Status.CHECKED_IN:
        yield TransitionName.UNDO_CHECK_IN, UNDO_CHECK_IN[status_before_check_in(appointment.history)]
    yield from ((TransitionName.CORRECT, correction) for correction in CORRECTIONS.values())


def _in_words(status: Status) -> str:
    return status.value.replace("_", " ")
