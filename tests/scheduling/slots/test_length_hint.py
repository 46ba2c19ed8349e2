"""Free slots that are too short for a visit are skipped; whatever makes room behind them brings them back."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic, Policy
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.scheduling.documents import ANY_LENGTH
from backend.scheduling.slots.full_hint import repair_full_hints
from tests import factories
from tests.appointments.commands import recorded
from tests.factories import Person, Run
from tests.scheduling.slots.test_full_hint import hold_seats
from tests.scheduling.support import (
    Db,
    add_slot,
    at,
    book,
    done,
    every_day,
    on_the_wall,
    opened,
    search,
    slot_at,
    slots_in,
    text,
    try_booking,
)

DAYS = 6
LIMIT = 3


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """Open for booking so far ahead that a search has slots to skip."""
    return factories.make_clinic(run, policy=Policy(horizon_days=10))


@pytest.fixture
def doctor(run: Run[Any], clinic: Clinic) -> Person:
    """Eight half-hours each day from 9:00 on."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "13:00"))
    opened(run, doctor)
    return doctor


@pytest.fixture
def hour(run: Run[Any], clinic: Clinic) -> str:
    """A visit of two slots."""
    return visit_type(run, clinic, 60)


def visit_type(run: Run[Any], clinic: Clinic, minutes: int, **fields: Any) -> str:
    wanted = NewVisitType(names={"en": f"{minutes} minutes"}, minutes=minutes, **fields)
    return str(run(create_visit_type(clinic.clinic_id, wanted)).visit_type_id)


def take(db: Db, doctor: Person, *times: str, days: range = range(DAYS)) -> None:
    """Takes the slots of these times on the first days."""
    taken = {at(time, days=day) for day in days for time in times}
    hold_seats(db, [slot for slot in slots_in(db, doctor) if slot["start"] in taken])


