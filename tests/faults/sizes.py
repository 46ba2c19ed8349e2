"""How much the tests of faults do: a little in the suite, what was asked for with FAULTS=full (`make faults`)."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How many reminders and kills there are, and how long things take, in seconds."""

    reminders: int
    kills: int
    timeout: float
    reconcile_after: float
    per_second: int
    away: float


IS_FULL = os.environ.get("FAULTS") == "full"

SIZE = (
    Size(reminders=500, kills=60, timeout=2, reconcile_after=5, per_second=6, away=20)
    if IS_FULL
    else Size(reminders=60, kills=5, timeout=0.8, reconcile_after=1.5, per_second=10, away=1)
)

LISTING_LAG = SIZE.reconcile_after / 4
"""The carrier lists a message later than it takes it, but sooner than it is asked."""
