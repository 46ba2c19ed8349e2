"""What withdraws time hits fit-ins too, with a seat and without.

Fit-ins that are stored in that moment: `tests/races/test_fit_ins_stored_late.py`.
"""

from datetime import timedelta
from typing import Any

import pytest
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.appointments.booking.fit_in import finish_fit_ins
from backend.core import clock
from backend.directory.documents import Clinic
from backend.scheduling.documents import Leave
from backend.scheduling.fit_ins import LEFT_AFTER, mark_if_withdrawn
from backend.scheduling.hours.repository import insert_leave
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.appointments.fit_ins.support import EVENING, fitted_in, free_seats, read, span
from tests.appointments.support import HOUR, MINUTE, NOW, TEN, Book, booked, done, make_patients, stored
from tests.factories import Person, Run
from tests.scheduling.support import every_day
from tests.scheduling.test_dry_runs import contents
from tests.support.book import check_book

Db = Database[dict[str, Any]]
Row = dict[str, Any]


def causes(person: Person, appointment: Row) -> list[str]:
    """What withdrew an appointment's time."""
    return [cause["kind"] for cause in read(person, appointment)["needs_decision"] or []]


def reported(change: Row) -> list[str]:
    """The appointments in a report."""
    return [row["appointment_id"] for row in change.get("report", change)["appointments"]]


@pytest.fixture
def full(book: Book) -> Row:
    """An ordinary appointment that takes the only seat at ten."""
    return booked(make_patients(book.run, 1)[0], book.slot())


def test_a_leave_hits_a_fit_in_without_a_seat_and_its_end_clears_it(
    book: Book, full: Row, nurse: Person, admin: Person, patient: Person, db: Db
) -> None:
    urgent = fitted_in(nurse, book, patient, TEN + 20 * MINUTE, 30)
    late = fitted_in(nurse, book, make_patients(book.run, 1)[0], EVENING)
    path, body = f"/doctors/{book.doctor.id}/leaves", span(minutes=30)
    before = contents(db)
    dry = done(admin.client.post(path, json=body, params={"dry_run": True}))
    assert contents(db) == before
    leave = done(admin.client.post(path, json=body), 201)
    assert reported(dry) == reported(leave) == [full["id"], urgent["id"]]
    assert [row["overbooked"] for row in leave["report"]["appointments"]] == [False, True]
    assert [causes(nurse, each) for each in (full, urgent, late)] == [["leave"], ["leave"], []]
    done(admin.client.delete(f"{path}/{leave['id']}"))
    assert [causes(nurse, each) for each in (full, urgent)] == [[], []]
    check_book(db)


@pytest.mark.parametrize("kind", ["closure", "doctor", "clinic"])
def test_other_withdrawals_hit_it_by_its_time(
    book: Book, full: Row, nurse: Person, admin: Person, patient: Person, kind: str
) -> None:
    urgent = fitted_in(nurse, book, patient, EVENING)
    if kind == "closure":
        done(admin.client.post(f"/clinics/{book.clinic.id}/closures", json=span(EVENING)), 201)
    else:
        done(admin.client.delete(f"/doctors/{book.doctor.id}" if kind == "doctor" else f"/clinics/{book.clinic.id}"))
    assert causes(nurse, urgent) == [kind]


def test_removing_a_slot_hits_those_fitted_in_there_before(
    book: Book, full: Row, nurse: Person, admin: Person, patient: Person, db: Db
) -> None:
    """Who is fitted in afterwards is there because the staff know better."""
    urgent = fitted_in(nurse, book, patient)
    gone = done(admin.client.delete(f"/slots/{full['slot_id']}"))
    assert reported(gone) == [full["id"], urgent["id"]]
    after = fitted_in(nurse, book, make_patients(book.run, 1)[0])
    assert [causes(nurse, each) for each in (full, urgent, after)] == [["slot"], ["slot"], []]
    leave = done(admin.client.post(f"/doctors/{book.doctor.id}/leaves", json=span(EVENING)), 201)
    done(admin.client.delete(f"/doctors/{book.doctor.id}/leaves/{leave['id']}"))
    assert [causes(nurse, each) for each in (full, urgent, after)] == [["slot"], ["slot"], []]
    kept = done(nurse.client.post(f"/appointments/{urgent['id']}/keep"))
    assert not kept["needs_decision"]
    check_book(db)


