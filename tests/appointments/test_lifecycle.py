"""The table of transitions against one written by hand: every transition, status, role and edge of a window."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from backend.appointments.documents import ACTIVE, ActorRole, HistoryEntry, Status, TransitionName
from backend.appointments.lifecycle import (
    CORRECTIONS,
    KEEP,
    TRANSITIONS,
    UNDO_CHECK_IN,
    DecisionNeeded,
    InvalidTransition,
    TooEarly,
    TooLate,
    Transition,
    TransitionForbidden,
    allowed_actions,
    check,
    no_show_due,
)
from backend.scheduling.decisions.documents import CauseKind, DecisionCause

START = datetime(2037, 6, 1, 14, tzinfo=UTC)
END = START + timedelta(minutes=30)
MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Windows:
    """The clinic's minutes, as the settings have them."""

    confirm_window_minutes: int = 180
    check_in_window_minutes: int = 60
    no_show_grace_minutes: int = 15


USUAL = Windows()


@dataclass(frozen=True)
class Visit:
    """As much of an appointment as the table looks at."""

    status: Status
    start: datetime = START
    end: datetime = END
    confirmation_requested_at: datetime | None = None
    needs_decision: list[DecisionCause] | None = None
    time_taken_at: datetime = START - timedelta(days=1)
    cancellation_notice_minutes: int | None = None


EDGES = {
    "confirming opens": START - timedelta(minutes=180),
    "checking in opens": START - timedelta(minutes=60),
    "it starts": START,
    "the grace is over": START + timedelta(minutes=15),
    "it ends": END,
    "a day after its end": END + timedelta(hours=24),
}
MOMENTS = {
    "weeks before": START - timedelta(days=60),
    **{
        f"{name} {by}": edge + shift
        for name, edge in EDGES.items()
        for by, shift in (("-1 ms", -MS), ("", timedelta()), ("+1 ms", MS))
    },
    "a year after": START + timedelta(days=365),
}

# When a transition is too early (e), open (o) or too late (l): weeks before, then one ms before, at and after each
# edge (confirming opens, checking in opens, start, end of the grace, end, a day after the end), a year after.
TIMES = {
    #                    far  confirm check-in start grace  end   day  year
    "WHILE_CONFIRMING": "e    eoo     ooo      oll   lll    lll   lll  l",
    "BEFORE_THE_START": "o    ooo     ooo      oll   lll    lll   lll  l",
    "AROUND_THE_VISIT": "e    eee     eoo      ooo   ooo    oll   lll  l",
    "FROM_THE_START":   "e    eee     eee      eoo   ooo    ooo   ooo  o",
    "AFTER_THE_GRACE":  "e    eee     eee      eee   eoo    ooo   ooo  o",
    "WITHIN_A_DAY":     "e    eee     eee      eoo   ooo    ooo   oll  l",
    "UNTIL_A_DAY_AFTER": "o   ooo     ooo      ooo   ooo    ooo   oll  l",
    "ANY_TIME":         "o    ooo     ooo      ooo   ooo    ooo   ooo  o",
}  # fmt: skip

