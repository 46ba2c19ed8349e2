"""After the visit type's notice no message offers to cancel; who asks for it all the same is called by the staff."""

import pytest

from backend.appointments.booking import book
from backend.appointments.booking.book import BookingRequest
from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.core import clock
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from tests.messaging.asked import THREE, Desk
from tests.messaging.conftest import NOON
from tests.messaging.inbound.test_not_understood import calls
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, Db
from tests.messaging.scenes import Scene
from tests.messaging.signed import reply

CALL = "Questions? Call +12125550100."
TOO_LATE = f"Too late to cancel by SMS: Mon, Jun 3, 3:00 PM, Dr. Ada Vance. The clinic will call you. {CALL}"


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    """A clinic whose patients are reminded at noon of three o'clock."""
    return Desk.open(network, db)


def asked(desk: Desk, notice: int) -> Scene:
    """A patient who was asked at noon; they could cancel until so many minutes before the start."""
    user = desk.patient(language="en")
    kind = NewVisitType(names={"en": f"Visit {notice}"}, minutes=30, cancellation_notice_minutes=notice)
    with clock.stopped(NOON - DAY):
        type_id = desk.run(create_visit_type(desk.clinic.clinic_id, kind)).visit_type_id
        wanted = BookingRequest(slot_id=desk.slot(THREE), visit_type_id=type_id)
        made = desk.run(book.book(user, wanted)).appointment
    desk.ask()
    return Scene(user.phone or "", [made], user)


@pytest.mark.parametrize(("notice", "offers"), [(179, True), (180, False), (1440, False)])
def test_a_reminder_offers_to_cancel_until_the_notice(desk: Desk, notice: int, offers: bool) -> None:
    body = desk.reminder(asked(desk, notice).appointments[0])["body"]
    assert ("2 to cancel" in body) == offers
    assert ("Reply 1 to confirm" in body, CALL in body) == (True, not offers)


def test_who_cancels_too_late_is_answered_and_called(desk: Desk, base_url: str) -> None:
    scene = asked(desk, 1440)
    with clock.stopped(scene.at):
        assert reply(base_url, scene.phone, "2") == [TOO_LATE]
        assert reply(base_url, scene.phone, "2 please") == [TOO_LATE]
    assert calls(desk, scene) == [("late_cancellation", "2 please")]
    assert desk.again(scene.appointments[0]).auto_cancel_at is None
    with clock.stopped(THREE - MINUTE):
        desk.run(cancel_unconfirmed())
    assert desk.again(scene.appointments[0]).status == "scheduled"


def test_who_confirms_after_all_needs_no_call(desk: Desk, base_url: str) -> None:
    scene = asked(desk, 1440)
    with clock.stopped(scene.at):
        reply(base_url, scene.phone, "2")
        assert reply(base_url, scene.phone, "1")[0].startswith("Thank you, confirmed:")
        assert reply(base_url, scene.phone, "1")[0].endswith(f"Elm Clinic. {CALL}")
    assert calls(desk, scene) == []


def test_within_the_notice_a_2_cancels(desk: Desk, base_url: str) -> None:
    scene = asked(desk, 120)
    with clock.stopped(THREE - 2 * HOUR - MINUTE):
        assert reply(base_url, scene.phone, "2")[0].startswith("Cancelled as you asked:")
    assert calls(desk, scene) == []
