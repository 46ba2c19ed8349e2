"""What goes wrong on demand, and the emulator's other settings."""

import random
import time
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal[
    "hang",  # accepts, then never answers
    "hang_before_accept",  # never answers, and has not accepted
    "500_after_accept",
    "500_before_accept",
    "503",
    "429",
    "refuse",  # closes the connection; not accepted
    "reject",  # answers 400 with `code`
    "drop_after_accept",  # accepts, then closes the connection without an answer
    "slow",  # accepts, then answers after `milliseconds`
    "empty_answer",  # accepts, then answers `{}`, which the published schema allows
]
Operation = Literal["create", "list", "fetch"]

_RANDOM = random.Random(20260417)  # the same faults in every run


@dataclass
class Fault:
    """Befalls the requests that match: at most `count` of them, a `fraction` of them, or those to `numbers`."""

    mode: Mode
    operation: Operation = "create"
    count: int | None = None
    fraction: float = 1
    numbers: list[str] | None = None
    milliseconds: int = 1000
    code: int = 21612

    def befalls(self, operation: str, number: str) -> bool:
        """Counts down if it does."""
        if operation != self.operation or self.count == 0:
            return False
        if self.numbers is not None and number not in self.numbers:
            return False
        if self.fraction < 1 and _RANDOM.random() >= self.fraction:
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass
class Settings:
    """How the emulator behaves as a whole. Milliseconds, unless named otherwise."""

    listing_lag_seconds: float = 0  # a message accepted now shows in list and fetch after this time
    callbacks: bool = True
    callback_delay: int = 0
    callbacks_twice: bool = False
    callbacks_out_of_order: bool = False
    callback_before_answer: bool = False
    sent_after: int = 20
    delivered_after: int = 20
    per_second: float = 0  # creates; 0: no pacing
    pacing_code: int = 20429


@dataclass
class Pacing:
    """A bucket of one second's messages."""

    _room: float = 0
    _filled_at: float = field(default_factory=lambda: 0.0)

    def admits(self, per_second: float) -> bool:
        """Whether another message is within the pace."""
        if not per_second:
            return True
        moment = time.monotonic()
        self._room = min(max(per_second, 1), self._room + (moment - self._filled_at) * per_second)
        self._filled_at = moment
        if self._room < 1:
            return False
        self._room -= 1
        return True
