"""Leave, removals and closures over a part of a long visit: reported once, and no part is lost or left behind."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.directory.documents import Clinic
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.appointments.support import HOUR, MINUTE, TEN, booked, done, make_patients, refused, stored, try_booking
from tests.appointments.visits import starts, visit_type
from tests.factories import Person, Run
from tests.scheduling.support import every_day
from tests.support.book import check_book, check_slots

Db = Database[dict[str, Any]]

PARTS = {"first": 0, "middle": 1, "last": 2}


class Found:
    """A slot of the weekly hours."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.id = row["id"]
        self.start = TEN.fromisoformat(row["start"])


class Hours:
    """A doctor's book of half hours from 10:00 to 13:00, by weekly hours: what is withdrawn can come back."""

    def __init__(self, run: Run[Any], clinic: Clinic, capacity: int) -> None:
        self.run, self.clinic = run, clinic
        week = every_day(clinic, "10:00", "13:00", slot_minutes=30, capacity=capacity)
        self.doctor = factories.make_doctor(run, clinic, weekly_hours=week)
        run(reconcile(self.doctor.object_id))

    def slots(self) -> list[Any]:
        params = {"doctor_id": self.doctor.id, "from": TEN.isoformat(), "to": (TEN + 3 * HOUR).isoformat()}
        found = done(self.doctor.client.get("/slots", params=params))["items"]
        return [Found(row) for row in found]

    def leave(self, start: Any, minutes: int = 30) -> dict[str, Any]:
        body = {"start": start.isoformat(), "end": (start + timedelta(minutes=minutes)).isoformat()}
        return done(self.doctor.client.post(f"/doctors/{self.doctor.id}/leaves", json=body), 201)

    def back(self, leave: dict[str, Any]) -> None:
        done(self.doctor.client.delete(f"/doctors/{self.doctor.id}/leaves/{leave['id']}"))


@pytest.fixture(params=[1, 2], ids=["one seat", "two seats"])
def hours(request: pytest.FixtureRequest, run: Run[Any], clinic: Clinic) -> Hours:
    return Hours(run, clinic, request.param)


def reported(change: dict[str, Any]) -> list[str]:
    report = change.get("report", change)
    return [row["appointment_id"] for row in report["appointments"]]


def capacity_of(db: Db, slot: Any) -> int:
    row = db["slots"].find_one({"_id": PydanticObjectId(slot.id)})
    assert row
    return int(row["capacity"])