def first_offered(api: httpx.Client, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(api.get("/slots", params={"limit": LIMIT, "visit_type_id": kind}))["items"]
    return found


def monday(api: httpx.Client, kind: str) -> list[str]:
    """The times on Monday at which the visit can start."""
    found = search(api, visit_type_id=kind, to=text(at("00:00", days=1)))
    return [on_the_wall(slot["start"]) for slot in found]


def hints(db: Db, doctor: Person) -> dict[str, int]:
    """The hints of Monday's slots, by time."""
    rows = [slot for slot in slots_in(db, doctor) if slot["start"] < at("00:00", days=1)]
    return {
        on_the_wall(text(slot["start"])): slot["known_longest"]
        for slot in rows
        if slot["known_longest"] != ANY_LENGTH
    }


def take_every_second(db: Db, doctor: Person, api: httpx.Client, hour: str) -> None:
    """Leaves no room for an hour on the first days, and lets a search find that out."""
    take(db, doctor, "09:30", "10:30", "11:30", "12:30")
    assert first_offered(api, hour)[0]["start"] == text(at("09:00", days=DAYS))
    assert hints(db, doctor) == dict.fromkeys(("09:00", "10:00", "11:00", "12:00"), 30)


def test_a_search_in_a_book_of_gaps_examines_no_more(api: httpx.Client, doctor: Person, db: Db, hour: str) -> None:
    take(db, doctor, "09:30", "10:30", "11:30", "12:30")
    with recorded(db) as at_first:
        first = first_offered(api, hour)
    assert first[0]["start"] == text(at("09:00", days=DAYS))
    with recorded(db) as commands:
        assert first_offered(api, hour) == first
    assert commands.documents_examined <= 4 * (LIMIT + 10) < at_first.documents_examined / 3
    assert not commands.writes


def test_the_hint_counts_for_longer_visits_alone(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, hour: str
) -> None:
    take_every_second(db, doctor, api, hour)
    assert monday(api, visit_type(run, clinic, 30)) == ["09:00", "10:00", "11:00", "12:00"]
    assert monday(api, visit_type(run, clinic, 20)) == ["09:00", "10:00", "11:00", "12:00"]
    assert len(search(api, doctor_id=doctor.id, to=text(at("00:00", days=1)))) == 4


def test_a_visit_runs_through_slots_that_have_the_hint(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, hour: str
) -> None:
    """It can't start in the last slot before a full one, and takes it all the same."""
    take(db, doctor, "10:30", "11:30", "12:30")
    first_offered(api, visit_type(run, clinic, 120))
    assert hints(db, doctor)["10:00"] == 30
    assert [slot["start"] for slot in first_offered(api, hour)][:2] == [text(at("09:00")), text(at("09:30"))]
    assert monday(api, hour) == ["09:00", "09:30"]
    assert monday(api, visit_type(run, clinic, 90)) == ["09:00"]


def test_a_seat_given_back_makes_room(api: httpx.Client, doctor: Person, db: Db, patient: Person, hour: str) -> None:
    appointment = book(patient, slot_at(api, doctor, "10:30"))
    take(db, doctor, "09:30", "11:30", "12:30")
    take(db, doctor, "10:30", days=range(1, DAYS))
    first_offered(api, hour)
    assert hints(db, doctor)["10:00"] == 30
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    assert monday(api, hour) == ["10:00", "10:30"]


def test_a_slot_that_opens_makes_room(
    api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, admin: Person, hour: str
) -> None:
    span = {"start": text(at("09:30")), "end": text(at("10:00"))}
    leave = done(admin.client.post(f"/doctors/{doctor.id}/leaves", json=span), 201)
    take_every_second_but_first(db, doctor)
    first_offered(api, hour)
    assert hints(db, doctor) == dict.fromkeys(("09:00", "10:00", "11:00", "12:00"), 30)
    done(admin.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
    assert monday(api, hour) == ["09:00", "09:30"]


def take_every_second_but_first(db: Db, doctor: Person) -> None:
    take(db, doctor, "10:30", "11:30", "12:30", days=range(1))
    take(db, doctor, "09:30", "10:30", "11:30", "12:30", days=range(1, DAYS))


def test_a_slot_added_behind_the_last_makes_room(
    api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, hour: str
) -> None:
    take(db, doctor, "09:00", "10:00", "11:00", "12:00")
    first_offered(api, hour)
    assert hints(db, doctor)["12:30"] == 30
    add_slot(doctor, clinic, "13:00")
    assert monday(api, hour) == ["12:30"]


def test_more_seats_make_room(api: httpx.Client, doctor: Person, db: Db, admin: Person, hour: str) -> None:
    take_every_second(db, doctor, api, hour)
    full = next(slot for slot in slots_in(db, doctor) if slot["start"] == at("09:30"))
    done(admin.client.patch(f"/slots/{full['_id']}", json={"capacity": 2}))
    assert monday(api, hour) == ["09:00", "09:30"]


def test_a_higher_limit_of_the_day_makes_room(
    run: Run[Any], api: httpx.Client, doctor: Person, admin: Person, db: Db, hour: str
) -> None:
    """A day that is full by its limit hints at nothing that outlasts the limit."""
    take(db, doctor, "09:30", days=range(DAYS))
    done(admin.client.patch(f"/doctors/{doctor.id}", json={"max_patients_per_day": 1}))
    first_offered(api, hour)
    assert monday(api, hour) == []
    done(admin.client.patch(f"/doctors/{doctor.id}", json={"max_patients_per_day": 2}))
    assert monday(api, hour)[0] == "10:00"


def test_a_buffer_that_loses_its_slot_needs_none(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, admin: Person, patient: Person
) -> None:
    kind = visit_type(run, clinic, 30, buffer_minutes=30)
    take(db, doctor, "09:30", "10:30", "11:30", "12:30")
    first_offered(api, visit_type(run, clinic, 60))
    assert monday(api, kind) == []
    full = next(slot for slot in slots_in(db, doctor) if slot["start"] == at("09:30"))
    done(admin.client.delete(f"/slots/{full['_id']}"))
    assert monday(api, kind) == ["09:00"]
    book(patient, slot_at(api, doctor, "09:00"), visit_type_id=kind)


def test_booking_ignores_the_hint(api: httpx.Client, doctor: Person, db: Db, patient: Person, hour: str) -> None:
    db["slots"].update_many({"doctor_id": doctor.object_id, "is_active": True}, {"$set": {"known_longest": 15}})
    assert monday(api, hour) == []
    slot = next(slot for slot in slots_in(db, doctor) if slot["start"] == at("09:30"))
    answer = try_booking(patient, {"id": str(slot["_id"])}, visit_type_id=hour)
    assert answer.status_code == 201, answer.text


def test_the_job_clears_wrong_hints_and_keeps_right_ones(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db, hour: str
) -> None:
    take_every_second(db, doctor, api, hour)
    right = hints(db, doctor)
    assert run(repair_full_hints()) == 0
    wrong = {"doctor_id": doctor.object_id, "is_active": True, "start": {"$gte": at("09:00", days=DAYS)}}
    changed = db["slots"].update_many(wrong, {"$set": {"known_longest": 15}}).modified_count
    assert first_offered(api, hour) == []
    assert run(repair_full_hints()) == changed
    assert hints(db, doctor) == right
    assert first_offered(api, hour)[0]["start"] == text(at("09:00", days=DAYS))


def test_the_job_clears_both_hints_where_a_process_died(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db, hour: str
) -> None:
    """The seat was given back, and nothing more."""
    take_every_second(db, doctor, api, hour)
    full = next(slot for slot in slots_in(db, doctor) if slot["start"] == at("09:30"))
    db["appointments"].delete_one({"seats.slot": full["_id"], "active": True})
    assert monday(api, hour) == []
    assert run(repair_full_hints()) == 2
    assert monday(api, hour) == ["09:00", "09:30"]


def test_another_doctors_or_clinics_slots_are_not_taken_for_the_next(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, db: Db, hour: str
) -> None:
    elsewhere = factories.make_clinic(run, policy=Policy(horizon_days=10))
    other = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, elsewhere.clinic_id],
        weekly_hours=[*every_day(clinic, "09:00", "09:30"), *every_day(elsewhere, "09:30", "10:00")],
    )
    opened(run, other)
    take(db, doctor, "09:30", "10:30", "11:30", "12:30")
    first_offered(api, hour)
    assert hints(db, other) == {"09:00": 30}
    assert monday(api, hour) == []