# Who may make a transition from where: "never" by role, "no" by status, or the time that decides.
CASES: dict[str, tuple[Transition, str]] = {
    "confirm": (TRANSITIONS[TransitionName.CONFIRM], """
                 patient           doctor            nurse             admin             system
    scheduled    WHILE_CONFIRMING  never             WHILE_CONFIRMING  WHILE_CONFIRMING  never
    confirmed    no                never             no                no                never
    checked_in   no                never             no                no                never
    completed    no                never             no                no                never
    cancelled    no                never             no                no                never
    no_show      no                never             no                no                never
    left         no                never             no                no                never
    """),
    "cancel": (TRANSITIONS[TransitionName.CANCEL], """
                 patient           doctor            nurse             admin             system
    scheduled    BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START
    confirmed    BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START  BEFORE_THE_START
    checked_in   no                ANY_TIME          ANY_TIME          ANY_TIME          no
    completed    no                no                no                no                no
    cancelled    no                no                no                no                no
    no_show      no                no                no                no                no
    left         no                no                no                no                no
    """),
    "reschedule": (TRANSITIONS[TransitionName.RESCHEDULE], """
                 patient           doctor            nurse             admin             system
    scheduled    BEFORE_THE_START  never             BEFORE_THE_START  BEFORE_THE_START  never
    confirmed    BEFORE_THE_START  never             BEFORE_THE_START  BEFORE_THE_START  never
    checked_in   no                never             ANY_TIME          ANY_TIME          never
    completed    no                never             no                no                never
    cancelled    no                never             no                no                never
    no_show      no                never             no                no                never
    left         no                never             no                no                never
    """),
    "check in": (TRANSITIONS[TransitionName.CHECK_IN], """
                 patient           doctor            nurse             admin             system
    scheduled    never             AROUND_THE_VISIT  AROUND_THE_VISIT  AROUND_THE_VISIT  never
    confirmed    never             AROUND_THE_VISIT  AROUND_THE_VISIT  AROUND_THE_VISIT  never
    checked_in   never             no                no                no                never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             no                no                no                never
    left         never             no                no                no                never
    """),
    "complete": (TRANSITIONS[TransitionName.COMPLETE], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                never             no                never
    confirmed    never             no                never             no                never
    checked_in   never             FROM_THE_START    never             FROM_THE_START    never
    completed    never             no                never             no                never
    cancelled    never             no                never             no                never
    no_show      never             no                never             no                never
    left         never             no                never             no                never
    """),
    "no-show": (TRANSITIONS[TransitionName.NO_SHOW], """
                 patient           doctor            nurse             admin             system
    scheduled    never             FROM_THE_START    FROM_THE_START    FROM_THE_START    AFTER_THE_GRACE
    confirmed    never             FROM_THE_START    FROM_THE_START    FROM_THE_START    AFTER_THE_GRACE
    checked_in   never             no                no                no                no
    completed    never             no                no                no                no
    cancelled    never             no                no                no                no
    no_show      never             no                no                no                no
    left         never             no                no                no                no
    """),
    "correct to checked in": (CORRECTIONS[Status.CHECKED_IN], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                no                no                never
    confirmed    never             no                no                no                never
    checked_in   never             no                no                no                never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             WITHIN_A_DAY      WITHIN_A_DAY      WITHIN_A_DAY      never
    left         never             no                no                no                never
    """),
    "correct to completed": (CORRECTIONS[Status.COMPLETED], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                never             no                never
    confirmed    never             no                never             no                never
    checked_in   never             no                never             no                never
    completed    never             no                never             no                never
    cancelled    never             no                never             no                never
    no_show      never             FROM_THE_START    never             FROM_THE_START    never
    left         never             no                never             no                never
    """),
    "left": (TRANSITIONS[TransitionName.LEFT], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                no                no                never
    confirmed    never             no                no                no                never
    checked_in   never             ANY_TIME          ANY_TIME          ANY_TIME          never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             no                no                no                never
    left         never             no                no                no                never
    """),
    "undo check-in to scheduled": (UNDO_CHECK_IN[Status.SCHEDULED], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                no                no                never
    confirmed    never             no                no                no                never
    checked_in   never             UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             no                no                no                never
    left         never             no                no                no                never
    """),
    "undo check-in to confirmed": (UNDO_CHECK_IN[Status.CONFIRMED], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                no                no                never
    confirmed    never             no                no                no                never
    checked_in   never             UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             no                no                no                never
    left         never             no                no                no                never
    """),
    "undo check-in to no-show": (UNDO_CHECK_IN[Status.NO_SHOW], """
                 patient           doctor            nurse             admin             system
    scheduled    never             no                no                no                never
    confirmed    never             no                no                no                never
    checked_in   never             UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER UNTIL_A_DAY_AFTER never
    completed    never             no                no                no                never
    cancelled    never             no                no                no                never
    no_show      never             no                no                no                never
    left         never             no                no                no                never
    """),
}  # fmt: skip

TARGETS = {
    "confirm": "confirmed",
    "cancel": "cancelled",
    "reschedule": "scheduled",
    "check in": "checked_in",
    "complete": "completed",
    "no-show": "no_show",
    "correct to checked in": "checked_in",
    "correct to completed": "completed",
    "left": "left",
    "undo check-in to scheduled": "scheduled",
    "undo check-in to confirmed": "confirmed",
    "undo check-in to no-show": "no_show",
}

