"""Whatever a client sends, as whichever role: no 5xx, and no answer that the document doesn't describe.

FUZZ_EXAMPLES=500 runs it longer: that many random requests an operation and role, instead of a handful, and all
that try a bound, instead of some of each operation's.
"""

import math
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case

from backend.core import clock
from tests.contract.document import OPERATIONS
from tests.contract.fuzzing import Fuzzing, open_document
from tests.contract.world import NOW
from tests.factories import Run

pytestmark = pytest.mark.long

IS_LONG = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
MOST_BOUNDS = 10_000 if IS_LONG else 12
SECONDS = 120 + 5 * EXAMPLES

bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,  # the same requests each time
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@cache
def _operations() -> dict[str, APIOperation]:
    found = [result.ok() for result in open_document().get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.fixture(params=OPERATIONS)
def fuzzing(request: pytest.FixtureRequest, run: Run[Any], base_url: str) -> Iterator[Fuzzing]:
    """Each operation, at NOW."""
    with clock.stopped(NOW):
        yield Fuzzing(_operations()[request.param], run, base_url)


@pytest.mark.timeout(SECONDS)
def test_every_answer_to_a_bound_is_described(fuzzing: Fuzzing) -> None:
    cases = list(fuzzing.bounds())
    for case in cases[:: math.ceil(len(cases) / MOST_BOUNDS)]:
        assert fuzzing.as_somebody(case) == []


@pytest.mark.timeout(SECONDS)
def test_every_answer_to_anything_is_described(fuzzing: Fuzzing) -> None:
    @bounded
    @given(fuzzing.anything())
    def send(case: Case[Any]) -> None:
        assert fuzzing.as_everybody(case) == []

    send()