@pytest.mark.parametrize("part", PARTS)
def test_a_leave_over_a_part_reports_the_visit_once(
    hours: Hours, patient: Person, run: Run[Any], db: Db, part: str, api: httpx.Client
) -> None:
    slots, kind = hours.slots(), visit_type(hours, 90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    hit = slots[PARTS[part]]

    leave = hours.leave(hit.start)

    assert reported(leave) == [appointment["id"]]
    row = stored(db, appointment)
    assert row["active"]
    assert [(cause["kind"], str(cause["id"])) for cause in row["needs_decision"]] == [("leave", leave["id"])]
    check_book(db)
    check_slots(db)
    (late,) = make_patients(run, 1)
    refused(try_booking(late, hit), 409, "SLOT_NOT_OPEN")
    assert hit.id not in starts(api, visit_type(hours, 30))

    hours.back(leave)

    check_book(db)
    free = capacity_of(db, slots[0]) - 1
    for slot in slots[:3]:
        assert done(api.get(f"/slots/{slot.id}"))["free"] == free
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    for slot in slots[:3]:
        assert done(api.get(f"/slots/{slot.id}"))["free"] == free + 1


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_cancelling_under_a_leave_leaves_no_part_behind(
    hours: Hours, patient: Person, api: httpx.Client, db: Db, part: str
) -> None:
    slots, kind = hours.slots(), visit_type(hours, 90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    leave = hours.leave(slots[PARTS[part]].start)
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    hours.back(leave)
    hours.run(reconcile(hours.doctor.object_id))
    found = done(api.get("/slots", params={"doctor_id": hours.doctor.id, "to": (TEN + 3 * HOUR).isoformat()}))
    assert [slot["free"] for slot in found["items"]] == [capacity_of(db, slots[3])] * 6
    assert len(starts(api, kind, doctor_id=hours.doctor.id, to=(TEN + 3 * HOUR).isoformat())) == 4
    check_book(db)


@pytest.mark.long
def test_rescheduling_away_from_a_leave_frees_what_it_had(
    hours: Hours, patient: Person, api: httpx.Client, db: Db
) -> None:
    slots, kind = hours.slots(), visit_type(hours, 90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    leave = hours.leave(slots[0].start)
    body = {"slot_id": slots[1].id}  # overlapping the two parts that aren't on leave
    moved = done(patient.client.post(f"/appointments/{appointment['id']}/reschedule", json=body))
    assert moved["slot_ids"] == [slot.id for slot in slots[1:4]]
    check_book(db)
    assert reported(hours.leave(slots[0].start)) == []
    hours.back(leave)
    assert reported(hours.leave(slots[3].start)) == [appointment["id"]]
    check_book(db)


def test_a_leave_over_the_buffer_alone_does_not_report_the_visit(
    hours: Hours, patient: Person, run: Run[Any], api: httpx.Client, db: Db
) -> None:
    slots, kind = hours.slots(), visit_type(hours, 60, buffer_minutes=30)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    assert len(appointment["slot_ids"]) == 3

    leave = hours.leave(slots[2].start)

    assert reported(leave) == []
    refused(try_booking(make_patients(run, 1)[0], slots[2]), 409, "SLOT_NOT_OPEN")
    hours.back(leave)
    assert reported(done(hours.doctor.client.delete(f"/slots/{slots[2].id}"))) == []
    assert reported(done(hours.doctor.client.delete(f"/slots/{slots[1].id}"))) == [appointment["id"]]
    check_book(db)


def test_a_closure_and_new_hours_report_the_visit_once(hours: Hours, patient: Person, admin: Person, db: Db) -> None:
    slots, kind = hours.slots(), visit_type(hours, 90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    end = TEN + 90 * MINUTE
    closed = {"start": TEN.isoformat(), "end": end.isoformat()}
    closure = done(admin.client.post(f"/clinics/{hours.clinic.clinic_id}/closures", json=closed), 201)
    assert reported(closure) == [appointment["id"]]
    admin.client.delete(f"/clinics/{hours.clinic.clinic_id}/closures/{closure['id']}")
    week = done(admin.client.put(f"/doctors/{hours.doctor.id}/working-hours", json={"hours": []}))
    assert reported(week) == [appointment["id"]]
    check_book(db)


def test_withdrawing_one_slot_keeps_the_reserved_seats_of_the_others(hours: Hours, patient: Person, db: Db) -> None:
    """Another withdrawal has moved the visit's seat in the next slot, but not blocked the seat that it left: if that
    were let go of here, a late booking could still take it."""
    slots, kind = hours.slots(), visit_type(hours, 90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    reserved = stored(db, appointment)["seats"][1]["reserved"]
    db["appointments"].update_one({"_id": PydanticObjectId(appointment["id"])}, {"$set": {"seats.1.seat": 1000}})

    done(hours.doctor.client.delete(f"/slots/{slots[0].id}"))

    first, second, third = stored(db, appointment)["seats"]
    assert (first["seat"] >= 1000, first["reserved"]) == (True, first["seat"])
    assert (second["seat"], second["reserved"]) == (1000, reserved)
    assert third["seat"] == third["reserved"] < 1000


def test_a_block_of_one_slot_leaves_the_others_bookable(
    hours: Hours, run: Run[Any], api: httpx.Client, db: Db
) -> None:
    slots = hours.slots()
    leave = hours.leave(slots[2].start)
    kind = visit_type(hours, 60)
    params = {"doctor_id": hours.doctor.id, "to": (TEN + 3 * HOUR).isoformat()}
    assert starts(api, kind, **params) == [slots[0].id, slots[3].id, slots[4].id]
    refused(try_booking(make_patients(run, 1)[0], slots[1], visit_type_id=kind), 409, "NOT_ENOUGH_TIME")
    hours.back(leave)
    assert len(starts(api, kind, **params)) == 5
    check_book(db)
