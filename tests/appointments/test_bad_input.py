"""Times, lengths and versions that make no sense: each is refused with a code."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.appointments.support import DAY, HOUR, MINUTE, MS, NOW, TEN, Book, booked, done, refused
from tests.factories import Person

Db = Database[dict[str, Any]]


def add_slot(book: Book, start: str, minutes: int = 30) -> httpx.Response:
    """Asks for a slot in the doctor's book."""
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": start, "minutes": minutes}
    return book.doctor.client.post("/slots", json=body)


@pytest.mark.parametrize(
    "start",
    [
        "2037-06-01T14:00:01Z",
        "2037-06-01T14:00:00.001Z",
        "2037-06-01T14:00:00.000001Z",
        "2037-06-01T13:59:59.999999Z",
        "2037-06-01T14:01:00Z",
        "2037-06-01T14:04:59Z",
        "2037-06-02T12:00:00+23:59",
        "2037-06-01T10:00:00-04:01",
    ],
)
def test_a_start_off_the_grid_is_refused(book: Book, start: str, db: Db) -> None:
    refused(add_slot(book, start), 422, "START_NOT_ALIGNED")
    assert db["slots"].count_documents({"is_active": True}, hint="_id_") == 0


@pytest.mark.parametrize(
    ("start", "same"),
    [
        ("2037-06-01T10:00:00-04:00", "2037-06-01T14:00:00Z"),
        ("2037-06-01T14:00:00+00:00", "2037-06-01T14:00:00Z"),
        ("2037-06-02T13:59:00+23:59", "2037-06-01T14:00:00Z"),
        ("2037-05-31T14:01:00-23:59", "2037-06-01T14:00:00Z"),
        ("2037-06-01T19:45:00+05:45", "2037-06-01T14:00:00Z"),
        ("2037-06-01t14:00:00.000z", "2037-06-01T14:00:00Z"),
    ],
)
def test_an_offset_is_only_another_way_to_say_the_moment(book: Book, start: str, same: str) -> None:
    assert done(add_slot(book, start), 201)["start"] == same


@pytest.mark.parametrize(
    ("start", "minutes"),
    [
        ("2037-06-01T23:45:00Z", 30),  # 19:45 to 20:15; the clinic closes at 20:00
        ("2037-06-01T23:55:00Z", 10),
        ("2037-06-02T00:00:00Z", 30),  # begins when it closes
        ("2037-06-01T11:55:00Z", 30),  # begins five minutes before it opens
        ("2037-06-01T18:00:00Z", 480),
        ("2037-06-02T07:00:00Z", 30),
    ],
)
def test_a_slot_outside_opening_hours_is_refused(book: Book, start: str, minutes: int) -> None:
    refused(add_slot(book, start, minutes), 422, "OUTSIDE_OPENING_HOURS")


def test_the_first_and_the_last_slot_of_the_day_are_not(book: Book) -> None:
    done(add_slot(book, "2037-06-01T12:00:00Z", 5), 201)
    done(add_slot(book, "2037-06-01T23:55:00Z", 5), 201)
    done(add_slot(book, "2037-06-02T16:00:00Z", 480), 201)


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("2037-06-01T10:00:00Z", "IN_THE_PAST"),  # now
        ("2037-06-01T09:55:00Z", "IN_THE_PAST"),
        ("1900-01-01T00:00:00Z", "IN_THE_PAST"),
        ("2037-08-01T14:00:00Z", "BEYOND_HORIZON"),
        ("2199-12-31T23:55:00Z", "BEYOND_HORIZON"),
    ],
)
def test_a_slot_lies_between_now_and_the_horizon(book: Book, start: str, code: str) -> None:
    refused(add_slot(book, start), 422, code)


