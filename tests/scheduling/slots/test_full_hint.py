"""Full slots are counted once and then skipped; whatever frees a seat brings its slot back into the search."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from backend.core.http.pagination import PageRequest
from backend.directory.documents import Clinic, Policy
from backend.scheduling.slots import full_hint
from backend.scheduling.slots.full_hint import repair_full_hints
from backend.scheduling.slots.search import SlotQuery, page_of_open
from tests import factories
from tests.appointments.commands import recorded
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    Db,
    at,
    book,
    done,
    every_day,
    offered,
    on_the_wall,
    opened,
    slot_at,
    slots_in,
    text,
)

LIMIT = 5
READ_AT_FIRST = LIMIT + 10
COPIED = ("doctor_id", "doctor_name", "clinic_id", "clinic_name", "time_zone", "start", "end")


@pytest.fixture
def clinic(run: Run[Any]) -> Clinic:
    """Open for booking so far ahead that a search has slots to skip."""
    return factories.make_clinic(run, policy=Policy(horizon_days=10))


def hold_seats(db: Db, slots: list[dict[str, Any]]) -> None:
    """Books every seat of these slots, each for another patient."""
    db["appointments"].insert_many(
        {
            **{name: slot[name] for name in COPIED},
            **{
                "seats": [{"slot": slot["_id"], "seat": seat, "reserved": seat}],
                "active": True,
                "status": "scheduled",
            },
            **{"patient_id": ObjectId(), "clinic_day": slot["day"], "patient_name": "Ada"},
        }
        for slot in slots
        for seat in range(slot["capacity"])
    )


def fill_days(db: Db, doctor: Person, days: int) -> None:
    """Fills the doctor's first days, from Monday on."""
    until = at("00:00", days=days)
    hold_seats(db, [slot for slot in slots_in(db, doctor) if slot["start"] < until])


