"""What the search offers booking accepts, and what it doesn't offer booking refuses; pages are complete."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.directory.documents import Clinic
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    NOBODY,
    Db,
    at,
    book,
    done,
    every_day,
    offered,
    opened,
    refused,
    search,
    slot_at,
    slots_in,
    text,
    try_booking,
)


def patients(run: Run[Any], count: int) -> list[Person]:
    return [factories.make_user(run, Role.PATIENT) for _ in range(count)]


def pages(api: httpx.Client, limit: int, **params: Any) -> list[list[str]]:
    """The ids of each page."""
    found, cursor = [], None
    while True:
        answer = done(api.get("/slots", params={**params, "limit": limit, **({"cursor": cursor} if cursor else {})}))
        found.append([slot["id"] for slot in answer["items"]])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def test_every_offered_seat_can_be_booked(run: Run[Any], api: httpx.Client, clinic: Clinic, db: Db) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2))
    opened(run, doctor)
    until = text(at("00:00", days=1))
    people, booked = patients(run, 2), 0
    while found := search(api, doctor_id=doctor.id, to=until):
        for slot in found:
            book(people[booked // 4], slot)
            booked += 1
    assert booked == 8
    for slot in slots_in(db, doctor)[:4]:
        late = patients(run, 1)[0]
        body = refused(try_booking(late, {"id": str(slot["_id"])}), 409, "SLOT_TAKEN")
        assert [s["start"][:10] for s in body["alternatives"]] == ["2030-06-04"] * 3


def test_the_alternatives_of_a_refusal_are_what_the_search_finds(
    run: Run[Any], api: httpx.Client, doctor: Person
) -> None:
    opened(run, doctor)
    first, second = patients(run, 2)
    slot = slot_at(api, doctor, "09:30")
    book(first, slot)
    refusal = refused(try_booking(second, slot), 409, "SLOT_TAKEN")
    assert refusal["alternatives"] == search(api, doctor_id=doctor.id)[:3]


def test_a_withdrawn_slot_can_t_be_booked(run: Run[Any], api: httpx.Client, doctor: Person, patient: Person) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "10:00")
    leave = {"start": text(at("10:00")), "end": text(at("10:30"))}
    done(doctor.client.post(f"/doctors/{doctor.id}/leaves", json=leave), 201)
    assert offered(api, doctor) == ["09:00", "09:30", "10:30"]
    # A slot without bookings is gone for good; a new slot of that time has another id.
    refused(try_booking(patient, slot), 409, "SLOT_NOT_OPEN")
    refused(try_booking(patient, {"id": NOBODY}), 404, "SLOT_NOT_FOUND")


def test_a_removed_slot_can_t_be_booked(run: Run[Any], api: httpx.Client, doctor: Person, patient: Person) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "10:00")
    done(doctor.client.delete(f"/slots/{slot['id']}"))
    refused(try_booking(patient, slot), 409, "SLOT_NOT_OPEN")


def test_a_slot_that_has_started_can_t_be_booked(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    with clock.stopped(at("09:00")):
        again = factories.log_in(run, patient.user)
        refused(try_booking(again, slot), 409, "SLOT_NOT_OPEN")
    book(patient, slot)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_slot_of_a_full_day_can_t_be_booked(run: Run[Any], api: httpx.Client, clinic: Clinic, limit: int) -> None:
    doctor = factories.make_doctor(
        run, clinic, max_patients_per_day=limit, weekly_hours=every_day(clinic, "09:00", "11:00", capacity=2)
    )
    opened(run, doctor)
    all_slots = search(api, doctor_id=doctor.id, to=text(at("00:00", days=1)))
    for number, person in enumerate(patients(run, limit)):
        book(person, all_slots[number])
    assert offered(api, doctor) == []
    for slot, person in zip(all_slots, patients(run, 4), strict=True):
        refused(try_booking(person, slot), 409, "DAY_FULL")
    book(patients(run, 1)[0], slot_at(api, doctor, "09:00", days=1))


def test_an_inactive_doctor_s_slots_can_t_be_booked(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, admin: Person
) -> None:
    opened(run, doctor)
    slot = slot_at(api, doctor, "09:00")
    done(admin.client.delete(f"/doctors/{doctor.id}"))
    assert search(api) == []
    refused(try_booking(patient, slot), 409, "SLOT_NOT_OPEN")


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 100])
def test_pages_have_each_slot_once_by_start(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, limit: int
) -> None:
    same_times = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "11:00"))
    opened(run, doctor, same_times)
    found = pages(api, limit)
    assert all(len(page) <= limit for page in found)
    assert [slot_id for page in found for slot_id in page] == [slot["id"] for slot in search(api)]
    assert len({slot_id for page in found for slot_id in page}) == 24
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1] != []


def test_full_slots_leave_no_holes_in_the_pages(run: Run[Any], api: httpx.Client, clinic: Clinic) -> None:
    """Forty slots of five minutes, all but the last three booked: more than a first reading holds."""
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "09:00", "12:20", slot_minutes=5))
    opened(run, doctor)
    today = search(api, doctor_id=doctor.id, to=text(at("00:00", days=1)))
    patient = patients(run, 1)[0]
    for slot in today[:-3]:
        book(patient, slot)
    assert pages(api, 2, doctor_id=doctor.id, to=text(at("00:00", days=1))) == [
        [today[-3]["id"], today[-2]["id"]],
        [today[-1]["id"]],
    ]
    assert search(api, doctor_id=doctor.id, limit=1)[0]["id"] == today[-3]["id"]


def test_pages_stay_stable_while_slots_are_booked_and_added(
    run: Run[Any], api: httpx.Client, clinic: Clinic, doctor: Person, patient: Person
) -> None:
    opened(run, doctor)
    whole = [slot["id"] for slot in search(api)]
    first = done(api.get("/slots", params={"limit": 5}))
    shown = [slot["id"] for slot in first["items"]]
    book(patient, first["items"][0])
    added = {"doctor_id": doctor.id, "clinic_id": str(clinic.clinic_id), "start": text(at("08:00"))}
    done(doctor.client.post("/slots", json=added), 201)
    while first["next_cursor"]:
        first = done(api.get("/slots", params={"limit": 5, "cursor": first["next_cursor"]}))
        shown += [slot["id"] for slot in first["items"]]
    assert shown == whole


@pytest.mark.parametrize(
    "cursor", ["", "x", "WzFd", "e30", "W10", "WyJ4IiwgInkiXQ", "a" * 512, "%ff", "bnVsbA", "\ud83d"]
)
def test_an_unknown_cursor_is_refused(api: httpx.Client, cursor: str) -> None:
    answer = api.get(f"/slots?cursor={quote(cursor, safe='%', errors='surrogatepass')}")
    refused(answer, 422, "BAD_CURSOR")


def test_an_overlong_cursor_is_refused(api: httpx.Client) -> None:
    refused(api.get("/slots", params={"cursor": "a" * 513}), 422, "VALIDATION_ERROR")
