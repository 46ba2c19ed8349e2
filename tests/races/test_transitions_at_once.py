"""Two transitions of one appointment at the same time, at two server processes: one is made, or both in turn."""

import os
from typing import Any

import pytest

from tests.factories import Person, Run
from tests.races.rush import all_at_once, post
from tests.races.support import Db, Wired, booked, every_pause, in_background, make_book, reaches, said
from tests.races.transitions import CONTESTS, Contest, Day
from tests.support.book import check_book

pytestmark = [pytest.mark.races, pytest.mark.long]

ROUNDS = 30
IN_EVERY_ORDER = CONTESTS if os.environ.get("RACES") == "all" else CONTESTS[::2]
BOTH = {
    # Which transitions may both be done, and in which order, where nobody says which version they mean.
    ("confirm", "cancel"),
    ("confirm", "check_in"),
    ("reschedule", "cancel"),
    ("reschedule", "reschedule"),
    ("confirm", "reschedule"),
    ("reschedule", "confirm"),
}


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_of_two_transitions_of_one_version_one_is_made(
    run: Run[Any], db: Db, two_servers: tuple[str, str], contest: Contest
) -> None:
    visits = Day(run).appointments(contest, ROUNDS)
    version = {"version": 1 + len(contest.before)}
    calls = [
        post(visit.actor(transition), visit.path(transition), {**visit.day.body(transition), **version})
        for visit in visits
        for transition in (contest.one, contest.other)
    ]
    answers = all_at_once(two_servers, calls)
    for number, visit in enumerate(visits):
        pair = answers[2 * number], answers[2 * number + 1]
        assert sorted(map(said, pair)) == ["200", "APPOINTMENT_CHANGED"]
        assert len(visit.check(db, contest, pair)) == 1
    check_book(db)


@pytest.mark.parametrize("contest", CONTESTS, ids=str)
def test_two_transitions_without_version_are_made_in_turn(
    run: Run[Any], db: Db, two_servers: tuple[str, str], contest: Contest
) -> None:
    visits = Day(run).appointments(contest, ROUNDS)
    calls = [
        post(visit.actor(transition), visit.path(transition), visit.day.body(transition))
        for visit in visits
        for transition in (contest.one, contest.other)
    ]
    answers = all_at_once(two_servers, calls)
    for number, visit in enumerate(visits):
        pair = answers[2 * number], answers[2 * number + 1]
        check_serial(visit.check(db, contest, pair), pair)
    check_book(db)


@pytest.mark.parametrize("contest", IN_EVERY_ORDER, ids=str)
def test_a_stalled_transition_is_refused_after_another(
    run: Run[Any], db: Db, first_wired: Wired, contest: Contest
) -> None:
    day = Day(run)
    for slow, fast in ((contest.one, contest.other), (contest.other, contest.one)):
        for pause in every_pause(first_wired.wire):
            (visit,) = day.appointments(contest, 1)
            call = in_background(visit.make, slow, first_wired.client(visit.actor(slow)))
            reaches(pause, call)
            other = visit.make(fast)
            pause.release()
            pair = (call.result(), other) if slow is contest.one else (other, call.result())
            check_serial(visit.check(db, contest, pair), pair)
    check_book(db)


def test_a_withdrawal_at_the_same_time_refuses_no_cancellation(
    run: Run[Any], admin: Person, first_wired: Wired
) -> None:
    """Its mark changes the version; the patient, who named none, isn't asked to try again."""
    for body, expected in (({}, "200"), ({"version": 1}, "APPOINTMENT_CHANGED")):
        book = make_book(run)
        (patient,) = book.patients(1)
        path = f"/appointments/{booked(patient.client, book.slot)['id']}/cancel"
        with first_wired.wire.holding(lambda command: command.name == "findAndModify") as write:
            cancelling = in_background(first_wired.client(patient).post, path, json=body)
            assert write.arrived()
            assert admin.client.post(f"/doctors/{book.doctor.id}/leaves", json=book.whole_slot).is_success
            write.release()
            assert said(cancelling.result()) == expected


def check_serial(done: list[str], answers: tuple[Any, Any]) -> None:
    """Both were done in an order in which they may be, or one was and the other's refusal says why."""
    refusals = {said(answer) for answer in answers} - {"200"}
    assert refusals <= {"APPOINTMENT_CHANGED", "INVALID_TRANSITION"}
    assert len(done) == 1 or tuple(done) in BOTH, done
