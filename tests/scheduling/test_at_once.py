"""Several who bring one book in line at the same moment, and who take out, book and put back meanwhile."""

import asyncio
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from backend.scheduling.documents import Leave, Slot
from backend.scheduling.reconcile import reconcile
from backend.scheduling.slots import get_slot, remove_slot
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    NOW,
    Db,
    at,
    book,
    every_day,
    offered,
    opened,
    refused,
    slot_at,
    slots_in,
    try_booking,
)


async def reconcile_at_once(doctor: Person, times: int) -> None:
    await asyncio.gather(*(reconcile(doctor.object_id) for _ in range(times)))


async def write_leave(doctor: Person, start: str, end: str) -> None:
    leave = Leave(
        doctor_id=doctor.object_id, start=at(start), end=at(end), created_by=doctor.object_id, created_at=NOW
    )
    await leave.insert()


async def remove_amid(doctor: Person, slot: Slot, times: int) -> None:
    """Takes a slot out while others bring the book in line."""
    runs = [asyncio.ensure_future(reconcile(doctor.object_id)) for _ in range(times)]
    await asyncio.sleep(0)
    await remove_slot(slot)
    await asyncio.gather(*runs, *(reconcile(doctor.object_id) for _ in range(times)))


def test_the_book_is_filled_once_however_many_fill_it(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    run(reconcile_at_once(doctor, 5))
    assert [offered(api, doctor, days=days) for days in range(3)] == [
        ["09:00", "09:30", "10:00", "10:30"]
    ] * 3
    assert len(slots_in(db, doctor)) == db["slots"].estimated_document_count() == 12


@pytest.mark.parametrize("capacity", [1, 3])
def test_who_is_booked_keeps_the_seat_though_several_withdraw_the_slot_at_once(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, capacity: int
) -> None:
    doctor = factories.make_doctor(
        run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=capacity)
    )
    opened(run, doctor)
    booked = [slot_at(api, doctor, start) for start in ("09:00", "09:30", "10:00", "10:30")]
    patient = factories.make_user(run, Role.PATIENT)
    for slot in booked:
        book(patient, slot)
    for _ in range(5):
        run(write_leave(doctor, "09:00", "11:00"))
        run(reconcile_at_once(doctor, 4))
        assert offered(api, doctor) == []
        db["leaves"].delete_many({"doctor_id": doctor.object_id})
        run(reconcile_at_once(doctor, 4))
        for slot in booked:
            free = api.get(f"/slots/{slot['id']}").json()["free"]
            assert free == capacity - 1
    if capacity == 1:
        for slot in booked:
            refused(try_booking(factories.make_user(run, Role.PATIENT), slot), 409, "SLOT_TAKEN")


@pytest.mark.parametrize("is_booked", [True, False])
def test_what_is_taken_out_stays_out_though_others_bring_the_book_in_line_meanwhile(
    run: Run[Any], api: httpx.Client, doctor: Person, *, is_booked: bool
) -> None:
    opened(run, doctor)
    for wall_time in ("09:00", "09:30", "10:00", "10:30"):
        slot = slot_at(api, doctor, wall_time)
        if is_booked:
            book(factories.make_user(run, Role.PATIENT), slot)
        run(remove_amid(doctor, run(get_slot(PydanticObjectId(slot["id"]))), 4))
        assert api.get(f"/slots/{slot['id']}").status_code == 404
        assert wall_time not in offered(api, doctor)
    opened(run, doctor)
    assert offered(api, doctor) == []
