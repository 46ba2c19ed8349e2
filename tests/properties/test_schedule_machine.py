"""Random stories by several people against the real server; after every step the book must be right.

PROPERTY_EXAMPLES says how many stories are told (default 3; 30 among the long tests). A failure prints the shortest
story that shows it.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.factories import Run
from tests.properties.expected import offers
from tests.properties.fit_in_rules import FitInRules
from tests.properties.merge_rules import MergeRules
from tests.properties.schedule_rules import ScheduleRules
from tests.properties.small_world import Db
from tests.properties.visit_rules import VisitRules
from tests.support.book import check_book, check_marks, check_slots, crowd
from tests.support.visits import check_visits

STORIES = int(os.environ.get("PROPERTY_EXAMPLES", "3"))
MANY_STORIES = int(os.environ.get("PROPERTY_EXAMPLES", "30"))
STEPS, MANY_STEPS = 15, 30


class ClinicStory(VisitRules, ScheduleRules, FitInRules, MergeRules):
    """The people of a small world doing what people do, and what must be true whatever they did."""

    def __init__(self, run: Run[Any], db: Db) -> None:
        super().__init__(run, db)
        self.step = 0

    @invariant()
    def the_book_is_right(self) -> None:
        check_book(self.db, before=self.before)
        check_slots(self.db)
        check_visits(self.db)
        self.before = crowd(self.db)

    @invariant()
    def what_was_called_off_is_marked(self) -> None:
        check_marks(self.db)

    @invariant()
    def the_search_offers_what_is_free(self) -> None:
        """For a slot, and for one of the visit types: each in turn, to the public and to staff."""
        self.step += 1
        types, staff = self.world.kinds, self.step % 2 == 0
        for kind in (None, types[self.step // 2 % len(types)]):
            found = {key: slot["free"] for key, slot in self.world.offered(kind, staff=staff).items()}
            assert found == offers(self.world, kind, staff=staff)


def tell(run: Run[Any], db: Db, *, stories: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: ClinicStory(run, db),
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            derandomize="PROPERTY_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_story_makes_the_book_wrong(run: Run[Any], db: Db) -> None:
    tell(run, db, stories=STORIES, steps=STEPS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_none_of_many_stories_makes_the_book_wrong(run: Run[Any], db: Db) -> None:
    tell(run, db, stories=MANY_STORIES, steps=MANY_STEPS)
