"""The rules of visit types: notices, open bookings, staff only, instructions and the link of online visits."""

from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from icalendar import Calendar
from pymongo.database import Database

from backend.appointments.documents import MessageKind, Recipient
from backend.messaging.content.gsm import segments
from backend.messaging.content.templates import render_message
from tests.appointments.support import (
    HOUR,
    MINUTE,
    MS,
    NOW,
    TEN,
    Book,
    at_once,
    booked,
    done,
    make_patients,
    make_transition,
    refused,
    stored,
    try_booking,
    visiting,
)
from tests.appointments.visits import starts, visit_type
from tests.factories import Person, Run, log_in
from tests.messaging.content.test_templates import VISIT, replace

Db = Database[dict[str, Any]]


def cancel(run: Run[Any], person: Person, appointment: dict[str, Any], at: Any = NOW) -> httpx.Response:
    return make_transition(run, person, appointment, "cancel", at=at)


def exemptions(appointment: dict[str, Any]) -> list[Any]:
    return [line["exempt_from"] for line in appointment["history"]]


# Notice before booking


def test_a_visit_is_booked_with_its_minimum_notice(book: Book, patient: Person, run: Run[Any]) -> None:
    first, second = book.slots(2)
    kind = visit_type(book, 30, minimum_notice_minutes=120)
    latest = TEN - 2 * HOUR

    with visiting(run, patient, latest) as client:
        body = {"slot_id": str(first.id), "visit_type_id": kind}
        answer = refused(client.post("/appointments", json=body), 409, "NOTICE_TOO_SHORT")
        assert answer["until"] == "2037-06-01T12:00:00Z"
        assert starts(client, kind) == [str(second.id)]
    with visiting(run, patient, latest - MS) as client:
        assert starts(client, kind) == [str(first.id), str(second.id)]
        done(client.post("/appointments", json=body), 201)


def test_a_cached_search_ends_with_the_notice_of_its_first_start(book: Book, run: Run[Any], patient: Person) -> None:
    first, second = book.slots(2)
    kind = visit_type(book, 30, minimum_notice_minutes=120)
    for moment, expected in ((TEN - 2 * HOUR - MINUTE, [first, second]), (TEN - 2 * HOUR, [second])):
        with visiting(run, patient, moment) as client:
            for _ in range(3):
                assert starts(client, kind) == [str(slot.id) for slot in expected]


def test_staff_are_exempt_from_the_notice_and_the_history_says_so(
    book: Book, nurse: Person, patient: Person, run: Run[Any]
) -> None:
    first, second, third = book.slots(3)
    kind = visit_type(book, 30, minimum_notice_minutes=300)
    one = booked(nurse, first, visit_type_id=kind, patient_id=patient.id)
    assert exemptions(one) == [["minimum_notice"]]
    moved = done(make_transition(run, nurse, one, "reschedule", slot_id=str(second.id)))
    assert exemptions(moved) == [["minimum_notice"]] * 2
    answer = make_transition(run, patient, one, "reschedule", slot_id=str(third.id))
    refused(answer, 409, "NOTICE_TOO_SHORT")
    early = booked(nurse, book.slot(TEN + 6 * HOUR), visit_type_id=kind, patient_id=patient.id)
    assert exemptions(early) == [None]


# Notice before cancelling and rescheduling


def test_patients_cancel_and_reschedule_with_notice(
    book: Book, run: Run[Any], patient: Person, nurse: Person
) -> None:
    slots = book.slots(4)
    kind = visit_type(book, 30, cancellation_notice_minutes=90)
    appointment = booked(patient, slots[0], visit_type_id=kind)
    latest = TEN - 90 * MINUTE

    for transition, body in (("cancel", {}), ("reschedule", {"slot_id": str(slots[1].id)})):
        answer = make_transition(run, patient, appointment, transition, at=latest, **body)
        assert refused(answer, 409, "NOTICE_TOO_SHORT")["until"] == "2037-06-01T12:30:00Z"
    moved = done(make_transition(run, patient, appointment, "reschedule", at=latest - MS, slot_id=str(slots[2].id)))
    assert exemptions(moved) == [None, None]
    late = TEN + HOUR - MINUTE
    again = done(make_transition(run, nurse, appointment, "reschedule", at=late, slot_id=str(slots[3].id)))
    cancelled = done(cancel(run, nurse, again, at=late + 30 * MINUTE))
    assert exemptions(cancelled) == [None, None, ["cancellation_notice"], ["cancellation_notice"]]


