"""The carrier of the messages' tests: the emulator, to which this process posts by the product's own client."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from backend.core.settings import settings
from backend.messaging.outbox.sender import Dispatcher
from backend.messaging.twilio.carrier import Twilio
from tests.emulator.client import Carrier
from tests.factories import Run


def set_up_for(emulator: Carrier) -> dict[str, Any]:
    """The settings of a process that sends by the emulator, as fast as it can."""
    return {
        "TWILIO_ACCOUNT_SID": emulator.account_sid,
        "TWILIO_AUTH_TOKEN": emulator.auth_token,
        "TWILIO_PHONE_NUMBER": emulator.sender,
        "TWILIO_API_URL": emulator.base_url,
        "SMS_PER_SECOND": 0,
    }


@dataclass(frozen=True)
class Network:
    """Takes every message and reports nothing, but for the numbers of which it was told otherwise."""

    run: Run[Any]
    emulator: Carrier
    twilio: Twilio

    def dispatcher(self) -> Dispatcher:
        """What sends by it, as one process has it."""
        return Dispatcher(self.twilio)

    def send(self) -> int:
        """Sends what is owed or queued; answers how many messages were posted."""
        posted: int = self.run(self.dispatcher().dispatch())
        return posted

    @property
    def taken(self) -> list[tuple[str, str]]:
        """Every message that was accepted, with its number, oldest first."""
        return [(message["to"], message["body"]) for message in self.emulator.messages()]

    def texts(self, to: str) -> list[str]:
        """What was accepted for a number, oldest first."""
        return [message["body"] for message in self.emulator.messages(to=to)]

    def refuses(self, phone: str, code: int) -> None:
        """From now on messages to the number are refused for good, with Twilio's code."""
        self.emulator.faults("reject", numbers=[phone], code=code)

    def is_too_busy(self, phone: str) -> None:
        """From now on messages to the number are answered 429."""
        self.emulator.faults("429", numbers=[phone])

    def loses(self, phone: str) -> None:
        """From now on messages to the number are accepted, but the answer is 500: nobody can tell."""
        self.emulator.faults("500_after_accept", numbers=[phone])

    def is_slow(self, phone: str, milliseconds: int) -> None:
        """From now on messages to the number are accepted at once, and answered only after this time."""
        self.emulator.faults("slow", numbers=[phone], milliseconds=milliseconds)

    def forgives(self) -> None:
        """Nothing of that holds any more."""
        self.emulator.no_faults()

    def reports_early(self, phone: str, *says: str, error_code: int | None = None) -> None:
        """From now on these are reported of a message to the number, in this order, before the post is answered.

        Needs the fixture `within_reach`.
        """
        self.emulator.wait_until_quiet()  # of messages that were taken before, nothing is reported
        self.emulator.callbacks(on=True)
        self.emulator.outcome(phone, says[-1], error_code, early=says)


@contextmanager
def connected(run: Run[Any], emulator: Carrier, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """This process set up for the emulator, with a client on the server's loop."""
    for name, value in set_up_for(emulator).items():
        monkeypatch.setattr(settings, name, value)
    emulator.callbacks(on=False)

    async def new_client() -> Twilio:
        return Twilio()

    twilio = run(new_client())
    yield Network(run, emulator, twilio)
    run(twilio.close())