@pytest.fixture
def hours(run: Run[Any], clinic: Clinic) -> Book:
    """A doctor with half hours from 10:00 to 11:00 by the week."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "10:00", "11:00"))
    run(reconcile(doctor.object_id))
    return Book(run=run, clinic=clinic, doctor=doctor)


def set_hours(admin: Person, book: Book, start: str, end: str, **params: Any) -> Row:
    """Gives the doctor other hours."""
    week = [each.model_dump(mode="json") for each in every_day(book.clinic, start, end)]
    path = f"/doctors/{book.doctor.id}/working-hours"
    return done(admin.client.put(path, json={"hours": week}, params=params))


@pytest.mark.parametrize("first_leaves", [False, True])
def test_new_hours_hit_a_fit_in_of_the_old_ones_until_they_are_back(
    hours: Book, nurse: Person, admin: Person, patient: Person, db: Db, first_leaves: bool
) -> None:
    others = make_patients(hours.run, 2)
    slot_id = min(free_seats(nurse, hours))
    first = done(others[0].client.post("/appointments", json={"slot_id": slot_id}), 201)
    urgent, after_hours = fitted_in(nurse, hours, patient), fitted_in(nurse, hours, others[1], EVENING)
    assert urgent["slot_ids"] == []
    if first_leaves:
        # As if its process had died before it gave the seat to the fit-in.
        db["appointments"].update_one({"_id": PydanticObjectId(first["id"])}, {"$unset": {"clears_full_hint": ""}})
        done(others[0].client.post(f"/appointments/{first['id']}/cancel"))
    hit = ([] if first_leaves else [first["id"]]) + [urgent["id"]]
    dry = set_hours(admin, hours, "14:00", "15:00", dry_run=True)
    assert reported(dry) == reported(set_hours(admin, hours, "14:00", "15:00")) == hit
    assert [causes(nurse, each) for each in (urgent, after_hours)] == [["hours"], []]
    set_hours(admin, hours, "10:00", "11:00")
    assert [causes(nurse, each) for each in (urgent, after_hours)] == [[], []]
    done(nurse.client.post(f"/appointments/{urgent['id']}/cancel"))
    check_book(db)


def test_a_slot_that_only_a_fit_in_holds_goes_with_it(
    hours: Book, nurse: Person, admin: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    """The slot is withdrawn, but holds its time until nobody is there; then the doctor's time is free again."""
    slots = free_seats(nurse, hours)
    for person, slot_id in zip(make_patients(run, 2), slots, strict=False):
        done(person.client.post("/appointments", json={"slot_id": slot_id}), 201)
    urgent = fitted_in(nurse, hours, patient, TEN, 60)
    set_hours(admin, hours, "14:00", "15:00")
    for row in list(db["appointments"].find({"status": "scheduled", "overbooked": None, "start": {"$gt": NOW}})):
        done(nurse.client.post(f"/appointments/{row['_id']}/cancel"))
    run(reconcile(hours.doctor.object_id))
    held = {"start": {"$in": [TEN, TEN + 30 * MINUTE]}, "doctor_id": hours.doctor.object_id, "is_active": True}
    assert db["slots"].count_documents(held) == 2
    done(nurse.client.post(f"/appointments/{urgent['id']}/cancel"))
    run(reconcile(hours.doctor.object_id))
    assert db["slots"].count_documents(held) == 0


def test_a_doctor_who_leaves_the_clinic_is_not_there_after_hours_either(
    book: Book, nurse: Person, admin: Person, patient: Person, run: Run[Any]
) -> None:
    other = str(factories.make_clinic(run).clinic_id)
    late, path = fitted_in(nurse, book, patient, EVENING), f"/doctors/{book.doctor.id}"
    changed = done(admin.client.patch(path, json={"clinic_ids": [other]}))
    assert reported(changed) == [late["id"]]
    assert causes(nurse, late) == ["hours"]
    done(admin.client.patch(path, json={"clinic_ids": [other, late["clinic_id"]]}))
    assert causes(nurse, late) == []


def test_the_mark_stays_where_the_slot_is_gone(
    book: Book, full: Row, nurse: Person, admin: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    """Stored after the withdrawal had looked for who is in the slot, so that nothing held the slot's time."""
    urgent = fitted_in(nurse, book, patient)
    slot = {"_id": PydanticObjectId(full["slot_id"])}
    db["slots"].update_one(slot, {"$set": {"state": "closed", "is_active": False}})
    run(mark_if_withdrawn(PydanticObjectId(urgent["id"])))
    assert causes(nurse, urgent) == ["hours"]
    leave = done(admin.client.post(f"/doctors/{book.doctor.id}/leaves", json=span(EVENING)), 201)
    done(admin.client.delete(f"/doctors/{book.doctor.id}/leaves/{leave['id']}"))
    assert causes(nurse, urgent) == ["hours"]


def test_a_job_reads_again_what_a_dead_process_left(
    book: Book, full: Row, nurse: Person, patient: Person, run: Run[Any], db: Db
) -> None:
    urgent = fitted_in(nurse, book, patient)
    ended = fitted_in(nurse, book, make_patients(run, 1)[0])
    done(nurse.client.post(f"/appointments/{ended['id']}/cancel"))
    ids = {"_id": {"$in": [PydanticObjectId(each["id"]) for each in (urgent, ended)]}}
    db["appointments"].update_many(ids, {"$set": {"recheck_at": NOW + LEFT_AFTER}})
    leave = Leave(doctor_id=book.doctor.object_id, created_by=book.doctor.object_id, start=TEN, end=TEN + HOUR)
    run(insert_leave(leave))
    with clock.stopped(NOW + LEFT_AFTER - timedelta(milliseconds=1)):
        assert run(finish_fit_ins()) == 0
    with clock.stopped(NOW + LEFT_AFTER):
        assert run(finish_fit_ins()) == 2
        assert run(finish_fit_ins()) == 0
    assert [stored(db, each).get("needs_decision") is None for each in (urgent, ended)] == [False, True]
    assert [cause["kind"] for cause in stored(db, urgent)["needs_decision"]] == ["leave"]
    assert "recheck_at" not in stored(db, urgent)
    assert "recheck_at" not in stored(db, ended)
