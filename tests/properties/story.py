"""What all rules of the random stories share: the world, and choosing somebody or something in it."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.factories import Person, Run
from tests.properties.small_world import Db, Kind, Row, World
from tests.support.book import Crowd

doctors = st.integers(0, 1)
any_one = st.integers(0, 10_000)
half_hours = st.integers(-2, 60)
lengths = st.integers(1, 12)


def the(rows: list[Row], number: int, *, latest: int = 12) -> Row | None:
    """One of the latest rows."""
    return rows[-latest:][number % len(rows[-latest:])] if rows else None


class Story(RuleBasedStateMachine):
    """A small world in which something happens."""

    def __init__(self, run: Run[Any], db: Db) -> None:
        super().__init__()
        self.run, self.db = run, db
        self.world = World(run, db)
        self.before = Crowd()

    def teardown(self) -> None:
        self.world.end()

    def doctor(self, number: int) -> Person:
        return self.world.doctors[number]

    def kind(self, number: int) -> Kind | None:
        """One of the visit types, or none: every other time."""
        return self.world.kinds[number // 2 % len(self.world.kinds)] if number % 2 else None

    def span(self, start: int, length: int) -> dict[str, str]:
        """So many half-hours, from the n-th from now on."""
        begins = self.world.now.replace(minute=0) + timedelta(minutes=30 * start)
        return {"start": begins.isoformat(), "end": (begins + timedelta(minutes=30 * length)).isoformat()}

    def long_visit(self, number: int) -> Row | None:
        """An active appointment over several slots that isn't over."""
        rows = [row for row in self.world.active() if len(row["seats"]) > 1 and row["end"] > self.world.now]
        return the(rows, number)

    def check_report(self, report: Row, inside: list[Row]) -> None:
        """The report of a withdrawal has every appointment in its time, each once."""
        listed = [row["appointment_id"] for row in report["appointments"]]
        assert len(listed) == len(set(listed)), "an appointment is in the report twice"
        assert set(listed) == {str(row["_id"]) for row in inside}