def test_the_notice_is_the_one_of_the_booking(book: Book, run: Run[Any], patient: Person, admin: Person) -> None:
    """What the patient was told when they booked; a new one binds those who book after it."""
    kind = visit_type(book, 30)
    appointment = booked(patient, book.slot(), visit_type_id=kind)
    done(admin.client.patch(f"/visit-types/{kind}", json={"cancellation_notice_minutes": 1440}))
    done(cancel(run, patient, appointment, at=TEN - MS))


def test_a_visit_without_a_type_needs_no_notice(book: Book, run: Run[Any], patient: Person) -> None:
    done(cancel(run, patient, booked(patient, book.slot()), at=TEN - MS))


# Open bookings


def test_a_patient_has_so_many_open_bookings(book: Book, run: Run[Any], patient: Person, db: Db) -> None:
    slots = book.slots(6)
    kind, other = visit_type(book, 30, open_bookings_per_patient=2), visit_type(book, 30, open_bookings_per_patient=1)
    one, two = (booked(patient, slot, visit_type_id=kind) for slot in slots[:2])
    refused(try_booking(patient, slots[2], visit_type_id=kind), 409, "TOO_MANY_OPEN_BOOKINGS")
    booked(patient, slots[2], visit_type_id=other)
    booked(patient, slots[3])
    assert sorted(stored(db, each)["open_number"] for each in (one, two)) == [0, 1]

    done(cancel(run, patient, one))

    assert "open_number" not in stored(db, one)
    three = booked(patient, slots[4], visit_type_id=kind)
    done(make_transition(run, patient, three, "reschedule", slot_id=str(slots[0].id)))
    refused(try_booking(patient, slots[5], visit_type_id=kind), 409, "TOO_MANY_OPEN_BOOKINGS")


@pytest.mark.parametrize("limit", [1, 3])
def test_bookings_at_once_keep_to_the_limit(book: Book, run: Run[Any], limit: int) -> None:
    """Counting first and inserting then let five through a limit of three."""
    slots = book.slots(10)
    for _ in range(3):
        kind = visit_type(book, 30, open_bookings_per_patient=limit)
        (person,) = make_patients(run, 1)
        answers = at_once(*(partial(try_booking, person, slot, visit_type_id=kind) for slot in slots))
        made = [answer.json() for answer in answers if answer.status_code == 201]
        assert len(made) == limit
        for answer in answers:
            if answer.status_code != 201:
                refused(answer, 409, "TOO_MANY_OPEN_BOOKINGS")
        for each in made:
            done(cancel(run, person, each))


@pytest.mark.parametrize("end", ["check-in", "no-show", "cancel"])
def test_an_end_of_the_visit_makes_room_for_the_next(
    book: Book, run: Run[Any], patient: Person, nurse: Person, end: str
) -> None:
    first, second = book.slots(2)
    kind = visit_type(book, 30, open_bookings_per_patient=1)
    appointment = booked(patient, first, visit_type_id=kind)
    at = TEN if end == "no-show" else TEN - MINUTE
    done(make_transition(run, nurse, appointment, end, at=at))
    with visiting(run, patient, at) as client:
        done(client.post("/appointments", json={"slot_id": str(second.id), "visit_type_id": kind}), 201)


def test_bookings_by_staff_are_beyond_the_limit(book: Book, nurse: Person, patient: Person, db: Db) -> None:
    slots = book.slots(4)
    kind = visit_type(book, 30, open_bookings_per_patient=1)
    by_staff = booked(nurse, slots[0], visit_type_id=kind, patient_id=patient.id)
    assert exemptions(by_staff) == [None]
    assert "open_number" not in stored(db, by_staff)
    booked(patient, slots[1], visit_type_id=kind)
    assert exemptions(booked(nurse, slots[2], visit_type_id=kind, patient_id=patient.id)) == [["open_bookings"]]
    refused(try_booking(patient, slots[3], visit_type_id=kind), 409, "TOO_MANY_OPEN_BOOKINGS")