def first_offered(api: httpx.Client, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(api.get("/slots", params={"limit": LIMIT, **wanted}))["items"]
    return found


def known(db: Db, doctor: Person) -> list[str]:
    """The starts of Monday's slots that have the hint."""
    monday = at("00:00", days=1)
    return [
        on_the_wall(text(slot["start"]))
        for slot in slots_in(db, doctor)
        if slot["known_full"] and slot["start"] < monday
    ]


def morning(run: Run[Any], clinic: Clinic, **profile: Any) -> Person:
    """A doctor with four slots each morning."""
    doctor = factories.make_doctor(run, clinic, **{"weekly_hours": every_day(clinic, "09:00", "11:00"), **profile})
    opened(run, doctor)
    return doctor


SHAPES = [
    (),
    ("doctor_id",),
    ("clinic_id",),
    ("department_id",),
    ("city",),
    ("specialty",),
    ("specialty", "city"),
]


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
def test_a_search_in_a_full_book_examines_no_more(
    run: Run[Any], api: httpx.Client, db: Db, shape: tuple[str, ...]
) -> None:
    wanted: dict[str, Any] = {}
    for city, specialty in (("Lima", "Urology"), ("Oslo", "Cardiology")):
        clinic, department = factories.make_clinic(run, city=city), ObjectId()
        doctor = morning(run, clinic, specialty=specialty, specialty_key=specialty.lower(), department_id=department)
        fill_days(db, doctor, 20)
        wanted = {"doctor_id": doctor.id, "clinic_id": str(clinic.clinic_id), "city": city}
        wanted |= {"specialty": specialty, "department_id": str(department)}
    asked = {name: wanted[name] for name in shape}
    first = first_offered(api, **asked)
    assert [on_the_wall(slot["start"]) for slot in first[: LIMIT - 1]]
    assert min(slot["start"] for slot in first) >= text(at("00:00", days=20))
    with recorded(db) as commands:
        assert first_offered(api, **asked) == first
    assert commands.documents_examined <= READ_AT_FIRST, commands.entries
    assert not commands.writes


def test_a_few_full_slots_cause_no_write(run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db) -> None:
    doctor = morning(run, clinic)
    fill_days(db, doctor, 1)
    with recorded(db) as commands:
        assert first_offered(api, doctor_id=doctor.id)
        assert offered(api, doctor) == []
    assert not commands.writes


def test_equal_searches_of_a_newly_full_book_share_the_work(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db
) -> None:
    doctor = morning(run, clinic)
    fill_days(db, doctor, 5)
    wanted = SlotQuery(doctor_id=doctor.object_id)

    async def at_once() -> list[bytes]:
        return await asyncio.gather(*(page_of_open(wanted, PageRequest(limit=LIMIT)) for _ in range(20)))

    with recorded(db) as commands:
        pages = run(at_once())
    assert len(set(pages)) == 1
    assert commands.writes.count(("update", "slots")) == 4, "two for each batch of the first search"
    assert commands.reads.count(("find", "slots")) <= 2 * 2 + 1, "and at most one search more, for all others"


def mark_all(api: httpx.Client, db: Db, doctor: Person) -> None:
    """Searches while everything up to the fifth day is full, so that the hints are set."""
    first_offered(api, doctor_id=doctor.id)
    assert known(db, doctor)


@pytest.mark.parametrize("how", ["cancel", "reschedule"])
def test_a_freed_seat_is_offered_at_once(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, patient: Person, how: str
) -> None:
    doctor = morning(run, clinic)
    appointment = book(patient, slot_at(api, doctor, "09:30"))
    free = [slot for slot in slots_in(db, doctor) if str(slot["_id"]) != appointment["slot_id"]]
    hold_seats(db, free[:20])
    mark_all(api, db, doctor)
    assert known(db, doctor) == MORNING
    body = {"slot_id": slot_at(api, doctor, "10:00", days=9)["id"]} if how == "reschedule" else None
    done(patient.client.post(f"/appointments/{appointment['id']}/{how}", json=body))
    assert offered(api, doctor) == ["09:30"]


def test_one_cancellation_clears_the_hints_of_a_full_day(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, patient: Person
) -> None:
    doctor = morning(run, clinic, max_patients_per_day=1)
    appointment = book(patient, slot_at(api, doctor, "10:00"))
    for days in range(1, 5):
        hold_seats(db, [slot for slot in slots_in(db, doctor) if slot["start"] == at("09:00", days=days)])
    mark_all(api, db, doctor)
    assert known(db, doctor) == MORNING
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    assert offered(api, doctor) == MORNING
    assert offered(api, doctor, days=1) == []


@pytest.mark.parametrize("limit", [2, None])
def test_a_higher_limit_clears_the_hints_of_full_days(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, admin: Person, limit: int | None
) -> None:
    doctor = morning(run, clinic, max_patients_per_day=1)
    for days in range(6):
        hold_seats(db, [slot for slot in slots_in(db, doctor) if slot["start"] == at("09:00", days=days)])
    mark_all(api, db, doctor)
    done(admin.client.patch(f"/doctors/{doctor.id}", json={"max_patients_per_day": limit}))
    assert offered(api, doctor) == MORNING[1:]


def test_more_seats_clear_the_hints_of_full_slots(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, admin: Person
) -> None:
    doctor = morning(run, clinic)
    fill_days(db, doctor, 5)
    mark_all(api, db, doctor)
    hours = [block.model_dump(mode="json") for block in every_day(clinic, "09:00", "11:00", capacity=2)]
    done(admin.client.put(f"/doctors/{doctor.id}/working-hours", json={"hours": hours}))
    assert offered(api, doctor) == MORNING


def test_withdrawn_slots_open_again_without_the_hint(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, admin: Person, patient: Person
) -> None:
    doctor = morning(run, clinic)
    appointment = book(patient, slot_at(api, doctor, "09:30"))
    hold_seats(db, [s for s in slots_in(db, doctor) if str(s["_id"]) != appointment["slot_id"]][:20])
    mark_all(api, db, doctor)
    span = {"start": text(at("09:00")), "end": text(at("11:00"))}
    leave = done(admin.client.post(f"/doctors/{doctor.id}/leaves", json=span), 201)
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    done(admin.client.delete(f"/doctors/{doctor.id}/leaves/{leave['id']}"))
    assert offered(api, doctor) == ["09:30"]


def test_the_job_clears_wrong_hints_in_batches(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = morning(run, clinic)
    hold_seats(db, [slot for slot in slots_in(db, doctor) if slot["start"] == at("10:00")])
    in_slots = {"seats.slot": {"$in": [slot["_id"] for slot in slots_in(db, doctor)]}, "active": True}
    db["appointments"].update_many(in_slots, {"$set": {"clears_full_hint": True}})
    until = {"is_active": True, "start": {"$lt": at("00:00", days=2)}}
    db["slots"].update_many({"doctor_id": doctor.object_id, **until}, {"$set": {"known_full": True}})
    assert offered(api, doctor) == offered(api, doctor, days=1) == []
    monkeypatch.setattr(full_hint, "PER_RUN", 4)
    monkeypatch.setattr(full_hint, "_AT_ONCE", 2)
    assert [run(repair_full_hints()) for _ in range(4)] == [3, 4, 0, 0]
    assert offered(api, doctor) == ["09:00", "09:30", "10:30"]
    assert offered(api, doctor, days=1) == MORNING
    assert known(db, doctor) == ["10:00"]


def test_the_job_ignores_past_and_closed_slots(run: Run[Any], clinic: Clinic, db: Db) -> None:
    doctor = morning(run, clinic)
    mine = {"doctor_id": doctor.object_id, "is_active": True}
    db["slots"].update_many(mine, {"$set": {"known_full": True}})
    db["slots"].update_many({**mine, "start": {"$lt": at("00:00", days=1)}}, {"$set": {"state": "closed"}})
    moved = {"start": at("09:00") - timedelta(days=3)}
    db["slots"].update_many({**mine, "start": {"$gte": at("00:00", days=1)}}, {"$set": moved})
    assert run(repair_full_hints()) == 0
