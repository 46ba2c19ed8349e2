"""Lists of appointments: whose they show, how they are narrowed, ordered and cut into pages."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    NOBODY,
    TEN,
    Book,
    booked,
    done,
    instant,
    make_patients,
    make_transition,
    refused,
)
from tests.factories import Person, Run

Db = Database[dict[str, Any]]


def rows(person: Person, path: str = "/appointments", **params: Any) -> list[dict[str, Any]]:
    """The first page of a list."""
    found: list[dict[str, Any]] = done(person.client.get(path, params=params))["items"]
    return found


def ids(appointments: list[dict[str, Any]]) -> list[str]:
    """Their ids, in order."""
    return [appointment["id"] for appointment in appointments]


class Two:
    """Two clinics, a doctor and a nurse at each, two patients: each patient has one appointment with each doctor."""

    def __init__(self, run: Run[Any], clinic: Clinic) -> None:
        self.clinics = [clinic, factories.make_clinic(run)]
        self.doctors = [factories.make_doctor(run, clinic, weekly_hours=[]) for clinic in self.clinics]
        self.nurses = [factories.make_nurse(run, clinic) for clinic in self.clinics]
        self.patients = make_patients(run, 2)
        self.made: dict[tuple[int, int], dict[str, Any]] = {}
        for d, (clinic_, doctor) in enumerate(zip(self.clinics, self.doctors, strict=True)):
            for p, patient in enumerate(self.patients):
                slot = Book(run=run, clinic=clinic_, doctor=doctor).slot(TEN + (2 * d + p) * HOUR)
                self.made[d, p] = booked(patient, slot, reason=f"Reason {d}{p}")

    def of(self, *keys: tuple[int, int]) -> list[str]:
        """The ids of the appointments with doctor d of patient p."""
        return [self.made[key]["id"] for key in keys]


@pytest.fixture
def two(run: Run[Any], clinic: Clinic) -> Two:
    """Two of everything."""
    return Two(run, clinic)


def test_everybody_sees_what_is_theirs(two: Two, admin: Person, run: Run[Any]) -> None:
    for number in (0, 1):
        assert ids(rows(two.patients[number])) == two.of((0, number), (1, number))
        assert ids(rows(two.doctors[number])) == two.of((number, 0), (number, 1))
        assert ids(rows(two.nurses[number])) == two.of((number, 0), (number, 1))
    assert ids(rows(admin)) == two.of((0, 0), (0, 1), (1, 0), (1, 1))
    assert rows(factories.make_user(run, Role.NURSE)) == []
    assert rows(factories.make_user(run, Role.PATIENT)) == []


def test_a_row_says_what_a_list_shows_and_no_more(two: Two) -> None:
    (row, _) = rows(two.patients[0])
    whole = two.made[0, 0]
    assert row == {name: whole[name] for name in row}
    assert set(whole) - set(row) == {
        *("notes", "history", "cancelled_at", "cancelled_by", "cancel_reason"),
        *("created_by", "created_at", "updated_at", "instructions", "telehealth_url"),
    }


def test_filters_narrow_what_is_seen_and_never_widen_it(two: Two, admin: Person) -> None:
    patient, doctor, clinic = two.patients[0], two.doctors[0], two.clinics[0]
    other_patient, other_doctor, other_clinic = two.patients[1], two.doctors[1], two.clinics[1]
    assert ids(rows(admin, doctor_id=doctor.id)) == two.of((0, 0), (0, 1))
    assert ids(rows(admin, patient_id=patient.id)) == two.of((0, 0), (1, 0))
    assert ids(rows(admin, clinic_id=str(other_clinic.id))) == two.of((1, 0), (1, 1))
    assert ids(rows(admin, clinic_id=str(clinic.id), patient_id=patient.id)) == two.of((0, 0))
    assert ids(rows(patient, doctor_id=other_doctor.id)) == two.of((1, 0))
    assert rows(patient, patient_id=other_patient.id) == []
    assert rows(doctor, doctor_id=other_doctor.id) == []
    assert rows(doctor, clinic_id=str(other_clinic.id)) == []
    assert rows(two.nurses[0], clinic_id=str(other_clinic.id)) == []
    assert rows(two.nurses[0], doctor_id=other_doctor.id) == []
    assert rows(admin, patient_id=NOBODY) == []


def test_a_list_is_narrowed_by_status(two: Two, admin: Person, run: Run[Any]) -> None:
    done(make_transition(run, admin, two.made[0, 0], "cancel"))
    done(make_transition(run, admin, two.made[0, 1], "confirm", at=TEN))
    assert ids(rows(admin, status="cancelled")) == two.of((0, 0))
    assert ids(rows(admin, status=["cancelled", "confirmed"])) == two.of((0, 0), (0, 1))
    assert ids(rows(admin, status="scheduled")) == two.of((1, 0), (1, 1))
    assert rows(admin, status="no_show") == []
    answer = admin.client.get("/appointments", params={"status": ["scheduled", "asleep"]})
    refused(answer, 422, "VALIDATION_ERROR")


def test_a_list_is_narrowed_by_time_from_inclusive_to_exclusive(two: Two, admin: Person) -> None:
    def at(moment: datetime) -> str:
        return moment.isoformat()

    assert ids(rows(admin, **{"from": at(TEN + HOUR)})) == two.of((0, 1), (1, 0), (1, 1))
    assert ids(rows(admin, to=at(TEN + HOUR))) == two.of((0, 0))
    assert ids(rows(admin, **{"from": at(TEN), "to": at(TEN + 2 * HOUR)})) == two.of((0, 0), (0, 1))
    assert rows(admin, **{"from": at(TEN + MINUTE), "to": at(TEN + HOUR)}) == []
    assert rows(admin, **{"from": at(TEN + HOUR), "to": at(TEN)}) == []
    in_new_york = {"from": "2037-06-01T12:00:00-04:00", "to": "2037-06-01T13:00:00-04:00"}
    assert ids(rows(admin, **in_new_york)) == two.of((1, 0))


def test_a_list_may_begin_with_the_latest(two: Two, admin: Person) -> None:
    assert ids(rows(admin, descending=True)) == two.of((1, 1), (1, 0), (0, 1), (0, 0))


def pages(person: Person, limit: int, path: str = "/appointments", **params: Any) -> list[list[str]]:
    """All pages of a list."""
    found, cursor = [], None
    while True:
        asked = {**params, "limit": limit, **({"cursor": cursor} if cursor else {})}
        body = done(person.client.get(path, params=asked))
        found.append(ids(body["items"]))
        cursor = body["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 4, 5, 8, 9, 100])
def test_pages_hold_each_appointment_once_at_equal_starts(
    book: Book, clinic: Clinic, admin: Person, run: Run[Any], limit: int, descending: bool
) -> None:
    early, late = book.slot(capacity=4), book.slot(TEN + HOUR)
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    same = other.slot(capacity=3)
    people = make_patients(run, 8)
    slots = [early, same, early, same, late, early, same, early]
    made = [booked(person, slot) for person, slot in zip(people, slots, strict=True)]
    in_order = ids(sorted(made, key=lambda a: (a["start"], a["id"]), reverse=descending))
    found = pages(admin, limit, descending=descending)
    assert [an_id for page in found for an_id in page] == in_order
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert 1 <= len(found[-1]) <= limit, "no page is empty"


def test_pages_are_stable_while_appointments_come_and_go(book: Book, admin: Person, run: Run[Any]) -> None:
    slots = book.slots(6)
    people = make_patients(run, 6)
    second, third, fourth, fifth = (booked(people[n], slots[n]) for n in (1, 2, 3, 4))
    first_page = done(admin.client.get("/appointments", params={"limit": 2}))
    assert ids(first_page["items"]) == ids([second, third])
    booked(people[0], slots[0])
    sixth = booked(people[5], slots[5])
    done(make_transition(run, people[1], second, "cancel"))
    rest = rows(admin, cursor=first_page["next_cursor"])
    assert ids(rest) == ids([fourth, fifth, sixth])


def test_a_cursor_shows_nobody_more_than_is_theirs(two: Two, admin: Person) -> None:
    cursor = done(admin.client.get("/appointments", params={"limit": 1}))["next_cursor"]
    assert ids(rows(two.patients[1], cursor=cursor)) == two.of((0, 1), (1, 1))


def test_a_patients_list_shows_what_the_caller_may_see(two: Two, admin: Person) -> None:
    patient = two.patients[0]
    path = f"/patients/{patient.id}/appointments"
    assert ids(rows(patient, path)) == ids(rows(admin, path)) == two.of((0, 0), (1, 0))
    assert ids(rows(patient, path, descending=True)) == two.of((1, 0), (0, 0))
    for number in (0, 1):
        assert ids(rows(two.doctors[number], path)) == two.of((number, 0))
        assert ids(rows(two.nurses[number], path)) == two.of((number, 0))
    assert pages(admin, 1, path) == [two.of((0, 0)), two.of((1, 0))]
    assert rows(admin, path, status="cancelled") == []


def test_another_patients_list_is_not_found(two: Two, admin: Person, api: httpx.Client) -> None:
    one, other = two.patients
    for an_id in (other.id, NOBODY, two.doctors[0].id):
        answer = one.client.get(f"/patients/{an_id}/appointments")
        refused(answer, 404, "PATIENT_NOT_FOUND")
    for an_id in (NOBODY, two.doctors[0].id):
        refused(admin.client.get(f"/patients/{an_id}/appointments"), 404, "PATIENT_NOT_FOUND")
    refused(api.get(f"/patients/{one.id}/appointments"), 401, "NOT_AUTHENTICATED")


def test_withdrawn_seats_appear_nowhere(book: Book, patient: Person, admin: Person, nurse: Person, db: Db) -> None:
    slot, *_ = book.slots(3, capacity=3)
    appointment = booked(patient, slot)
    body = {"start": TEN.isoformat(), "end": (TEN + DAY).isoformat()}
    done(book.doctor.client.post(f"/doctors/{book.doctor.id}/leaves", json=body), 201)
    assert db["appointments"].count_documents({"active": True, "expires_at": {"$exists": True}}) == 9
    for person in (admin, nurse, book.doctor, patient):
        for params in ({}, {"descending": True}, {"status": ["scheduled", "cancelled"]}):
            assert ids(rows(person, **params)) == [appointment["id"]]
        assert ids(rows(person, f"/patients/{patient.id}/appointments")) == [appointment["id"]]
    numbers = done(admin.client.get("/admin/dashboard"))
    for name in ("appointments", "today"):
        assert (numbers[name]["total"], numbers[name]["scheduled"]) == (1, 1)
    stats = done(admin.client.get(f"/doctors/{book.doctor.id}/stats"))
    assert [(row["period"], row["total"]) for row in stats["items"]] == [("2037-06-01", 1)]


def test_a_moment_in_a_list_is_the_one_in_the_answer_to_booking(two: Two, admin: Person) -> None:
    for row in rows(admin):
        whole = done(admin.client.get(f"/appointments/{row['id']}"))
        assert (row["start"], row["end"]) == (whole["start"], whole["end"])
        assert instant(row["start"]).utcoffset() is not None