NAMES = {
    **{name.value.replace("_", " "): name for name in TransitionName},
    **{"no-show": TransitionName.NO_SHOW, "undo check-in": TransitionName.UNDO_CHECK_IN},
}

REFUSALS = {
    TransitionForbidden: "never",
    InvalidTransition: "no",
    TooEarly: "e",
    TooLate: "l",
    DecisionNeeded: "undecided",
}


def expected(grid: str, status: Status, role: ActorRole, moment: str) -> str:
    """What the tables above say."""
    header, *rows = (line.split() for line in grid.strip().splitlines())
    (row,) = (row[1:] for row in rows if row[0] == status.value)
    cell = row[header.index(role.value)]
    if cell in ("never", "no"):
        return cell
    return dict(zip(MOMENTS, TIMES[cell].replace(" ", ""), strict=True))[moment]


def said(transition: Transition, visit: Visit, role: ActorRole, now: datetime, windows: Windows = USUAL) -> str:
    """What the code says."""
    try:
        check(transition, visit, role=role, now=now, rules=windows)
    except tuple(REFUSALS) as refusal:
        return REFUSALS[type(refusal)]
    return "o"


@pytest.mark.parametrize("name", CASES)
def test_a_transition_is_allowed_exactly_as_the_table_says(name: str) -> None:
    transition, grid = CASES[name]
    wrong = [
        f"{status} by {role}, {moment}: {is_said}, should be {should}"
        for status, role, moment in product(Status, ActorRole, MOMENTS)
        if (is_said := said(transition, Visit(status), role, MOMENTS[moment]))
        != (should := expected(grid, status, role, moment))
    ]
    assert not wrong, "\n".join(wrong)


def test_a_transition_leads_where_the_table_says() -> None:
    assert {name: transition.target.value for name, (transition, _) in CASES.items()} == TARGETS


def test_no_transition_is_missing_from_the_table() -> None:
    of_their_own = {TransitionName.BOOK, TransitionName.EDIT, TransitionName.CORRECT, TransitionName.UNDO_CHECK_IN}
    assert set(TRANSITIONS) == set(TransitionName) - of_their_own - {TransitionName.KEEP}
    assert set(KEEP) == ACTIVE
    assert set(CORRECTIONS) == {Status.CHECKED_IN, Status.COMPLETED}
    assert set(UNDO_CHECK_IN) == {Status.SCHEDULED, Status.CONFIRMED, Status.NO_SHOW}


def test_time_is_held_while_scheduled_confirmed_or_checked_in() -> None:
    assert {status.value for status in ACTIVE} == {"scheduled", "confirmed", "checked_in"}


def test_nothing_leads_out_of_completed_cancelled_or_left() -> None:
    for transition, _ in CASES.values():
        sources = transition.sources | transition.staff_sources
        assert not sources & {Status.COMPLETED, Status.CANCELLED, Status.LEFT}


@pytest.mark.parametrize(
    ("name", "role", "windows", "opens"),
    [
        ("confirm", ActorRole.PATIENT, Windows(confirm_window_minutes=1440), START - timedelta(days=1)),
        ("confirm", ActorRole.PATIENT, Windows(confirm_window_minutes=10_080), START - timedelta(days=7)),
        ("check in", ActorRole.NURSE, Windows(check_in_window_minutes=5), START - timedelta(minutes=5)),
        ("check in", ActorRole.NURSE, Windows(check_in_window_minutes=0), START),
        ("no-show", ActorRole.SYSTEM, Windows(no_show_grace_minutes=0), START),
        ("no-show", ActorRole.SYSTEM, Windows(no_show_grace_minutes=90), START + timedelta(minutes=90)),
        ("no-show", ActorRole.NURSE, Windows(no_show_grace_minutes=90), START),
    ],
)
def test_a_clinic_opens_its_windows_itself(name: str, role: ActorRole, windows: Windows, opens: datetime) -> None:
    transition, _ = CASES[name]
    visit = Visit(Status.SCHEDULED)
    assert said(transition, visit, role, opens - MS, windows) == "e"
    assert said(transition, visit, role, opens, windows) == "o"


