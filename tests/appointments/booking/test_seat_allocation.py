"""Several seats in a slot, a limit of patients a day, and the seats of a slot that was withdrawn and opened again."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.directory.documents import Clinic, OpeningHours
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    TEN,
    Book,
    at_once,
    booked,
    done,
    make_patients,
    make_transition,
    patients_placed,
    refused,
    try_booking,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def limited(book: Book, run: Run[Any], clinic: Clinic, patients: int) -> Book:
    """The book of a doctor who sees so many patients a day."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=[], max_patients_per_day=patients)
    return Book(run=run, clinic=clinic, doctor=doctor)


def free(api: httpx.Client, book: Book) -> dict[str, int]:
    """What the search says of the doctor's slots: start to free seats."""
    rows = done(api.get("/slots", params={"doctor_id": book.doctor.id, "limit": 100}))["items"]
    return {row["start"]: row["free"] for row in rows}


@pytest.mark.parametrize("places", [(0, 1, 2), (2, 2, 2), (1, 1, 0), (0, 0, 2)])
def test_a_slot_for_three_takes_three(
    book: Book, run: Run[Any], api: httpx.Client, db: Db, places: tuple[int, ...]
) -> None:
    slot = book.slot(capacity=3)
    for number, person in enumerate(patients_placed(run, *places, capacity=3)):
        assert free(api, book) == {"2037-06-01T14:00:00Z": 3 - number}
        booked(person, slot)
    assert free(api, book) == {}
    for person in make_patients(run, 3):
        refused(try_booking(person, slot), 409, "SLOT_TAKEN")
    held = db["appointments"].find({"seats.slot": slot.id, "active": True})
    assert sorted(row["seats"][0]["seat"] for row in held) == [0, 1, 2]


def test_many_who_ask_at_once_get_as_many_seats_as_there_are(book: Book, run: Run[Any]) -> None:
    slot = book.slot(capacity=3)
    people = make_patients(run, 12)
    answers = at_once(*(lambda person=person: try_booking(person, slot) for person in people))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 9
    assert {a.json()["error_code"] for a in answers if a.status_code == 409} == {"SLOT_TAKEN"}


def test_a_cancelled_seat_is_the_next_ones(book: Book, run: Run[Any], db: Db) -> None:
    slot = book.slot(capacity=3)
    people = patients_placed(run, 0, 1, 2, 0, 1, 2, capacity=3)
    appointments = [booked(person, slot) for person in people[:3]]
    for person, appointment, successor in zip(people[:3], appointments, people[3:], strict=True):
        done(make_transition(run, person, appointment, "cancel"))
        booked(successor, slot)
        refused(try_booking(person, slot), 409, "SLOT_TAKEN")
    held = db["appointments"].find({"seats.slot": slot.id, "active": True})
    assert sorted(row["seats"][0]["seat"] for row in held) == [0, 1, 2]


def test_a_doctors_day_is_full(book: Book, run: Run[Any], clinic: Clinic, api: httpx.Client, patient: Person) -> None:
    doctors = limited(book, run, clinic, 2)
    slots = doctors.slots(4)
    tomorrow = doctors.slots(2, TEN + DAY)
    people = make_patients(run, 2)
    for person, slot in zip(people, slots, strict=False):
        booked(person, slot)
    assert set(free(api, doctors)) == {"2037-06-02T14:00:00Z", "2037-06-02T14:30:00Z"}
    for slot in slots[2:]:
        body = refused(try_booking(patient, slot), 409, "DAY_FULL")
        assert [offer["id"] for offer in body["alternatives"]] == [str(s.id) for s in tomorrow]
    refused(try_booking(patient, slots[0]), 409, "SLOT_TAKEN")
    booked(patient, tomorrow[0])


@pytest.mark.parametrize("freed", range(3))
def test_a_cancellation_makes_room_in_a_full_day(book: Book, run: Run[Any], clinic: Clinic, freed: int) -> None:
    doctors = limited(book, run, clinic, 3)
    slots = doctors.slots(5)
    people = make_patients(run, 5)
    appointments = [booked(person, slot) for person, slot in zip(people, slots[:3], strict=False)]
    refused(try_booking(people[3], slots[3]), 409, "DAY_FULL")
    done(make_transition(run, people[freed], appointments[freed], "cancel"))
    booked(people[3], slots[3])
    refused(try_booking(people[4], slots[4]), 409, "DAY_FULL")


