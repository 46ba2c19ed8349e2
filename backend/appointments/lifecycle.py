"""The life of an appointment as one pure table: which transition is allowed, from which status, to whom and when.

The API, SMS replies and timed work all use it. A transition that isn't allowed raises an error that names the reason.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from pydantic import Field

from backend.appointments.documents import ActorRole, Status, TransitionName
from backend.core.http.errors import Conflict, ErrorBody, Forbidden
from backend.directory.documents import Rules


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


class TransitionForbidden(Forbidden):
    """The caller's role may never make this transition."""

    code = "TRANSITION_FORBIDDEN"
    detail = "Your role can't make this transition."


class Timed(Protocol):
    """The fields of an appointment that the table reads. UTC."""

    start: datetime
    end: datetime
    status: Status
    confirmation_requested_at: datetime | None


Moment = Callable[[Timed, Rules], datetime]


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition from any of `sources` to `target`.

    It is available from `opens` (inclusive) until `closes` (exclusive); None means no limit. `opens_for_system`
    replaces `opens` for what the system does by itself.
    """

    sources: Set[Status]
    target: Status
    roles: Set[ActorRole]
    opens: Moment | None = None
    closes: Moment | None = None
    opens_for_system: Moment | None = None


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
    """Returns when the system marks a no-show if the patient isn't checked in by then."""
    return appointment.start + timedelta(minutes=rules.no_show_grace_minutes)


def _a_day_after_the_end(appointment: Timed, _: Rules) -> datetime:
    return appointment.end + timedelta(hours=24)


_P, _D, _N, _A, _S = ActorRole  # in its order: patient, doctor, nurse, admin, system
_AHEAD = {Status.SCHEDULED, Status.CONFIRMED}

TRANSITIONS: dict[TransitionName, Transition] = {
    TransitionName.CONFIRM: Transition(
        {Status.SCHEDULED}, Status.CONFIRMED, roles={_P, _N, _A}, opens=confirm_opens, closes=_start
    ),
    TransitionName.CANCEL: Transition(_AHEAD, Status.CANCELLED, roles={_P, _D, _N, _A, _S}, closes=_start),
    TransitionName.RESCHEDULE: Transition(_AHEAD, Status.SCHEDULED, roles={_P, _N, _A}, closes=_start),
    TransitionName.CHECK_IN: Transition(
        _AHEAD, Status.CHECKED_IN, roles={_D, _N, _A}, opens=_check_in_opens, closes=_end
    ),
    TransitionName.COMPLETE: Transition({Status.CHECKED_IN}, Status.COMPLETED, roles={_D, _A}, opens=_start),
    TransitionName.NO_SHOW: Transition(
        _AHEAD, Status.NO_SHOW, roles={_D, _N, _A, _S}, opens=_start, opens_for_system=no_show_due
    ),
}

CORRECTIONS: dict[Status, Transition] = {
    Status.CHECKED_IN: Transition(
        {Status.NO_SHOW}, Status.CHECKED_IN, roles={_D, _N, _A}, opens=_start, closes=_a_day_after_the_end
    ),
    Status.COMPLETED: Transition({Status.NO_SHOW}, Status.COMPLETED, roles={_D, _A}, opens=_start),
}
"""Correcting a no-show is a transition of its own, so that a check-in never undoes a no-show by accident."""


def check(transition: Transition, appointment: Timed, *, role: ActorRole, now: datetime, rules: Rules) -> None:
    """Raises unless the transition is allowed now.

    `TransitionForbidden` by role, `InvalidTransition` by status, `TooEarly` and `TooLate` by time.
    """
    if role not in transition.roles:
        raise TransitionForbidden
    if appointment.status not in transition.sources:
        sources = " or ".join(_in_words(status) for status in Status if status in transition.sources)
        raise InvalidTransition(
            f"The appointment is {_in_words(appointment.status)}; this transition is allowed only from {sources}."
        )
    opens = (role is ActorRole.SYSTEM and transition.opens_for_system) or transition.opens
    if opens and now < (opening := opens(appointment, rules)):
        raise TooEarly(opening)
    if transition.closes and now >= (closing := transition.closes(appointment, rules)):
        raise TooLate(closing)


def _in_words(status: Status) -> str:
    return status.value.replace("_", " ")
