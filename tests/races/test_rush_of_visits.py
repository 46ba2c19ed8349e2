"""Two hundred patients at two server processes want overlapping runs of slots: nobody gets a part of one."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.scheduling.documents import Slot
from tests import factories
from tests.factories import Run
from tests.races.rush import Call, all_at_once, all_at_once_while, post
from tests.races.support import (
    HOUR,
    Db,
    add_slot,
    forget_appointments,
    people,
    said,
    small_clinic,
    tomorrow,
    wired_server,
)
from tests.support.book import check_book

pytestmark = pytest.mark.races

EXPECTED = {"201", "SLOT_TAKEN", "NOT_ENOUGH_TIME"}


class Day:
    """A doctor's day of twelve half hours, and visits of one to four of them."""

    def __init__(self, run: Run[Any], capacities: Sequence[int]) -> None:
        clinic = small_clinic(run)
        doctor = factories.make_doctor(run, clinic, weekly_hours=[])
        self.slots: list[Slot] = [
            add_slot(run, doctor, clinic, tomorrow(9) + number * HOUR / 2, capacity, minutes=30)
            for number, capacity in enumerate(capacities)
        ]
        self.kinds = [run(create_visit_type(clinic.clinic_id, _kind(length))).visit_type_id for length in (2, 3, 4)]

    def calls(self, run: Run[Any], count: int) -> list[Call]:
        """Each patient wants another length from another start."""
        return [
            post(person, "/appointments", self._wanted(number)) for number, person in enumerate(people(run, count))
        ]

    def _wanted(self, number: int) -> dict[str, str]:
        slot, kind = self.slots[number * 5 % len(self.slots)], self.kinds[number % len(self.kinds)]
        return {"slot_id": str(slot.id), "visit_type_id": str(kind)}

    def check(self, db: Db, client: httpx.Client) -> int:
        """Holds what is stored and what is offered to the capacities. Returns how many visits there are."""
        check_book(db)
        ids = [slot.id for slot in self.slots]
        rows = list(db["appointments"].find({"seats.slot": {"$in": ids}, "active": True}))
        held = Counter(seat["slot"] for row in rows for seat in row["seats"])
        for row in rows:
            first = ids.index(row["seats"][0]["slot"])
            length = (row["end"] - row["start"]) // (HOUR / 2)
            assert [seat["slot"] for seat in row["seats"]] == ids[first : first + length], "a part is missing"
        for slot in self.slots:
            assert held[slot.id] <= slot.capacity
            assert client.get(f"/slots/{slot.id}").json()["free"] == slot.capacity - held[slot.id]
        return len(rows)


def _kind(length: int) -> NewVisitType:
    return NewVisitType(names={"en": f"{length} slots"}, minutes=length * 30)


@pytest.mark.long
@pytest.mark.parametrize(
    "capacities",
    [[1] * 12, [3] * 12, [1, 3, 2] * 4],
    ids=["one", "three", "mixed"],
)
def test_overlapping_runs_are_given_whole_or_not_at_all(
    run: Run[Any], db: Db, two_servers: tuple[str, str], api: httpx.Client, capacities: list[int]
) -> None:
    day = Day(run, capacities)
    answers = all_at_once(two_servers, day.calls(run, 200))
    granted = [answer.json() for answer in answers if answer.status_code == 201]
    assert {said(answer) for answer in answers} <= EXPECTED
    assert day.check(db, api) == len(granted) >= min(capacities) * 3
    for one in granted:
        row = db["appointments"].find_one({"_id": PydanticObjectId(one["id"])})
        assert row
        assert [str(seat["slot"]) for seat in row["seats"]] == one["slot_ids"]


@pytest.mark.long
@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_a_process_killed_amid_the_rush_leaves_no_part(
    run: Run[Any], db: Db, two_servers: tuple[str, str], api: httpx.Client, after: float
) -> None:
    for capacity in (1, 3):
        day = Day(run, [capacity] * 12)
        calls = day.calls(run, 200)
        with wired_server() as doomed:
            servers = (two_servers[0], doomed.program.base_url)
            answers = all_at_once_while(servers, calls, doomed.program.kill, after=after)
        granted = [answer for answer in answers if answer is not None and answer.status_code == 201]
        assert {said(answer) for answer in answers if answer is not None} <= EXPECTED
        time.sleep(0.5)  # what was sent before the end may still be written
        assert day.check(db, api) >= len(granted)
        forget_appointments(db)
