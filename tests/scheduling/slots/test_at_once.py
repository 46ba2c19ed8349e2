"""Several processes reconcile a doctor's slots at once, while others remove, book and restore slots."""

import asyncio
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.accounts.users import update_user
from backend.directory.documents import Clinic
from backend.scheduling.documents import Leave, Slot
from backend.scheduling.slots.manual_slots import get_slot, remove_slot
from backend.scheduling.slots.slot_sync import reconcile
from backend.scheduling.slots.withdrawal import withdraw, withdraw_removed_too
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
    """Removes a slot while others reconcile."""
    runs = [asyncio.ensure_future(reconcile(doctor.object_id)) for _ in range(times)]
    await asyncio.sleep(0)
    await remove_slot(slot)
    await asyncio.gather(*runs, *(reconcile(doctor.object_id) for _ in range(times)))


def test_many_runs_at_once_create_each_slot_once(run: Run[Any], api: httpx.Client, doctor: Person, db: Db) -> None:
    run(reconcile_at_once(doctor, 5))
    assert [offered(api, doctor, days=days) for days in range(3)] == [["09:00", "09:30", "10:00", "10:30"]] * 3
    assert len(slots_in(db, doctor)) == len(list(db["slots"].find(hint=[("_id", 1)]))) == 12


@pytest.mark.long
@pytest.mark.parametrize("capacity", [1, 3])
def test_withdrawals_of_a_slot_at_once_keep_its_patients(
    run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db, capacity: int
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=capacity))
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
def test_a_removed_slot_stays_out_while_others_reconcile(
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


def test_removals_of_a_slot_at_once_keep_its_patients(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "09:30", capacity=2))
    opened(run, doctor)
    shown = slot_at(api, doctor, "09:00")
    book(factories.make_user(run, Role.PATIENT), shown)
    slot = run(get_slot(PydanticObjectId(shown["id"])))

    async def all_at_once() -> None:
        await asyncio.gather(*(remove_slot(slot) for _ in range(4)), reconcile(doctor.object_id))

    run(all_at_once())
    assert offered(api, doctor) == []
    run(withdraw_removed_too([slot.id]))
    opened(run, doctor)
    assert slot_at(api, doctor, "09:00")["free"] == 1


def test_a_late_withdrawal_doesn_t_undo_a_removal(run: Run[Any], api: httpx.Client, doctor: Person, db: Db) -> None:
    opened(run, doctor)
    slot = run(get_slot(PydanticObjectId(slot_at(api, doctor, "09:30")["id"])))
    run(remove_slot(slot))
    # As a process does that read the slot under a leave which is gone by now:
    run(withdraw([slot.id]))
    opened(run, doctor)
    assert offered(api, doctor) == ["09:00", "10:00", "10:30"]


def test_renaming_during_a_sync_leaves_one_name_on_slots(
    run: Run[Any], api: httpx.Client, doctor: Person, db: Db
) -> None:
    async def rename_amid(name: str) -> None:
        runs = [asyncio.ensure_future(reconcile(doctor.object_id)) for _ in range(3)]
        await asyncio.sleep(0)
        await update_user(doctor.object_id, {"name": name})
        await asyncio.gather(*runs)

    for number in range(5):
        for row in slots_in(db, doctor)[number::2]:
            db["slots"].update_one({"_id": row["_id"]}, {"$set": {"state": "pending"}})
        run(rename_amid(f"Name {number}"))
        names = {row["doctor_name"] for row in slots_in(db, doctor) if row["state"] == "open"}
        assert names == {f"Name {number}"}
        assert offered(api, doctor) == ["09:00", "09:30", "10:00", "10:30"]
