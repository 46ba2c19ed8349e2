"""Server processes that can be killed at a chosen moment and are started anew on the same port."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.servers import Program, free_port, launch
from tests.support.wire import Command, Held, Wire

WORTH_WAITING = 4  # seconds for a process to come to the moment at which it is to be killed
_STARTING = 20  # seconds, if none is up yet

_UNTIL_EXECUTED = 0.03  # seconds that the database needs at the most for a small write


class Member:
    """One server process after another, with one port and one wire to the database."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.wire = Wire(urlsplit(os.environ["MONGODB_URL"]).port or 0)
        self._environment = environment
        self.program: Program | None = None

    def start(self, **over: str) -> None:
        """In the place of one that may still run, with some settings changed. Doesn't wait until it is ready."""
        if self.program:
            self.program.kill()
        environment = {**self._environment, "MONGODB_URL": self.wire.url, **over}
        self.program = launch("-m", "backend", "serve", "--port", str(self.port), environment=environment)
        self.program.base_url = self.base_url

    def kill(self) -> None:
        """kill -9."""
        assert self.program
        self.program.kill()

    def pause(self) -> None:
        """It stands still from now on, and knows nothing of it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def ask_to_end(self) -> None:
        """As whoever runs it does."""
        self._signal(signal.SIGTERM)

    def readiness(self) -> httpx.Response:
        """What it says of itself."""
        return httpx.get(f"{self.base_url}/health/ready", timeout=10)

    def is_ready(self) -> bool:
        """Whether it says so; False, too, if it says nothing."""
        with contextlib.suppress(httpx.TransportError):
            return self.readiness().status_code == 200
        return False

    def close(self) -> None:
        """Ends the process and the wire."""
        if self.program:
            self.program.kill()
        self.wire.close()

    def _signal(self, number: int) -> None:
        assert self.program
        os.killpg(self.program.process.pid, number)


class Fleet:
    """So many members. Status callbacks go to the first."""

    def __init__(self, count: int, environment: Mapping[str, str]) -> None:
        changed = dict(environment)
        self.members = [Member(changed) for _ in range(count)]
        changed["PUBLIC_BASE_URL"] = self.public_url = self.members[0].base_url

    def close(self) -> None:
        """Ends all."""
        for member in self.members:
            member.close()


def is_claim(command: Command) -> bool:
    """Whether it is the write with which messages are claimed."""
    return command.collection == "sms_logs" and bool(attempts_in(command))


def attempts_in(command: Command) -> list[str]:
    """The attempts that a claim writes down: of queued messages, or of new ones."""
    written = command.documents if command.name == "insert" else _set_by(command)
    return [fields["attempt_id"] for fields in written if "attempt_id" in fields]


def is_first_of_outcome(command: Command) -> bool:
    """Whether it is what follows from a message's having been taken: written before its status."""
    return command.collection == "appointments" and any(
        "confirmation_requested_at" in fields for fields in _set_by(command)
    )


def is_outcome(command: Command) -> bool:
    """Whether it is the write of a message's status after its post."""
    return command.collection == "sms_logs" and any(
        fields.get("status") in ("sent", "delivered", "unknown") for fields in _set_by(command)
    )


def _set_by(command: Command) -> Iterator[dict[str, Any]]:
    """What each update of a command sets, be it written as a pipeline or not."""
    for update in command.updates:
        stages = update["u"] if isinstance(update["u"], list) else [update["u"]]
        yield from (stage["$set"] for stage in stages if "$set" in stage)


@dataclass
class Tally:
    """How many processes were killed at which moment, and what became of the messages they had in hand."""

    kills: dict[str, int] = field(default_factory=dict)
    not_posted: int = 0
    not_recorded: int = 0

    @property
    def placed(self) -> int:
        """Kills at a chosen moment."""
        return sum(count for moment, count in self.kills.items() if moment != "at any moment")


class Killer:
    """Kills whichever process is the first to come to a moment, and starts it anew at once.

    `accepted()` gives the numbers of all messages that the carrier has taken so far.
    """

    def __init__(self, fleet: Fleet, logs: Any, accepted: Callable[[], set[str]], chance: random.Random) -> None:
        self._fleet, self._logs, self._accepted, self._chance = fleet, logs, accepted, chance
        self.tally = Tally()

    def kill_one(self) -> None:
        """Of the moments one by turns; one in five kills comes whenever it comes."""
        number = sum(self.tally.kills.values())
        if number % 5 == 4:
            self._anywhere()
            return
        moment, which = (
            ("before the post", is_claim),
            ("in mid-answer", is_claim),
            ("before the write", is_outcome),
            ("before the write", is_first_of_outcome),
        )[number % 5]
        with ExitStack() as holds:
            helds = [holds.enter_context(member.wire.holding(which)) for member in self._fleet.members]
            victim = self._first(helds)
            if victim is None:
                self._anywhere()
                return
            member, held = self._fleet.members[victim], helds[victim]
            for other in helds:
                if other is not held:
                    other.release()
            self._kill(member, held, moment)
        member.start()
        self._count(moment)

    def _first(self, helds: list[Held]) -> int | None:
        deadline = time.monotonic() + (WORTH_WAITING if self.tally.kills else _STARTING)
        while time.monotonic() < deadline:
            for number, held in enumerate(helds):
                if held.comes_within(0.005):
                    return number
        return None

    def _kill(self, member: Member, held: Held, moment: str) -> None:
        assert held.command
        if moment == "before the write":
            member.kill()
            held.lose()
            return
        if moment == "before the post":
            member.pause()  # it will never hear that the claim was written
            held.release()
            time.sleep(_UNTIL_EXECUTED)
        else:
            held.release()
            time.sleep(self._chance.uniform(0.1, 0.25))  # the answers take longer
        member.kill()
        self._look_at(attempts_in(held.command))

    def _look_at(self, attempts: list[str]) -> None:
        """Counts the messages that the process had in hand."""
        left = list(self._logs.find({"attempt_id": {"$in": attempts}, "status": "sending"}, {"phone": 1}))
        accepted = self._accepted()
        posted = sum(row["phone"] in accepted for row in left)
        self.tally.not_recorded += posted
        self.tally.not_posted += len(left) - posted

    def _anywhere(self) -> None:
        time.sleep(self._chance.random())
        member = self._chance.choice(self._fleet.members)
        member.kill()
        member.start()
        self._count("at any moment")

    def _count(self, moment: str) -> None:
        self.tally.kills[moment] = self.tally.kills.get(moment, 0) + 1
