"""Merging at one process while another one books and edits by the id of the record that goes."""

from datetime import timedelta
from typing import Any

import pytest
from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.core.clock import utc_now
from tests import factories
from tests.directory.support import at_once, code
from tests.factories import Run
from tests.patients.merging import CARL, CHARLES, entered, sweep
from tests.races.support import HOUR, add_slot, client_of, make_book

pytestmark = [pytest.mark.races, pytest.mark.long]

ROUNDS, BOOKINGS = 8, 6


def test_nothing_stays_at_a_record_that_is_merged_meanwhile(
    run: Run[Any], db: Any, two_servers: tuple[str, str]
) -> None:
    here, there = two_servers
    book = make_book(run, capacity=ROUNDS)
    slots = [add_slot(run, book.doctor, book.clinic, book.slot.start - n * HOUR, ROUNDS) for n in range(1, BOOKINGS)]
    admin, nurse = factories.make_user(run, Role.ADMIN), factories.make_nurse(run, book.clinic)
    merging, working = client_of(admin, here), client_of(nurse, there)
    for _ in range(ROUNDS):
        survivor, other = (entered(nurse, record)["id"] for record in (CHARLES, CARL))

        def merge(survivor: str = survivor, other: str = other) -> Any:
            return merging.post(f"/patients/{survivor}/merge", json={"other_id": other})

        def edit(other: str = other) -> Any:
            return working.patch(f"/patients/{other}", json={"blood_group": "O+"})

        def booking(slot: Any, other: str = other) -> Any:
            return lambda: working.post("/appointments", json={"slot_id": str(slot.id), "patient_id": other})

        merged, edited, *booked = at_once(merge, edit, *(booking(slot) for slot in (book.slot, *slots)))
        assert code(merged) == (200, None)
        assert code(edited) in ((200, None), (412, "EDIT_CONFLICT"))
        assert {code(answer) for answer in booked} == {(201, None)}
        sweep(run, utc_now() + timedelta(minutes=3))
        ids = [answer.json()["id"] for answer in booked]
        rows = db.appointments.find({"_id": {"$in": [PydanticObjectId(each) for each in ids]}})
        assert {str(row["patient_id"]) for row in rows} == {survivor}
        if edited.status_code == 200:
            assert working.get(f"/patients/{other}").json()["blood_group"] == "O+"
