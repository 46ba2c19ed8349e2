"""The life of an appointment as one pure table: which step is allowed, from where, to whom and when.

The API, replies by SMS and the timed jobs all ask here. A step leads from its sources to its target; what it
may not do it says as an error that names the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from pydantic import Field

from backend.appointments.documents import ActorRole, Status, TransitionName
from backend.core.http.errors import Conflict, ErrorBody, Forbidden

CORRECTION_HOURS = 24
"""How long after its end a no-show may be corrected to checked in."""


class InvalidTransition(Conflict):
    """The appointment's status doesn't allow the step."""

    code = "INVALID_TRANSITION"
    detail = "An appointment that is cancelled can't be confirmed."


class OutsideItsTimeBody(ErrorBody):
    """An error of a step that has its time."""

    at: str = Field(
        description="The moment from which on, or until which, the step is possible: RFC 3339, UTC."
    )


class _OutsideItsTime(Conflict):
    """The step isn't possible at this moment. `at` is UTC."""

    body = OutsideItsTimeBody
    says: ClassVar[str]

    def __init__(self, at: datetime) -> None:
        self.at = at
        super().__init__(self.says.format(f"{at:%Y-%m-%dT%H:%MZ}"))

    def content(self) -> dict[str, Any]:
        return {**super().content(), "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}"}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """With a moment."""
        moment = "2027-03-14T13:30:00Z"
        return {"detail": cls.says.format(moment), "error_code": cls.code, "at": moment}


class TooEarly(_OutsideItsTime):
    """The step's time has not come."""

    code = "TOO_EARLY"
    says = "This can be done from {} on."


class TooLate(_OutsideItsTime):
    """The step's time has passed."""

    code = "TOO_LATE"
    says = "This could be done until {}."


class TransitionForbidden(Forbidden):
    """The caller's role may never do this step."""

    code = "TRANSITION_FORBIDDEN"
    detail = "Your role may not do this with an appointment."


class Windows(Protocol):
    """The clinic's rules that open and close steps, in minutes."""

    confirm_window_minutes: int
    check_in_window_minutes: int
    no_show_grace_minutes: int


class Timed(Protocol):
    """When an appointment is, and where it stands. UTC."""

    start: datetime
    end: datetime
    status: Status
    confirmation_requested_at: datetime | None


Moment = Callable[[Timed, Windows], datetime]


@dataclass(frozen=True, slots=True)
class Rule:
    """One step. `opens` and `closes` are None where time doesn't matter; it closes at, not after, its moment.

    `opens_for_system` says when the system may do by itself what people may do from `opens` on.
    """

    sources: frozenset[Status]
    target: Status
    roles: frozenset[ActorRole]
    opens: Moment | None = None
    closes: Moment | None = None
    opens_for_system: Moment | None = None

    def opens_for(self, role: ActorRole) -> Moment | None:
        """When the step opens for a role."""
        return self.opens_for_system or self.opens if role is ActorRole.SYSTEM else self.opens


def _start(appointment: Timed, _: Windows) -> datetime:
    return appointment.start


def _end(appointment: Timed, _: Windows) -> datetime:
    return appointment.end


def confirm_opens(appointment: Timed, windows: Windows) -> datetime:
    """Some time before the start, or earlier if the patient was asked earlier: who is asked may answer."""
    window = appointment.start - timedelta(minutes=windows.confirm_window_minutes)
    return (
        min(window, appointment.confirmation_requested_at)
        if appointment.confirmation_requested_at
        else window
    )


def _check_in_opens(appointment: Timed, windows: Windows) -> datetime:
    return appointment.start - timedelta(minutes=windows.check_in_window_minutes)


def no_show_due(appointment: Timed, windows: Windows) -> datetime:
    """When the system marks an appointment as a no-show if nobody has checked in."""
    return appointment.start + timedelta(minutes=windows.no_show_grace_minutes)


def _correction_closes(appointment: Timed, _: Windows) -> datetime:
    return appointment.end + timedelta(hours=CORRECTION_HOURS)


_P, _D, _N, _A, _S = (
    ActorRole.PATIENT,
    ActorRole.DOCTOR,
    ActorRole.NURSE,
    ActorRole.ADMIN,
    ActorRole.SYSTEM,
)
_AHEAD = frozenset({Status.SCHEDULED, Status.CONFIRMED})

TABLE: dict[TransitionName, Rule] = {
    TransitionName.CONFIRM: Rule(
        sources=frozenset({Status.SCHEDULED}),
        target=Status.CONFIRMED,
        roles=frozenset({_P, _N, _A}),
        opens=confirm_opens,
        closes=_start,
    ),
    TransitionName.CANCEL: Rule(
        sources=_AHEAD,
        target=Status.CANCELLED,
        roles=frozenset({_P, _D, _N, _A, _S}),
        closes=_start,
    ),
    TransitionName.RESCHEDULE: Rule(
        sources=_AHEAD,
        target=Status.SCHEDULED,
        roles=frozenset({_P, _N, _A}),
        closes=_start,
    ),
    TransitionName.CHECK_IN: Rule(
        sources=_AHEAD,
        target=Status.CHECKED_IN,
        roles=frozenset({_D, _N, _A}),
        opens=_check_in_opens,
        closes=_end,
    ),
    TransitionName.COMPLETE: Rule(
        sources=frozenset({Status.CHECKED_IN}),
        target=Status.COMPLETED,
        roles=frozenset({_D, _A}),
        opens=_start,
    ),
    TransitionName.NO_SHOW: Rule(
        sources=_AHEAD,
        target=Status.NO_SHOW,
        roles=frozenset({_D, _N, _A, _S}),
        opens=_start,
        opens_for_system=no_show_due,
    ),
}

CORRECTIONS: dict[Status, Rule] = {
    Status.CHECKED_IN: Rule(
        sources=frozenset({Status.NO_SHOW}),
        target=Status.CHECKED_IN,
        roles=frozenset({_D, _N, _A}),
        opens=_start,
        closes=_correction_closes,
    ),
    Status.COMPLETED: Rule(
        sources=frozenset({Status.NO_SHOW}),
        target=Status.COMPLETED,
        roles=frozenset({_D, _A}),
        opens=_start,
    ),
}
"""Correcting a no-show is a step of its own, so that a check-in never undoes a no-show unseen."""


def check(rule: Rule, appointment: Timed, *, role: ActorRole, now: datetime, windows: Windows) -> None:
    """Raises unless the rule allows its step now.

    `TransitionForbidden` by role, `InvalidTransition` by status, `TooEarly` and `TooLate` by time.
    """
    if role not in rule.roles:
        raise TransitionForbidden
    if appointment.status not in rule.sources:
        raise InvalidTransition(f"The appointment is {_say(appointment.status)}; {_say_sources(rule)}.")
    opening = rule.opens_for(role)
    if opening is not None and now < (opens := opening(appointment, windows)):
        raise TooEarly(opens)
    if rule.closes is not None and now >= (closes := rule.closes(appointment, windows)):
        raise TooLate(closes)


def _say(status: Status) -> str:
    return status.value.replace("_", " ")


def _say_sources(rule: Rule) -> str:
    names = " or ".join(_say(status) for status in Status if status in rule.sources)
    return f"this is possible only while it is {names}"