def test_a_window_of_no_minutes_never_opens_for_confirming() -> None:
    windows = Windows(confirm_window_minutes=0)
    transition, _ = CASES["confirm"]
    assert said(transition, Visit(Status.SCHEDULED), ActorRole.PATIENT, START - MS, windows) == "e"
    assert said(transition, Visit(Status.SCHEDULED), ActorRole.PATIENT, START, windows) == "l"


def test_a_no_show_is_due_when_the_grace_is_over() -> None:
    visit = Visit(Status.CONFIRMED)
    assert no_show_due(visit, USUAL) == START + timedelta(minutes=15)
    assert no_show_due(replace(visit, end=START), Windows(no_show_grace_minutes=0)) == START
    late = START + timedelta(hours=2)
    assert no_show_due(replace(visit, time_taken_at=late), USUAL) == late + timedelta(minutes=15)


def test_a_refusal_names_the_status_and_the_time() -> None:
    with pytest.raises(
        InvalidTransition,
        match="is no show; this transition is allowed only from scheduled or confirmed or checked in",
    ):
        check(
            TRANSITIONS[TransitionName.CANCEL],
            Visit(Status.NO_SHOW),
            role=ActorRole.ADMIN,
            now=START,
            rules=USUAL,
        )
    with pytest.raises(TooEarly, match=r"^Available from 2037-06-01T11:00Z\.$"):
        check(
            TRANSITIONS[TransitionName.CONFIRM],
            Visit(Status.SCHEDULED),
            role=ActorRole.PATIENT,
            now=START - timedelta(days=1),
            rules=USUAL,
        )


def history(*statuses: Status) -> list[HistoryEntry]:
    """A history that led through these statuses."""
    who = {"by_name": "somebody", "by_role": ActorRole.ADMIN}
    return [HistoryEntry(transition=TransitionName.BOOK, status=each, at=START, **who) for each in statuses]


@dataclass(frozen=True)
class Past(Visit):
    """A visit with its history."""

    history: list[HistoryEntry] = field(default_factory=list)


@pytest.mark.parametrize("before", [Status.SCHEDULED, Status.CONFIRMED, Status.NO_SHOW])
@pytest.mark.parametrize("role", ActorRole)
def test_the_allowed_actions_are_what_the_table_allows(role: ActorRole, before: Status) -> None:
    """At each moment, what is available then is what `check` lets through, and what lies ahead is what it will."""
    undo = {f"undo check-in to {status.value.replace('_', '-')}" for status in UNDO_CHECK_IN}
    undo.remove(f"undo check-in to {before.value.replace('_', '-')}")
    wrong = []
    for status, (moment, now) in product(Status, MOMENTS.items()):
        visit = Past(status, history=history(before, status))
        listed = {
            (action.action, action.status): "e" if action.since and now < action.since else "o"
            for action in allowed_actions(visit, role=role, now=now, rules=USUAL)
        }
        allowed = {}
        for name, (transition, _) in CASES.items():
            answer = said(transition, visit, role, now)
            if name not in undo and answer in ("e", "o"):
                allowed[NAMES.get(name, NAMES[name.split(" to ")[0]]), transition.target] = answer
        if listed != allowed:
            wrong.append(f"{status}, {moment}: {listed}, should be {allowed}")
    assert not wrong, "\n".join(wrong)


CALLED_OFF = [DecisionCause(kind=CauseKind.HOURS, since=START - timedelta(days=1))]


@pytest.mark.parametrize("name", CASES)
def test_what_needs_a_decision_is_no_no_show_and_open_to_the_staff(name: str) -> None:
    """As usual otherwise: staff cancel and reschedule at any time, and nobody's silence or absence counts."""
    transition, grid = CASES[name]
    staff = {ActorRole.DOCTOR, ActorRole.NURSE, ActorRole.ADMIN}
    wrong = []
    for status, role, moment in product(Status, ActorRole, MOMENTS):
        visit = Visit(status, needs_decision=CALLED_OFF)
        should = expected(grid, status, role, moment)
        if should not in ("never", "no") and (name == "no-show" or (name, role) == ("cancel", ActorRole.SYSTEM)):
            should = "undecided"
        if should == "l" and name in ("cancel", "reschedule") and role in staff:
            should = "o"
        if (is_said := said(transition, visit, role, MOMENTS[moment])) != should:
            wrong.append(f"{status} by {role}, {moment}: {is_said}, should be {should}")
    assert not wrong, "\n".join(wrong)
