"""With SLOT_HINTS_ENABLED=false searches count every slot: they set no hint and trust none. Clearing goes on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from backend.core.settings import settings
from backend.directory.documents import Clinic, Policy
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.scheduling.documents import ANY_LENGTH
from backend.scheduling.slots.full_hint import repair_full_hints
from tests import factories
from tests.appointments.commands import recorded
from tests.factories import Person, Run
from tests.scheduling.slots.test_full_hint import hold_seats
from tests.scheduling.support import Db, at, book, done, every_day, on_the_wall, opened, slot_at, slots_in, text

FULL_UNTIL = at("00:00", days=5)
NINE = timedelta(hours=9)

Search = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """Open for booking so far ahead that a search has slots to skip."""
    return factories.make_clinic(run, policy=Policy(horizon_days=10))


@pytest.fixture
def doctor(run: Run[Any], clinic: Clinic) -> Person:
    """Four half-hours each morning."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00"))
    opened(run, doctor)
    return doctor


@pytest.fixture
def hour(run: Run[Any], clinic: Clinic) -> str:
    """A visit of two slots."""
    wanted = NewVisitType(names={"en": "An hour"}, minutes=60)
    return str(run(create_visit_type(clinic.clinic_id, wanted)).visit_type_id)


@pytest.fixture
def first_offered(api: httpx.Client, clinic: Clinic) -> Search:
    """Searches the clinic."""

    def ask(**wanted: str) -> list[dict[str, Any]]:
        asked = {"limit": "5", "clinic_id": str(clinic.clinic_id), **wanted}
        found: list[dict[str, Any]] = done(api.get("/slots", params=asked))["items"]
        return found

    return ask


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Switches the hints on or off."""
    return lambda on: monkeypatch.setattr(settings, "SLOT_HINTS_ENABLED", on)


def fill(db: Db, doctor: Person, every: int) -> int:
    """Takes every slot of the first days, or every second one. Returns how many slots these days have."""
    slots = [slot for slot in slots_in(db, doctor) if slot["start"] < FULL_UNTIL]
    hold_seats(db, slots[every - 1 :: every])
    return len(slots)


def hinted(db: Db, doctor: Person) -> int:
    return sum(slot["known_full"] or slot["known_longest"] != ANY_LENGTH for slot in slots_in(db, doctor))


def measured(name: str) -> tuple[float, float]:
    """A counter's values for full slots, and for those that are too short."""
    full, length = (
        REGISTRY.get_sample_value(f"slot_hints_{name}_total", {"hint": kind}) for kind in ("full", "length")
    )
    return full or 0, length or 0


@pytest.mark.parametrize("every", [1, 2], ids=["every slot taken", "every second slot taken"])
def test_the_answer_is_the_same_without_hints_and_none_is_set(
    db: Db, doctor: Person, hour: str, first_offered: Search, switch: Callable[[bool], None], every: int
) -> None:
    wanted = {"visit_type_id": hour} if every > 1 else {}
    slots = fill(db, doctor, every)
    full, length = measured("set")
    switch(False)
    with recorded(db) as commands:
        without = first_offered(**wanted)
    assert not commands.writes
    assert without[0]["start"] == text(FULL_UNTIL + NINE)
    assert hinted(db, doctor) == 0
    assert measured("set") == (full, length)
    switch(True)
    assert first_offered(**wanted) == without
    newly_full, newly_short = measured("set")[0] - full, measured("set")[1] - length
    assert newly_full == slots // every
    assert newly_full + newly_short == hinted(db, doctor) >= slots
    switch(False)
    with recorded(db) as commands:
        assert first_offered(**wanted) == without
    assert commands.documents_examined > slots


def test_a_wrong_hint_hides_nothing_without_hints(
    db: Db, doctor: Person, hour: str, first_offered: Search, switch: Callable[[bool], None]
) -> None:
    """Neither that a slot is full, where it is first or behind, nor that it is short."""
    mine = {"doctor_id": doctor.object_id, "is_active": True}
    db["slots"].update_many(mine, {"$set": {"known_full": True, "known_longest": 15}})
    assert first_offered() == first_offered(visit_type_id=hour) == []
    switch(False)
    assert [on_the_wall(slot["start"]) for slot in first_offered()][:4] == ["09:00", "09:30", "10:00", "10:30"]
    assert [on_the_wall(slot["start"]) for slot in first_offered(visit_type_id=hour)][:3] == [
        "09:00",
        "09:30",
        "10:00",
    ]


def test_hints_are_cleared_and_repaired_while_they_are_off(
    run: Run[Any],
    api: httpx.Client,
    db: Db,
    doctor: Person,
    patient: Person,
    first_offered: Search,
    switch: Callable[[bool], None],
) -> None:
    appointment = book(patient, slot_at(api, doctor, "09:30"))
    others = [slot for slot in slots_in(db, doctor) if str(slot["_id"]) != appointment["slot_id"]]
    hold_seats(db, others[:20])
    first_offered()
    switch(False)
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    freed = next(slot for slot in others[:20] if slot["start"] == at("09:00", days=2))
    db["appointments"].delete_one({"seats.slot": freed["_id"], "active": True})
    full, length = measured("repaired")
    assert run(repair_full_hints()) == 1
    assert measured("repaired") == (full + 1, length)
    switch(True)
    assert [slot["start"] for slot in first_offered()][:2] == [appointment["start"], text(at("09:00", days=2))]