BAD_MOMENTS = [
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2037-06-01T14:00:00Z"),
    *(
        "1899-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2199-12-31T23:59:59-00:01",
        "1900-01-01T00:00:00+00:01",
    ),
    *("2037-06-01T14:00:00+24:00", "2037-06-01T14:00:00-24:00", "2037-06-01T14:00:00+99:99"),
    *(
        "2037-06-01T14:00:00",
        "2037-06-01T14:00:00 02:00",
        "2037-06-01T25:00:00Z",
        "2037-02-29T14:00:00Z",
        "2037-06-31T14:00:00Z",
    ),
    *("1780322400", "2127477600", "1e10", "Infinity", "NaN", "now", "", " ", "2037-W23-1T14:00:00Z"),
]


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_a_moment_that_makes_no_sense_is_refused_everywhere(book: Book, admin: Person, moment: str, db: Db) -> None:
    refused(add_slot(book, moment), 422, "VALIDATION_ERROR")
    good = "2037-06-01T14:00:00Z"
    for body in ({"start": moment, "end": good}, {"start": good, "end": moment}):
        for path in (f"/doctors/{book.doctor.id}/leaves", f"/clinics/{book.clinic.id}/closures"):
            refused(admin.client.post(path, json=body), 422, "VALIDATION_ERROR")
    for name in ("from", "to"):
        for path in ("/appointments", "/slots", f"/doctors/{book.doctor.id}/slots"):
            refused(admin.client.get(path, params={name: moment}), 422, "VALIDATION_ERROR")
    assert db["leaves"].find_one() is None


@pytest.mark.parametrize("moment", ["2037-06-01", 1780322400, 1780322400000, 0, 1.5, True, None, {}, []])
def test_a_moment_is_text_with_a_time(book: Book, moment: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": moment}
    refused(book.doctor.client.post("/slots", json=body), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("moment", ["1900-01-01T00:00:00Z", "2199-12-31T23:59:59Z", "2037-06-01T14:00:00+23:59"])
def test_lists_can_be_asked_for_any_sane_moment(admin: Person, moment: str) -> None:
    for name in ("from", "to"):
        for path in ("/appointments", "/slots"):
            assert done(admin.client.get(path, params={name: moment}))["items"] == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (TEN, TEN),
        (TEN, TEN - MS),
        (TEN, TEN + 400 * DAY),
        (NOW - DAY, NOW - HOUR),
    ],
)
def test_a_leave_that_makes_no_sense_is_refused(book: Book, start: Any, end: Any, db: Db) -> None:
    body = {"start": start.isoformat(), "end": end.isoformat()}
    answer = book.doctor.client.post(f"/doctors/{book.doctor.id}/leaves", json=body)
    refused(answer, 422, "IN_THE_PAST" if end < NOW else "VALIDATION_ERROR")
    assert db["leaves"].find_one() is None


@pytest.mark.parametrize("minutes", [0, -5, 4, 7, 485, 2**31, 2**63, 2**64, 10**30, 30.5, "x", None])
def test_a_slot_lasts_whole_ticks_up_to_eight_hours(book: Book, minutes: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": "2037-06-01T14:00:00Z"}
    answer = book.doctor.client.post("/slots", json={**body, "minutes": minutes})
    if minutes is None:
        assert done(answer, 201)["end"] == (TEN + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    else:
        refused(answer, 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("capacity", [0, -1, 101, 2**63, 2**64, 1.5, "many", None])
def test_a_slot_holds_one_to_a_hundred_patients(book: Book, capacity: Any) -> None:
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": "2037-06-01T14:00:00Z"}
    refused(book.doctor.client.post("/slots", json={**body, "capacity": capacity}), 422, "VALIDATION_ERROR")


@pytest.mark.parametrize("version", [0, -1, 2**31 + 1, 2**63, 2**64, 10**400, 1.5, "one", [1]])
def test_a_version_is_a_sane_number(book: Book, patient: Person, version: Any) -> None:
    appointment = booked(patient, book.slot())
    for transition in ("confirm", "cancel"):
        answer = patient.client.post(f"/appointments/{appointment['id']}/{transition}", json={"version": version})
        refused(answer, 422, "VALIDATION_ERROR")


def test_two_slots_of_one_doctor_never_overlap(book: Book) -> None:
    book.slot(TEN, minutes=30)
    for start, minutes in ((TEN, 30), (TEN + 25 * MINUTE, 5), (TEN - 55 * MINUTE, 60), (TEN - HOUR, 120)):
        refused(add_slot(book, start.isoformat(), minutes), 409, "SLOT_OVERLAPS")
    done(add_slot(book, (TEN + 30 * MINUTE).isoformat(), 5), 201)
    done(add_slot(book, (TEN - 5 * MINUTE).isoformat(), 5), 201)