# Staff only


def test_what_staff_book_is_not_booked_online(book: Book, run: Run[Any], nurse: Person, patient: Person) -> None:
    first, second = book.slots(2)
    kind = visit_type(book, 30, bookable_by="staff")
    refused(try_booking(patient, first, visit_type_id=kind), 403, "STAFF_ONLY")
    appointment = booked(nurse, first, visit_type_id=kind, patient_id=patient.id)
    answer = make_transition(run, patient, appointment, "reschedule", slot_id=str(second.id))
    refused(answer, 403, "STAFF_ONLY")
    done(make_transition(run, nurse, appointment, "reschedule", slot_id=str(second.id)))
    done(cancel(run, patient, appointment))


# Instructions


FASTING = {"en": "Please come fasting.", "es": "Venga en ayunas, por favor."}


def test_instructions_stand_in_the_appointment_and_the_calendar_file(
    book: Book, run: Run[Any], patient: Person
) -> None:
    kind = visit_type(book, 30, instructions=FASTING)
    appointment = booked(patient, book.slot(), visit_type_id=kind, reason="Blood test")
    assert appointment["instructions"] == FASTING
    path = f"/appointments/{appointment['id']}/calendar.ics"
    for language in ("en", "es"):
        done(patient.client.patch("/users/me", json={"language": language}))
        event = Calendar.from_ical(log_in(run, patient.user).client.get(path).content).walk("VEVENT")[0]
        assert str(event["description"]) == FASTING[language]
        assert "Blood test" not in event.to_ical().decode()


def test_a_visit_without_instructions_has_none(book: Book, patient: Person) -> None:
    appointment = booked(patient, book.slot(), visit_type_id=visit_type(book, 30))
    assert appointment["instructions"] is None
    content = patient.client.get(f"/appointments/{appointment['id']}/calendar.ics").text
    assert "DESCRIPTION" not in content


@pytest.mark.parametrize("kind", [MessageKind.BOOKED, MessageKind.RESCHEDULED])
def test_the_confirmation_of_a_time_ends_with_the_instructions(kind: MessageKind) -> None:
    without = render_message(kind, Recipient.PATIENT, "es", VISIT)
    with_them = render_message(kind, Recipient.PATIENT, "es", replace(VISIT, instructions=FASTING["es"]))
    assert with_them == f"{without} Venga en ayunas, por favor."
    long = render_message(kind, Recipient.PATIENT, "es", replace(VISIT, instructions="[ayunas] " * 33))
    assert long.startswith(without)
    assert segments(long) == 2


def test_no_other_message_has_the_instructions() -> None:
    details = replace(VISIT, instructions="Come fasting.")
    for kind in (MessageKind.REMINDER, MessageKind.CANCELLED, MessageKind.NO_SHOW):
        assert "fasting" not in render_message(kind, Recipient.PATIENT, "en", details)
    assert "fasting" not in render_message(MessageKind.CONFIRMED, Recipient.DOCTOR, "en", details)


# Visits online


def test_the_link_is_for_the_patient_alone_around_the_time(
    book: Book, run: Run[Any], patient: Person, nurse: Person, db: Db
) -> None:
    link = "https://example.com/room/7"
    kind = visit_type(book, 30, telehealth_url=link)
    appointment = booked(patient, book.slot(), visit_type_id=kind)
    path = f"/appointments/{appointment['id']}"
    assert (appointment["telehealth_url"], link in str(stored(db, appointment))) == (None, False)
    opens, end = TEN - 180 * MINUTE, TEN + 30 * MINUTE
    for moment, expected in ((opens - MS, None), (opens, link), (end - MS, link), (end, None)):
        with visiting(run, patient, moment) as client:
            assert done(client.get(path))["telehealth_url"] == expected
            assert link not in client.get("/appointments").text
        with visiting(run, nurse, moment) as client:
            assert done(client.get(path))["telehealth_url"] is None
    done(cancel(run, patient, appointment))
    with visiting(run, patient, opens + timedelta(minutes=1)) as client:
        assert done(client.get(path))["telehealth_url"] is None
