"""One server process that is stopped and goes on late, and one that is asked to end."""

import time

import pytest

from tests.emulator.client import Carrier
from tests.faults.conftest import SLOW, Hand, wait_until
from tests.faults.fleet import Member, attempts_in, is_claim
from tests.faults.reminders import Db, Patient, check_reminded_once

pytestmark = pytest.mark.long


def test_a_process_that_stood_still_longer_than_its_lease_posts_nothing_late(
    db: Db, clean_carrier: Carrier, hand: Hand, member: Member, patients: list[Patient]
) -> None:
    """It was stopped between its claim and its posts. Meanwhile another process has settled and sent them."""
    with member.wire.holding(is_claim) as claim:
        member.start()
        assert claim.arrived()
        member.pause()
    assert claim.command
    in_hand = attempts_in(claim.command)
    assert in_hand
    hand.end_all(db)
    posts = clean_carrier.counts()["requests"]["create"]
    assert posts == len(patients)
    member.resume()
    wait_until(member.is_ready)
    time.sleep(2 * SLOW / 1000)
    assert clean_carrier.counts()["requests"]["create"] == posts
    check_reminded_once(db, clean_carrier, patients)


def test_a_process_that_is_asked_to_end_waits_for_its_answers(
    db: Db, clean_carrier: Carrier, hand: Hand, member: Member, patients: list[Patient]
) -> None:
    clean_carrier.no_faults()
    clean_carrier.faults("slow", milliseconds=1500)  # longer than the loop waits for its next second
    with member.wire.holding(is_claim, skip=1) as claim:
        member.start(SMS_TIMEOUT_SECONDS="10")  # however busy the machine is, the answers come in time
        assert claim.arrived()
        claim.release()
        while clean_carrier.counts()["in_flight"] == 0:
            time.sleep(0.01)
        member.ask_to_end()
        assert member.program
        assert member.program.wait() == 0
    assert claim.command
    in_hand = db["sms_logs"].find({"attempt_id": {"$in": attempts_in(claim.command)}})
    assert {row["status"] for row in in_hand} == {"sent"}
    assert db["sms_logs"].count_documents({"status": {"$in": ["sending", "unknown"]}}) == 0
    hand.end_all(db)
    check_reminded_once(db, clean_carrier, patients)