def test_a_day_limit_counts_seats_and_slots_together(book: Book, run: Run[Any], clinic: Clinic) -> None:
    doctors = limited(book, run, clinic, 4)
    slots = doctors.slots(3, capacity=3)
    people = make_patients(run, 12)
    answers = [try_booking(person, slots[number % 3]) for number, person in enumerate(people)]
    assert [answer.status_code for answer in answers] == [201] * 4 + [409] * 8


def test_many_who_ask_at_once_get_no_more_than_the_day_holds(book: Book, run: Run[Any], clinic: Clinic) -> None:
    doctors = limited(book, run, clinic, 3)
    slots = doctors.slots(10)
    people = make_patients(run, 10)
    pairs = list(zip(people, slots, strict=True))
    answers = at_once(*(lambda person=person, slot=slot: try_booking(person, slot) for person, slot in pairs))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7
    assert {a.json()["error_code"] for a in answers if a.status_code == 409} == {"DAY_FULL"}


def test_a_day_is_one_of_the_clinics_calendar(run: Run[Any], book: Book) -> None:
    every_day = [
        OpeningHours(weekday=hours.weekday, opens="00:00", closes="24:00") for hours in book.clinic.opening_hours
    ]
    clinic = factories.make_clinic(run, opening_hours=every_day)
    doctors = limited(book, run, clinic, 2)
    last_of_monday = TEN + 13 * HOUR + 30 * MINUTE  # 23:30 in New York, Tuesday in UTC
    slots = [doctors.slot(start) for start in (TEN, last_of_monday, last_of_monday + 30 * MINUTE)]
    one, two, three = make_patients(run, 3)
    booked(one, slots[0])
    booked(two, slots[1])
    refused(try_booking(three, doctors.slot(TEN + HOUR)), 409, "DAY_FULL")
    booked(three, slots[2])


def test_a_doctors_limit_holds_across_clinics(run: Run[Any], clinic: Clinic) -> None:
    other = factories.make_clinic(run)
    doctor = factories.make_doctor(
        run, clinic, clinic_ids=[clinic.clinic_id, other.clinic_id], weekly_hours=[], max_patients_per_day=1
    )
    here = Book(run=run, clinic=clinic, doctor=doctor).slot()
    there = Book(run=run, clinic=other, doctor=doctor).slot(TEN + HOUR)
    one, two = make_patients(run, 2)
    booked(one, here)
    refused(try_booking(two, there), 409, "DAY_FULL")


def leave(doctor: Person, hours: int = 1) -> str:
    """Takes the doctor's leave from ten on; its address."""
    body = {"start": TEN.isoformat(), "end": (TEN + hours * HOUR).isoformat()}
    answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", json=body)
    return f"/doctors/{doctor.id}/leaves/{done(answer, 201)['id']}"


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (1, 2)])
def test_a_reopened_slot_gives_no_seat_twice(
    book: Book, run: Run[Any], api: httpx.Client, db: Db, places: tuple[int, int]
) -> None:
    slot = book.slot(capacity=3)
    for person in patients_placed(run, *places, capacity=3):
        booked(person, slot)
    for _ in range(3):
        away = leave(book.doctor)
        assert free(api, book) == {}
        refused(try_booking(*make_patients(run, 1), slot), 409, "SLOT_NOT_OPEN")
        done(book.doctor.client.delete(away))
        assert free(api, book) == {"2037-06-01T14:00:00Z": 1}
    third, fourth = patients_placed(run, places[0], 0, capacity=3)
    booked(third, slot)
    refused(try_booking(fourth, slot), 409, "SLOT_TAKEN")
    held = list(db["appointments"].find({"seats.slot": slot.id, "active": True, "patient_id": {"$exists": True}}))
    assert sorted(row["seats"][0]["seat"] for row in held) == [3000, 3001, 3002]


def test_booked_patients_may_leave_a_withdrawn_slot(book: Book, run: Run[Any], api: httpx.Client) -> None:
    slot = book.slot(capacity=2)
    one, two, three = make_patients(run, 3)
    first, second = booked(one, slot), booked(two, slot)
    away = leave(book.doctor)
    for person, appointment in ((one, first), (two, second)):
        found = done(person.client.get(f"/appointments/{appointment['id']}"))
        assert (found["status"], found["version"]) == ("scheduled", 2)
    done(make_transition(run, one, first, "cancel"))
    refused(try_booking(three, slot), 409, "SLOT_NOT_OPEN")
    done(book.doctor.client.delete(away))
    assert free(api, book) == {"2037-06-01T14:00:00Z": 1}
    booked(three, slot)
    refused(try_booking(one, slot), 409, "SLOT_TAKEN")


