"""Undoing a merge: what it moved goes back, and what came since stays."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from beanie import PydanticObjectId

from backend.core import clock
from backend.messaging.outbox.claim import claim_pending
from tests import factories
from tests.appointments.conftest import book, doctor
from tests.appointments.support import HOUR, MINUTE, NOW, TEN, Book, booked, done, refused, stored
from tests.directory.support import NOWHERE, changed, code, names, read
from tests.factories import Person, Run, log_in
from tests.patients.merging import (
    CARL,
    CHARLES,
    Row,
    causes,
    entered,
    everything,
    listed,
    merged,
    sweep,
    try_merging,
    try_undoing,
    undone,
)

__all__ = ["book", "doctor"]


@pytest.fixture(autouse=True)
def monday() -> Iterator[None]:
    """The clock stands still on a Monday morning."""
    with clock.stopped(NOW):
        yield


@pytest.fixture
def clinic(run: Run[Any]) -> Any:
    """A clinic in New York that is open every day."""
    return factories.make_clinic(run)


@pytest.fixture
def charles(nurse: Person) -> Row:
    """The record that survived."""
    return entered(nurse, CHARLES)


@pytest.fixture
def carl(nurse: Person) -> Row:
    """The record that was merged into it."""
    return entered(nurse, CARL)


def without_versions(rows: list[Row]) -> list[Row]:
    """Documents but for what every write changes."""
    return [{name: row[name] for name in row if name not in ("version", "updated_at", "merged_from")} for row in rows]


def test_everything_is_as_before(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    for number, record in enumerate((charles, carl)):
        booked(nurse, book.slot(TEN + number * HOUR), patient_id=record["id"])
    run(claim_pending(10, is_real=False))
    before = everything(db)
    report = merged(admin, charles, carl, take=["name", "phone"])

    back = undone(admin, charles, carl)

    assert (back["appointment_ids"], back["messages"]) == (report["appointment_ids"], report["messages"])
    assert sorted(back["fields"]) == ["address", "allergies", "name", "notes", "phone"]
    assert (back["conflicts"], back["booked_since"]) == ([], [])
    after = everything(db)
    for name in ("patients", "appointments", "sms_logs"):
        assert without_versions(after[name]) == without_versions(before[name]), name
    assert read(nurse.client, f"/patients/{carl['id']}")["name"] == "Carl Babbage"
    assert names(nurse.client, "/patients", q="carl") == ["Carl Babbage"]
    assert listed(nurse, patient_id=carl["id"]) == report["appointment_ids"]
    assert code(try_undoing(admin, charles, carl)) == (404, "MERGE_NOT_FOUND")
    assert [sweep(run, NOW + minutes * MINUTE) for minutes in (1, 3, 10)] == [0, 1, 0]
    assert merged(admin, charles, carl)["appointment_ids"] == report["appointment_ids"]
    assert len(read(nurse.client, f"/patients/{charles['id']}")["merged"]) == 1


def test_what_came_since_stays_with_the_survivor(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    old = booked(nurse, book.slot(), patient_id=carl["id"])
    merged(admin, charles, carl)
    with clock.stopped(NOW + MINUTE):
        new = booked(nurse, book.slot(TEN + HOUR), patient_id=carl["id"])
    done(nurse.client.post(f"/appointments/{old['id']}/cancel"))
    run(claim_pending(10, is_real=False))
    changed(nurse.client, f"/patients/{charles['id']}", address="3 Dorset Street")

    back = undone(admin, charles, carl)

    assert back["appointment_ids"] == [old["id"]]
    assert [each["id"] for each in back["booked_since"]] == [new["id"]]
    assert "address" not in back["fields"]
    assert read(nurse.client, f"/patients/{charles['id']}")["address"] == "3 Dorset Street"
    about = {str(row["appointment_id"]): str(row["patient_id"]) for row in db.sms_logs.find({}, hint="_id_")}
    assert about == {old["id"]: carl["id"], new["id"]: charles["id"]}


def test_an_appointment_that_can_not_go_back_needs_a_decision(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    slot = book.slot(capacity=2)
    moved = booked(nurse, slot, patient_id=carl["id"])
    merged(admin, charles, carl)
    late = booked(nurse, book.slot(TEN + HOUR), patient_id=charles["id"])
    row = stored(db, moved)
    theirs = {"patient_id": PydanticObjectId(carl["id"]), "ticks": row["ticks"]}
    db.appointments.update_one({"_id": PydanticObjectId(late["id"])}, {"$set": theirs})  # as one under way arrives

    back = undone(admin, charles, carl)

    assert back["appointments"] == 0
    assert [(each["id"], each["overlaps"]) for each in back["conflicts"]] == [(moved["id"], [late["id"]])]
    assert causes(admin, moved) == [("merge", carl["id"])]


def test_a_record_that_was_inactive_is_so_again(admin: Person, nurse: Person, charles: Row, carl: Row) -> None:
    nurse.client.delete(f"/patients/{carl['id']}", params={"reason": "left"})
    merged(admin, charles, carl)
    undone(admin, charles, carl)
    shown = read(nurse.client, f"/patients/{carl['id']}")
    assert (shown["id"], shown["is_active"], shown["inactive_reason"]) == (carl["id"], False, "left")


def test_a_merge_is_undone_for_thirty_days(admin: Person, charles: Row, carl: Row, run: Run[Any]) -> None:
    report = merged(admin, charles, carl)
    assert report["undo_until"] == (NOW + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    with clock.stopped(NOW + timedelta(days=30, seconds=1)):
        later = log_in(run, admin.user)
        refused(try_undoing(later, charles, carl), 409, "UNDO_TOO_LATE")
    with clock.stopped(NOW + timedelta(days=30)):
        undone(log_in(run, admin.user), charles, carl)


def test_of_a_chain_the_last_merge_is_undone_first(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    last = entered(nurse, {"name": "Karl B."})
    visit = booked(nurse, book.slot(), patient_id=carl["id"])
    merged(admin, charles, carl)
    merged(admin, last, charles)
    refused(try_undoing(admin, charles, carl), 409, "MERGED_ONWARDS")
    refused(try_undoing(admin, last, carl), 404, "MERGE_NOT_FOUND")
    undone(admin, last, charles)
    assert listed(nurse, patient_id=charles["id"]) == [visit["id"]]
    assert read(nurse.client, f"/patients/{carl['id']}")["id"] == charles["id"]
    undone(admin, charles, carl)
    assert listed(nurse, patient_id=carl["id"]) == [visit["id"]]


def test_bad_requests_to_undo_are_refused(admin: Person, nurse: Person, charles: Row, carl: Row, db: Any) -> None:
    third = entered(nurse, {"name": "Karl B."})
    merged(admin, charles, carl)
    before = everything(db)
    nobody = {"id": NOWHERE}
    for survivor, other, why in [
        *(
            (charles, third, "MERGE_NOT_FOUND"),
            (third, carl, "MERGE_NOT_FOUND"),
            (charles, charles, "MERGE_NOT_FOUND"),
        ),
        *((charles, nobody, "MERGE_NOT_FOUND"), (nobody, carl, "PATIENT_NOT_FOUND")),
    ]:
        refused(try_undoing(admin, survivor, other), 404, why)
    for body in ({}, {"other_id": "x"}, {"other_id": carl["id"], "take": []}):
        refused(admin.client.post(f"/patients/{charles['id']}/merge/undo", json=body), 422, "VALIDATION_ERROR")
    assert everything(db) == before


def test_a_merge_and_an_undoing_wait_for_each_other(
    admin: Person, charles: Row, carl: Row, db: Any, run: Run[Any]
) -> None:
    merged(admin, charles, carl)
    state = {"other_id": PydanticObjectId(carl["id"]), "is_current": True}
    db.patient_merges.update_one(state, {"$set": {"state": "undoing", "due_at": NOW + 2 * MINUTE}})
    refused(try_merging(admin, charles, carl), 409, "MERGE_UNDER_WAY")
    db.patient_merges.update_one(state, {"$set": {"state": "begun"}})
    refused(try_undoing(admin, charles, carl), 409, "MERGE_UNDER_WAY")
    db.patient_merges.update_one(state, {"$set": {"state": "undoing"}})
    assert sweep(run, NOW + 3 * MINUTE) == 1
    assert read(admin.client, f"/patients/{carl['id']}")["id"] == carl["id"]
