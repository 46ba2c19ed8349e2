"""Three server processes, killed at the worst moments while reminders are due: each patient gets exactly one."""

import random
import sys
import time
from typing import Any

import pytest

from backend.core.settings import settings
from tests.emulator.client import Carrier
from tests.factories import Run
from tests.faults.conftest import Hand
from tests.faults.fleet import Fleet, Killer
from tests.faults.reminders import Db, check_reminded_once, make_due, undecided
from tests.faults.sizes import IS_FULL, LISTING_LAG, SIZE

pytestmark = pytest.mark.long


def faulty(carrier: Carrier) -> None:
    """A third of all posts goes wrong in one of seven ways; the others are answered slowly."""
    carrier.faults("500_after_accept", fraction=0.07)
    carrier.faults("hang", fraction=0.06)
    carrier.faults("drop_after_accept", fraction=0.06)
    carrier.faults("500_before_accept", fraction=0.04)
    carrier.faults("hang_before_accept", fraction=0.04)
    carrier.faults("refuse", fraction=0.04)
    carrier.faults("429", fraction=0.04)
    carrier.faults("slow", milliseconds=300)


def slow(carrier: Carrier) -> None:
    """All goes well, but takes long enough to be killed in."""
    carrier.faults("slow", milliseconds=300)


@pytest.mark.timeout(900 if IS_FULL else 120)
@pytest.mark.parametrize("carrier_is", [slow, faulty] if IS_FULL else [faulty], ids=lambda each: each.__name__)
def test_every_patient_gets_one_reminder_whichever_processes_are_killed(
    run: Run[Any],
    db: Db,
    fleet: Fleet,
    clean_carrier: Carrier,
    hand: Hand,
    carrier_is: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(20261121)
    began = time.monotonic()
    patients = make_due(run, db, SIZE.reminders)
    carrier_is(clean_carrier)
    clean_carrier.listing_lag(LISTING_LAG)
    opted_out = patients[:: SIZE.reminders // 3]
    for patient in opted_out:
        clean_carrier.reply(patient.phone, "STOP")
    made = time.monotonic()
    for member in fleet.members:
        member.start()
    killer = Killer(fleet, db["sms_logs"], lambda: {each["to"] for each in clean_carrier.messages()}, chance)
    while sum(killer.tally.kills.values()) < SIZE.kills:
        clean_carrier.callbacks(on=chance.random() < 0.5)
        killer.kill_one()
    left = undecided(db)
    killed = time.monotonic()
    monkeypatch.setattr(settings, "SMS_PER_SECOND", 2 * SIZE.per_second)
    hand.end_all(db, seconds=120)
    ended = time.monotonic()
    clean_carrier.wait_until_quiet()
    check_reminded_once(db, clean_carrier, patients, opted_out)
    tally, counts = killer.tally, clean_carrier.counts()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{carrier_is.__name__}: {len(patients)} reminders, {sum(tally.kills.values())} kills {tally.kills}; "
            f"messages in hand: {tally.not_posted} claimed and not posted, {tally.not_recorded} taken and not "
            f"recorded; {left} open after the last kill; posts {counts['requests']['create']}, accepted "
            f"{counts['accepted']}, lists {counts['requests'].get('list', 0)}, answers {dict(counts['answers'])}; "
            f"made in {made - began:.1f} s, killing {killed - made:.1f} s, ending {ended - killed:.1f} s\n"
        )
    assert tally.placed >= SIZE.kills / 2