class Mondays:
    """A doctor with one slot a week, on Mondays at ten, whose capacity can be changed."""

    def __init__(self, run: Run[Any], clinic: Clinic, api: httpx.Client) -> None:
        self.doctor = factories.make_doctor(run, clinic)
        self._block = {"clinic_id": str(clinic.id), "weekday": "monday", "start": "10:00", "end": "10:30"}
        self._api = api

    def set_capacity(self, capacity: int) -> list[str]:
        """Changes the hours; the appointments that no longer fit."""
        hours = [{**self._block, "slot_minutes": 30, "capacity": capacity}]
        body = done(self.doctor.client.put(f"/doctors/{self.doctor.id}/working-hours", json={"hours": hours}))
        return [row["appointment_id"] for row in body["report"]["appointments"]]

    def today(self) -> dict[str, Any] | None:
        """This Monday's slot, if it has a free seat."""
        slots = done(self._api.get("/slots", params={"doctor_id": self.doctor.id, "limit": 1}))["items"]
        return slots[0] if slots[0]["start"] == "2037-06-01T14:00:00Z" else None


@pytest.mark.parametrize("places", [(0, 1), (0, 2), (1, 2)])
def test_a_smaller_slot_takes_no_more_than_it_now_holds(
    run: Run[Any], clinic: Clinic, api: httpx.Client, places: tuple[int, int]
) -> None:
    mondays = Mondays(run, clinic, api)
    mondays.set_capacity(3)
    slot = mondays.today()
    assert slot
    for person in patients_placed(run, *places, capacity=3):
        done(person.client.post("/appointments", json={"slot_id": slot["id"]}), 201)
    assert mondays.set_capacity(2) == []
    assert mondays.today() is None
    for person in patients_placed(run, 0, 1, capacity=2):
        refused(person.client.post("/appointments", json={"slot_id": slot["id"]}), 409, "SLOT_TAKEN")


def test_a_slot_too_small_for_its_patients_opens_when_they_fit(
    run: Run[Any], clinic: Clinic, api: httpx.Client
) -> None:
    mondays = Mondays(run, clinic, api)
    mondays.set_capacity(3)
    slot = mondays.today()
    assert slot
    people = make_patients(run, 3)
    wanted = {"slot_id": slot["id"]}
    appointments = [done(person.client.post("/appointments", json=wanted), 201) for person in people]
    assert sorted(mondays.set_capacity(1)) == sorted(a["id"] for a in appointments)
    (late,) = make_patients(run, 1)
    for person, appointment in zip(people[:2], appointments, strict=False):
        refused(late.client.post("/appointments", json=wanted), 409, "SLOT_NOT_OPEN")
        done(make_transition(run, person, appointment, "cancel"))
    assert mondays.set_capacity(1) == []
    assert mondays.today() is None
    refused(late.client.post("/appointments", json=wanted), 409, "SLOT_TAKEN")
    done(make_transition(run, people[2], appointments[2], "cancel"))
    done(late.client.post("/appointments", json=wanted), 201)
    refused(people[0].client.post("/appointments", json=wanted), 409, "SLOT_TAKEN")


@pytest.mark.parametrize("leaver", [0, 1])
def test_a_slot_made_smaller_while_withdrawn_is_not_overfull(
    run: Run[Any], clinic: Clinic, api: httpx.Client, leaver: int
) -> None:
    mondays = Mondays(run, clinic, api)
    mondays.set_capacity(2)
    slot = mondays.today()
    assert slot
    people = patients_placed(run, 0, 1, capacity=2)
    wanted = {"slot_id": slot["id"]}
    appointments = [done(person.client.post("/appointments", json=wanted), 201) for person in people]
    away = leave(mondays.doctor)
    done(make_transition(run, people[leaver], appointments[leaver], "cancel"))
    mondays.set_capacity(1)
    done(mondays.doctor.client.delete(away))
    assert mondays.today() is None
    for person in make_patients(run, 2):
        refused(person.client.post("/appointments", json=wanted), 409, "SLOT_TAKEN")
