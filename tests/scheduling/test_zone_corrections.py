"""A clinic's time zone was wrong and is corrected: what was booked keeps its instant, on the clock as it is now."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic, Policy
from backend.scheduling.directory_changes import clinic_changed, finish_zone_corrections
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    MORNING,
    Db,
    at,
    book,
    done,
    every_day,
    listed,
    offered,
    opened,
    search,
    slot_at,
    slots_in,
    stored_slot,
    text,
    try_booking,
)

CHICAGO, TOKYO = "America/Chicago", "Asia/Tokyo"


def correct(admin: Person, clinic: Clinic, zone: str) -> Any:
    return done(admin.client.patch(f"/clinics/{clinic.clinic_id}", json={"time_zone": zone}))


def test_bookings_keep_their_instant_and_show_the_new_clock(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person, admin: Person
) -> None:
    opened(run, doctor)
    others = factories.make_user(run, Role.PATIENT)
    later, booked = (
        book(others, slot_at(api, doctor, "09:00", days=1)),
        book(patient, slot_at(api, doctor, "10:00")),
    )
    report = correct(admin, clinic, CHICAGO)["report"]
    assert listed(report) == [booked["id"], later["id"]]
    assert {row["time_zone"] for row in report["appointments"]} == {CHICAGO}
    shown = done(patient.client.get(f"/appointments/{booked['id']}"))
    assert (shown["start"], shown["time_zone"]) == (text(at("10:00")), CHICAGO)
    (row,) = done(patient.client.get("/appointments"))["items"]
    assert row["time_zone"] == CHICAGO


def test_a_booked_slot_that_fits_the_new_clock_keeps_its_id(
    run: Run[Any], api: httpx.Client, clinic: Clinic, admin: Person, db: Db
) -> None:
    """10:00 in New York is 9:00 in Chicago: the free seat beside the patient is offered again. 9:00 is too early."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2))
    opened(run, doctor)
    people = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
    early, fitting = slot_at(api, doctor, "09:00"), slot_at(api, doctor, "10:00")
    book(people[0], early)
    book(people[1], fitting)
    correct(admin, clinic, CHICAGO)
    assert offered(api, doctor, zone=CHICAGO) == MORNING
    new_midnight = text(at("00:00", days=-2, zone=CHICAGO))
    changed = {"time_zone": CHICAGO, "free": 1, "online_from": new_midnight}
    assert slot_at(api, doctor, "10:00") == {**fitting, **changed}
    assert stored_slot(db, early)["state"] == "closed"
    assert try_booking(people[2], early).status_code == 409
    book(people[2], fitting)


def test_the_day_of_a_coming_appointment_follows(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person, admin: Person, db: Db
) -> None:
    """10:30 on Monday in New York is 4:30 on Tuesday in Kiritimati, 14 hours ahead of UTC."""
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "10:30"))
    correct(admin, clinic, "Pacific/Kiritimati")
    for day, found in (("2030-06-03", []), ("2030-06-04", [booked["id"]])):
        page = done(admin.client.get("/appointments", params={"from": day, "to": day}))
        assert [row["id"] for row in page["items"]] == found
    assert {slot["day"] for slot in slots_in(db, doctor) if slot["start"] == at("10:30")} == {"2030-06-04"}


def test_a_day_that_patients_come_to_stays_limited(
    run: Run[Any], api: httpx.Client, clinic: Clinic, patient: Person, admin: Person
) -> None:
    """Both had number 0 of their day. On the new clock they have the same day, and it is full."""
    doctor = factories.make_doctor(
        run, clinic, weekly_hours=every_day(clinic, "08:00", "20:00", slot_minutes=60), max_patients_per_day=1
    )
    opened(run, doctor)
    others = factories.make_user(run, Role.PATIENT)
    booked = [book(patient, slot_at(api, doctor, "19:00")), book(others, slot_at(api, doctor, "08:00", days=1))]
    assert listed(correct(admin, clinic, TOKYO)["report"]) == [row["id"] for row in booked]
    assert offered(api, doctor, days=1, zone=TOKYO) == []
    assert len(offered(api, doctor, days=2, zone=TOKYO)) == 12
    done(patient.client.post(f"/appointments/{booked[0]['id']}/cancel", json={}))
    assert offered(api, doctor, days=1, zone=TOKYO) == []
    done(others.client.post(f"/appointments/{booked[1]['id']}/cancel", json={}))
    assert len(offered(api, doctor, days=1, zone=TOKYO)) > 0


def test_a_removed_slot_stays_removed(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, admin: Person
) -> None:
    opened(run, doctor)
    done(admin.client.delete(f"/slots/{slot_at(api, doctor, '10:00')['id']}"))
    correct(admin, clinic, CHICAGO)
    assert offered(api, doctor, zone=CHICAGO) == MORNING[1:]


def test_other_clinics_and_the_same_zone_change_nothing(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person, admin: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "10:00"))
    other = factories.make_clinic(run, policy=Policy(horizon_days=2))
    correct(admin, other, TOKYO)
    report = correct(admin, clinic, "America/New_York")["report"]
    assert (report["slots_withdrawn"], report["appointments"]) == (0, [])
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["time_zone"] == "America/New_York"


def test_the_job_corrects_past_appointments(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person, admin: Person, db: Db
) -> None:
    opened(run, doctor)
    past = book(patient, slot_at(api, doctor, "10:00"))
    shift = {"start": at("22:30", days=-9), "end": at("23:00", days=-9), "clinic_day": "2030-05-25", "active": False}
    db["appointments"].update_one({"patient_id": patient.object_id}, {"$set": shift})
    correct(admin, clinic, TOKYO)
    assert done(patient.client.get(f"/appointments/{past['id']}"))["time_zone"] == "America/New_York"
    assert run(finish_zone_corrections()) == 1
    stored = db["appointments"].find_one({"patient_id": patient.object_id})
    assert stored is not None
    assert (stored["time_zone"], stored["clinic_day"], stored["start"]) == (TOKYO, "2030-05-26", shift["start"])
    assert run(finish_zone_corrections()) == 0


class Crash(Exception):
    """The process dies."""


async def die(_: Clinic) -> None:
    raise Crash


async def stop_after_the_first_write(clinic: Clinic, zone: str) -> None:
    """Corrects the zone as the route does, and dies once the clinic is written."""
    from backend.scheduling import directory_changes

    clinic_changed.connect(die)
    try:
        with pytest.raises(Crash):
            await directory_changes.change_clinic(clinic, {"time_zone": zone})
    finally:
        clinic_changed.disconnect(die)


def test_the_job_finishes_what_a_crash_left(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    booked = book(patient, slot_at(api, doctor, "10:00"))
    run(stop_after_the_first_write(clinic, CHICAGO))
    assert {slot["time_zone"] for slot in search(api)} == {"America/New_York"}
    assert run(finish_zone_corrections()) == 1
    assert {slot["time_zone"] for slot in search(api)} == {CHICAGO}
    assert offered(api, doctor, zone=CHICAGO) == MORNING[1:]
    assert done(patient.client.get(f"/appointments/{booked['id']}"))["time_zone"] == CHICAGO
