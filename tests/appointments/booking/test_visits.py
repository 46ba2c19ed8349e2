"""Visits that take several slots: all their seats are taken, moved and given back together."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.accounts.profiles import WEEK
from backend.directory.documents import Clinic, OpeningHours
from backend.scheduling.documents import Slot
from tests import factories
from tests.appointments.commands import recorded
from tests.appointments.support import (
    DAY,
    HOUR,
    MINUTE,
    NOBODY,
    TEN,
    Book,
    at_once,
    booked,
    done,
    instant,
    make_patients,
    refused,
    stored,
    try_booking,
)
from tests.appointments.visits import starts, visit_type
from tests.factories import Person, Run
from tests.support.book import check_book

Db = Database[dict[str, Any]]


def ids(slots: list[Slot]) -> list[str]:
    return [str(slot.id) for slot in slots]


def quarter_hours(book: Book, count: int, start: datetime = TEN) -> list[Slot]:
    return [book.slot(start + number * 15 * MINUTE, minutes=15) for number in range(count)]


def reschedule(person: Person, appointment: dict[str, Any], slot: Slot) -> httpx.Response:
    return person.client.post(f"/appointments/{appointment['id']}/reschedule", json={"slot_id": str(slot.id)})


def free(client: httpx.Client, slots: list[Slot]) -> list[int]:
    return [done(client.get(f"/slots/{slot.id}"))["free"] for slot in slots]


# Booking


def test_a_long_visit_takes_a_seat_in_each_of_its_slots(
    book: Book, patient: Person, api: httpx.Client, db: Db
) -> None:
    slots = book.slots(4)
    kind = visit_type(book, 90, names={"en": "First visit"})

    appointment = booked(patient, slots[0], visit_type_id=kind)

    assert appointment["slot_ids"] == ids(slots[:3])
    assert (appointment["slot_id"], appointment["visit_type_id"]) == (str(slots[0].id), kind)
    assert appointment["visit_type_name"] == "First visit"
    assert (instant(appointment["start"]), instant(appointment["end"])) == (TEN, TEN + 90 * MINUTE)
    assert free(api, slots) == [0, 0, 0, 1]
    listed = done(patient.client.get("/appointments"))["items"][0]
    assert (listed["slot_ids"], listed["visit_type_id"]) == (ids(slots[:3]), kind)
    check_book(db)


@pytest.mark.parametrize("minutes", [90, 45, 30, 20])
def test_any_visit_is_one_insert(book: Book, patient: Person, db: Db, minutes: int) -> None:
    slot, *_ = book.slots(4, capacity=2)
    kind = visit_type(book, minutes, buffer_minutes=10)
    with recorded(db) as commands:
        booked(patient, slot, visit_type_id=kind)
    assert (commands.writes, commands.others) == ([("insert", "appointments")], [])


def test_rescheduling_a_long_visit_is_one_update(book: Book, patient: Person, api: httpx.Client, db: Db) -> None:
    slots = book.slots(8)
    appointment = booked(patient, slots[0], visit_type_id=visit_type(book))
    for first in (1, 4, 3, 0):  # three of these overlap what it has
        with recorded(db) as commands:
            moved = done(reschedule(patient, appointment, slots[first]))
        assert (commands.writes, commands.others) == ([("findAndModify", "appointments")], [])
        assert moved["slot_ids"] == ids(slots[first : first + 3])
        assert free(api, slots) == [int(not first <= place < first + 3) for place in range(8)]
        check_book(db)


def test_a_refused_reschedule_keeps_every_seat(book: Book, run: Run[Any], api: httpx.Client, db: Db) -> None:
    slots = book.slots(6)
    one, two = make_patients(run, 2)
    appointment = booked(one, slots[0], visit_type_id=visit_type(book))
    booked(two, slots[4])
    refused(reschedule(one, appointment, slots[2]), 409, "SLOT_TAKEN")
    refused(reschedule(one, appointment, slots[5]), 409, "NOT_ENOUGH_TIME")
    assert stored(db, appointment)["reschedule_count"] == 0
    assert free(api, slots) == [0, 0, 0, 1, 0, 1]
    check_book(db)


def test_cancelling_frees_all_its_slots(book: Book, patient: Person, api: httpx.Client) -> None:
    slots = book.slots(3)
    kind = visit_type(book)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    assert starts(api, kind) == []
    done(patient.client.post(f"/appointments/{appointment['id']}/cancel"))
    assert free(api, slots) == [1, 1, 1]
    assert starts(api, kind) == ids(slots[:1])


def test_the_patient_is_busy_for_the_visit_and_no_longer(book: Book, run: Run[Any], clinic: Clinic, db: Db) -> None:
    """40 minutes in slots of a quarter: the patient's time ends with the visit, the doctor's with the buffer."""
    slots = quarter_hours(book, 5)
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    inside = other.slot(TEN + 35 * MINUTE, minutes=5)
    after = other.slot(TEN + 40 * MINUTE, minutes=5)
    (one,) = make_patients(run, 1)

    appointment = booked(one, slots[0], visit_type_id=visit_type(book, 40, buffer_minutes=10))

    assert appointment["slot_ids"] == ids(slots[:4])
    assert instant(appointment["end"]) == TEN + 40 * MINUTE
    refused(try_booking(one, inside), 409, "PATIENT_DOUBLE_BOOKED")
    booked(one, after)
    check_book(db)


@pytest.mark.parametrize(("buffer", "taken"), [(0, 3), (5, 3), (10, 4), (20, 4), (25, 5)])
def test_seats_cover_visit_and_buffer_in_whole_slots(
    book: Book, patient: Person, buffer: int, taken: int, api: httpx.Client
) -> None:
    slots = quarter_hours(book, 6)
    kind = visit_type(book, 40, buffer_minutes=buffer)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    assert appointment["slot_ids"] == ids(slots[:taken])
    assert free(api, slots) == [int(place >= taken) for place in range(6)]


def test_a_buffer_needs_a_slot_only_where_there_is_one(book: Book, run: Run[Any], api: httpx.Client) -> None:
    alone, first, last = book.slot(TEN - HOUR), *book.slots(2)
    kind = visit_type(book, 30, buffer_minutes=30)
    assert starts(api, kind) == ids([alone, first, last])
    for slot in (last, alone):
        assert booked(make_patients(run, 1)[0], slot, visit_type_id=kind)["slot_ids"] == ids([slot])
    assert starts(api, kind) == []


def test_a_buffer_does_not_fit_where_the_next_slot_is_taken(book: Book, run: Run[Any], api: httpx.Client) -> None:
    slots = book.slots(3)
    one, two = make_patients(run, 2)
    booked(one, slots[1])
    kind = visit_type(book, 30, buffer_minutes=5)
    assert starts(api, kind) == ids(slots[2:])
    refused(try_booking(two, slots[0], visit_type_id=kind), 409, "SLOT_TAKEN")


def test_a_run_has_no_gap_and_one_doctor(book: Book, run: Run[Any], clinic: Clinic, api: httpx.Client) -> None:
    kind = visit_type(book, 60)
    early, late = book.slot(TEN), book.slot(TEN + HOUR)
    other = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    other.slot(TEN + 30 * MINUTE)
    (one,) = make_patients(run, 1)
    assert starts(api, kind) == []
    for slot in (early, late):
        refused(try_booking(one, slot, visit_type_id=kind), 409, "NOT_ENOUGH_TIME")


def test_a_run_crosses_slots_of_different_lengths(book: Book, patient: Person, api: httpx.Client, db: Db) -> None:
    slots = [book.slot(TEN, minutes=10), book.slot(TEN + 10 * MINUTE, minutes=45), book.slot(TEN + 55 * MINUTE)]
    kind = visit_type(book, 60)
    assert starts(api, kind) == ids(slots[:2])
    assert booked(patient, slots[0], visit_type_id=kind)["slot_ids"] == ids(slots)
    check_book(db)


def test_seats_of_slots_for_many_are_taken_one_each(book: Book, run: Run[Any], api: httpx.Client, db: Db) -> None:
    slots = book.slots(4, capacity=3)
    kind = visit_type(book, 60)
    for number, person in enumerate(make_patients(run, 6)):
        booked(person, slots[number % 2 * 2], visit_type_id=kind)
    assert free(api, slots) == [0, 0, 0, 0]
    assert starts(api, kind) == []
    check_book(db)


def test_whoever_wants_a_part_of_a_run_at_once_shares_no_slot(book: Book, run: Run[Any], db: Db) -> None:
    slots = book.slots(6)
    kinds = [visit_type(book, 30 * length) for length in (1, 2, 3, 4)]
    people = make_patients(run, 12)
    answers = at_once(
        *(
            lambda n=n, person=person: try_booking(person, slots[n % 3], visit_type_id=kinds[n % 4])
            for n, person in enumerate(people)
        )
    )
    assert {answer.status_code for answer in answers} == {201, 409}
    check_book(db)


# The search


def test_what_the_search_offers_booking_accepts(book: Book, run: Run[Any], api: httpx.Client, db: Db) -> None:
    slots = [*book.slots(5), *book.slots(4, TEN + 4 * HOUR, capacity=2), *quarter_hours(book, 6, TEN + DAY)]
    people = make_patients(run, 20)
    booked(people.pop(), slots[2])
    booked(people.pop(), slots[6])
    for minutes, buffer in ((60, 0), (40, 10), (90, 0), (30, 30), (20, 5)):
        kind = visit_type(book, minutes, buffer_minutes=buffer)
        offered = starts(api, kind)
        for slot in slots:
            answer = try_booking(people[-1], slot, visit_type_id=kind)
            assert (answer.status_code == 201) == (str(slot.id) in offered), (
                minutes,
                buffer,
                slot.start,
                answer.text,
            )
            if answer.status_code == 201:
                done(people[-1].client.post(f"/appointments/{answer.json()['id']}/cancel"))
    check_book(db)


def test_a_run_looks_past_the_page_and_past_the_range(book: Book, api: httpx.Client) -> None:
    slots = book.slots(8)
    kind = visit_type(book, 60)
    until = (TEN + 30 * MINUTE).isoformat()
    assert starts(api, kind, to=until) == ids(slots[:1])
    assert starts(api, kind, to=until, doctor_id=book.doctor.id, **{"from": TEN.isoformat()}) == ids(slots[:1])
    found, cursor = [], {}
    while True:
        page = done(api.get("/slots", params={"visit_type_id": kind, "limit": 2, **cursor}))
        found += [slot["id"] for slot in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == ids(slots[:7])


def test_a_visit_holds_every_slot_that_it_overlaps(book: Book, patient: Person, api: httpx.Client) -> None:
    """A visit of 9:40 to 10:20 leaves no seat at 10:00, in a search that begins there."""
    slots = [book.slot(TEN - 20 * MINUTE, minutes=20), book.slot(TEN, minutes=20), book.slot(TEN + 20 * MINUTE)]
    booked(patient, slots[0], visit_type_id=visit_type(book, 40))
    day = {"from": TEN.isoformat(), "to": (TEN + HOUR).isoformat()}
    found = done(api.get(f"/doctors/{book.doctor.id}/slots", params=day))["items"]
    assert [slot["id"] for slot in found] == ids(slots[2:])


def test_a_cancelled_long_visit_clears_the_hints_of_all_its_slots(
    run: Run[Any], doctor: Person, api: httpx.Client, db: Db
) -> None:
    """Also of those behind midnight, and so of another day."""
    all_day = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
    clinic = factories.make_clinic(run, opening_hours=all_day)
    book = Book(run=run, clinic=clinic, doctor=factories.make_doctor(run, clinic, weekly_hours=[]))
    midnight = TEN + 14 * HOUR
    slots = book.slots(20, midnight - 8 * HOUR)
    one, two = make_patients(run, 2)
    booked(one, slots[0], visit_type_id=visit_type(book, 420))
    last = booked(two, slots[14], visit_type_id=visit_type(book, 180))
    assert done(api.get("/slots", params={"limit": 1}))["items"] == []
    hinted = {"doctor_id": book.doctor.object_id, "is_active": True, "known_full": True}
    assert db["slots"].count_documents(hinted) == 20
    assert {slots[14].day, slots[19].day} == {"2037-06-01", "2037-06-02"}

    done(two.client.post(f"/appointments/{last['id']}/cancel"))

    found = done(api.get("/slots", params={"limit": 100}))["items"]
    assert [slot["id"] for slot in found] == ids(slots[14:])
    assert starts(api, visit_type(book, 180)) == ids(slots[14:15])
    check_book(db)


def test_the_search_keeps_to_the_types_doctors_and_clinic(
    book: Book, run: Run[Any], clinic: Clinic, admin: Person, api: httpx.Client, patient: Person
) -> None:
    department = done(admin.client.post("/departments", json={"name": "Surgery"}), 201)["id"]
    surgeon = factories.make_doctor(run, clinic, weekly_hours=[], department_id=department)
    theirs = Book(run=run, clinic=clinic, doctor=surgeon).slot()
    ours = book.slot()
    elsewhere = Book(run=run, clinic=factories.make_clinic(run), doctor=book.doctor)
    by_doctor = visit_type(book, 30, doctor_ids=[book.doctor.id])
    by_department = visit_type(book, 30, department_ids=[department])
    assert sorted(starts(api, visit_type(book, 30))) == sorted(ids([theirs, ours]))
    assert starts(api, by_doctor) == ids([ours])
    assert starts(api, by_department) == ids([theirs])
    assert starts(api, by_doctor, clinic_id=str(elsewhere.clinic.clinic_id)) == []
    assert starts(api, by_doctor, doctor_id=surgeon.id) == []
    refused(try_booking(patient, theirs, visit_type_id=by_doctor), 422, "VISIT_TYPE_NOT_OFFERED")
    refused(try_booking(patient, ours, visit_type_id=by_department), 422, "VISIT_TYPE_NOT_OFFERED")
    booked(patient, theirs, visit_type_id=by_department)


# Bad input


def test_another_clinics_visit_type_is_refused(book: Book, run: Run[Any], patient: Person, db: Db) -> None:
    clinic = factories.make_clinic(run)
    theirs = visit_type(Book(run=run, clinic=clinic, doctor=book.doctor), 30)
    slot, other = book.slots(2)
    refused(try_booking(patient, slot, visit_type_id=theirs), 422, "VISIT_TYPE_NOT_OFFERED")
    assert db["appointments"].count_documents({}, hint="_id_") == 0
    booked(patient, other)


def test_an_unknown_or_deactivated_visit_type_is_not_found(
    book: Book, patient: Person, admin: Person, api: httpx.Client
) -> None:
    slots = book.slots(3)
    kind = visit_type(book, 30)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    assert admin.client.delete(f"/visit-types/{kind}").status_code == 204
    for gone in (kind, NOBODY):
        refused(try_booking(patient, slots[1], visit_type_id=gone), 404, "VISIT_TYPE_NOT_FOUND")
        refused(api.get("/slots", params={"visit_type_id": gone}), 404, "VISIT_TYPE_NOT_FOUND")
        refused(
            api.get(f"/doctors/{book.doctor.id}/slots", params={"visit_type_id": gone}), 404, "VISIT_TYPE_NOT_FOUND"
        )
    assert done(reschedule(patient, appointment, slots[2]))["visit_type_id"] == kind  # it stays what it is


def test_a_visit_type_is_part_of_a_repeated_request(book: Book, patient: Person) -> None:
    slots = book.slots(3)
    kind = visit_type(book, 60)
    made = done(try_booking(patient, slots[0], key="once", visit_type_id=kind), 201)
    assert done(try_booking(patient, slots[0], key="once", visit_type_id=kind), 201) == made
    refused(try_booking(patient, slots[0], key="once"), 422, "IDEMPOTENCY_KEY_REUSED")


def test_alternatives_to_a_long_visit_are_long_enough(book: Book, run: Run[Any]) -> None:
    slots = book.slots(6)
    one, two = make_patients(run, 2)
    booked(one, slots[1])
    kind = visit_type(book, 60)
    answer = refused(try_booking(two, slots[0], visit_type_id=kind), 409, "SLOT_TAKEN")
    assert [slot["id"] for slot in answer["alternatives"]] == ids(slots[2:5])


def test_the_search_near_a_time_sorts_by_the_distance(book: Book, run: Run[Any], api: httpx.Client) -> None:
    slots = book.slots(8)
    booked(make_patients(run, 1)[0], slots[4])
    near = {"near": slots[4].start.isoformat(), "limit": 4}
    page = done(api.get("/slots", params=near))
    assert page["next_cursor"] is None
    found = [slot["id"] for slot in page["items"]]
    assert found == ids([slots[3], slots[5], slots[2], slots[6]])
    early = done(api.get("/slots", params={**near, "near": TEN.isoformat()}))["items"]
    assert [slot["id"] for slot in early] == ids(slots[:4])
    until = {"to": slots[4].start.isoformat()}
    assert [slot["id"] for slot in done(api.get("/slots", params={**near, **until}))["items"]] == ids(slots[3::-1])
    assert starts(api, visit_type(book, 60), **near) == ids([slots[5], slots[2], slots[6], slots[1]])
    refused(api.get("/slots", params={"near": "2037-06-01"}), 422, "VALIDATION_ERROR")
    cursor = done(api.get("/slots", params={"limit": 1}))["next_cursor"]
    refused(api.get("/slots", params={**near, "cursor": cursor}), 422, "BAD_CURSOR")
