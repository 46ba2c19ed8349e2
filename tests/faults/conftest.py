"""A fleet of server processes with the emulator as their carrier, and this process as one more of them."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core.settings import settings
from backend.messaging.outbox.reconcile import Reconciler
from backend.messaging.outbox.sender import Dispatcher, Outbox, open_outbox
from backend.messaging.twilio.carrier import Twilio
from tests.emulator.client import Carrier, running_carrier
from tests.emulator.fixtures import clean_carrier
from tests.factories import Run
from tests.faults.fleet import Fleet, Member
from tests.faults.reminders import Db, Patient, make_due, undecided
from tests.faults.sizes import IS_FULL, LISTING_LAG, SIZE
from tests.support.servers import ServerThread

__all__ = ["clean_carrier"]

SLOW = 300  # milliseconds for an answer of the carrier


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Returns when something holds; fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def _settings(carrier: Carrier) -> dict[str, Any]:
    return {
        "TWILIO_ACCOUNT_SID": carrier.account_sid,
        "TWILIO_AUTH_TOKEN": carrier.auth_token,
        "TWILIO_PHONE_NUMBER": carrier.sender,
        "TWILIO_API_URL": carrier.base_url,
        "SMS_TIMEOUT_SECONDS": SIZE.timeout,
        "SMS_RECONCILE_AFTER_MINUTES": SIZE.reconcile_after / 60,
    }


@pytest.fixture(scope="session")
def carrier() -> Iterator[Carrier]:
    """The emulator. In the full run it holds everything against the contract.

    That takes it a sixtieth of a second for each message: too long for the short times of the suite, beside other
    tests. A message that it takes later than the settling time is one that goes out twice.
    """
    with running_carrier(*(["--validate"] if IS_FULL else [])) as carrier:
        yield carrier


@pytest.fixture
def fleet(server: ServerThread, carrier: Carrier) -> Iterator[Fleet]:
    """Three server processes, which a test starts. None outlives it: the next one's messages aren't for them."""
    chosen = {**_settings(carrier), "SMS_PER_SECOND": SIZE.per_second, "SCHEDULER_ENABLED": "true"}
    fleet = Fleet(3, {name: str(value) for name, value in chosen.items()})
    yield fleet
    fleet.close()


@dataclass(frozen=True)
class Hand:
    """What this process can do about messages: as a server process does, but when told to."""

    run: Run[Any]
    dispatcher: Dispatcher
    reconciler: Reconciler

    def dispatch(self) -> int:
        """Sends what is due."""
        return int(self.run(self.dispatcher.dispatch()))

    def reconcile(self) -> int:
        """Settles what is due."""
        return int(self.run(self.reconciler.reconcile()))

    def end_all(self, db: Db, seconds: float = 60) -> None:
        """Owes, sends and settles until every reminder and message has come to its end."""
        deadline = time.monotonic() + seconds
        while left := undecided(db):
            assert time.monotonic() < deadline, f"{left} messages come to no end"
            self.run(enqueue_due_reminders())
            self.reconcile()
            self.dispatch()
            time.sleep(0.1)


@pytest.fixture
def here(clean_carrier: Carrier, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets this process up to send through the emulator."""
    chosen = {**_settings(clean_carrier), "SMS_PER_SECOND": 0, "PUBLIC_BASE_URL": base_url}
    for name, value in chosen.items():
        monkeypatch.setattr(settings, name, value)


@pytest.fixture
def new_hand(run: Run[Any], here: None) -> Iterator[Callable[[], Hand]]:
    """Makes what a process has that has just been started, with the settings of the moment."""
    made: list[Twilio] = []

    async def make() -> Hand:
        made.append(Twilio())
        return Hand(run, Dispatcher(made[-1]), Reconciler(made[-1]))

    yield lambda: run(make())
    for twilio in made:
        run(twilio.close())


@pytest.fixture
def hand(new_hand: Callable[[], Hand]) -> Hand:
    """This process, as one that sends."""
    return new_hand()


@pytest.fixture
def new_outbox(run: Run[Any], here: None) -> Callable[[], contextlib.AbstractContextManager[Outbox]]:
    """Opens an outbox on the server's loop, as a server process has it."""

    @contextlib.contextmanager
    def opened() -> Iterator[Outbox]:
        async def call(work: Any) -> Any:
            return await work

        outbox = open_outbox()
        try:
            yield run(call(outbox.__aenter__()))
        finally:
            run(call(outbox.__aexit__(None, None, None)))

    return opened


@pytest.fixture
def member(fleet: Fleet) -> Member:
    """A server process that doesn't run yet."""
    return fleet.members[0]


@pytest.fixture
def patients(run: Run[Any], db: Db, clean_carrier: Carrier) -> list[Patient]:
    """Whose reminders are due. The carrier answers slowly, lists late, and reports nothing."""
    clean_carrier.callbacks(on=False)
    clean_carrier.listing_lag(LISTING_LAG)
    clean_carrier.faults("slow", milliseconds=SLOW)
    return make_due(run, db, SIZE.reminders // 4)
