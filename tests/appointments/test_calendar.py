"""The calendar file, read back by a library that follows RFC 5545."""

from typing import Any

import pytest
from icalendar import Calendar, Event

from backend.accounts.users import update_user
from backend.directory.documents import Clinic
from tests import factories
from tests.appointments.support import HOUR, MINUTE, TEN, Book, booked, done, make_transition
from tests.factories import Person, Run


def event(person: Person, appointment: dict[str, Any]) -> Event:
    """The one event of the appointment's calendar file."""
    answer = person.client.get(f"/appointments/{appointment['id']}/calendar.ics")
    assert answer.status_code == 200, answer.text
    calendar = Calendar.from_ical(answer.content)
    assert (calendar["version"], calendar["prodid"]) == ("2.0", "-//Appointment book//EN")
    (found,) = calendar.walk("VEVENT")
    assert isinstance(found, Event)
    return found


def test_the_calendar_file_says_with_whom_where_and_when(book: Book, patient: Person) -> None:
    appointment = booked(patient, book.slot(minutes=45), reason="Something private")
    answer = patient.client.get(f"/appointments/{appointment['id']}/calendar.ics")
    assert answer.headers["Content-Type"].startswith("text/calendar")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="appointment.ics"'
    found = event(patient, appointment)
    assert found["summary"] == f"Appointment with {book.doctor.user.name}"
    assert found["location"] == book.clinic.name
    assert found.decoded("dtstart") == TEN
    assert found.decoded("dtend") == TEN + 45 * MINUTE
    assert found["uid"] == f"{appointment['id']}@appointments"


def test_the_calendar_file_never_says_why(book: Book, patient: Person, nurse: Person) -> None:
    appointment = booked(patient, book.slot(), reason="Something private")
    done(nurse.client.patch(f"/appointments/{appointment['id']}", json={"notes": "Suspects the worst"}))
    done(nurse.client.post(f"/appointments/{appointment['id']}/cancel", json={"reason": "No longer ill"}))
    for person in (patient, nurse):
        text = person.client.get(f"/appointments/{appointment['id']}/calendar.ics").text
        for secret in ("private", "Suspects", "ill", patient.user.name, "Cardiology"):
            assert secret not in text


def test_the_event_follows_the_appointment(book: Book, patient: Person, nurse: Person, run: Run[Any]) -> None:
    first, second = book.slots(2)
    appointment = booked(patient, first)
    seen = [event(patient, appointment)]
    done(make_transition(run, patient, appointment, "reschedule", slot_id=str(second.id)))
    seen.append(event(patient, appointment))
    done(make_transition(run, patient, appointment, "confirm", at=TEN))
    seen.append(event(patient, appointment))
    done(make_transition(run, nurse, appointment, "cancel", at=TEN))
    seen.append(event(patient, appointment))
    assert [found["status"] for found in seen] == ["TENTATIVE", "TENTATIVE", "CONFIRMED", "CANCELLED"]
    assert seen[1].decoded("dtstart") == TEN + 30 * MINUTE
    numbers = [found["sequence"] for found in seen]
    assert numbers == sorted(set(numbers)), "a calendar believes the highest"
    assert len({found["uid"] for found in seen}) == 1


@pytest.mark.parametrize(
    "name",
    [
        "Meier, Müller; & Söhne",
        "Back\\slash \\n and \\, comma",
        "two\nlines",
        "BEGIN:VEVENT",
        "Ärztin 👩🏽‍⚕️ " + "é" * 80,
        'Quotes " and : colons',
        "مستشفى",
    ],
)
def test_odd_names_come_out_as_they_are(patient: Person, run: Run[Any], name: str) -> None:
    clinic = factories.make_clinic(run, name=name)
    doctor = factories.make_doctor(run, clinic, name=name, weekly_hours=[])
    appointment = booked(patient, Book(run=run, clinic=clinic, doctor=doctor).slot())
    found = event(patient, appointment)
    assert found["summary"] == f"Appointment with {name}"
    assert found["location"] == name
    assert found.decoded("dtstart") == TEN


def test_lines_are_no_longer_than_the_standard_allows(patient: Person, run: Run[Any]) -> None:
    clinic = factories.make_clinic(run, name="Ünïcödé " * 14)
    doctor = factories.make_doctor(run, clinic, name="👩🏽‍⚕️" * 20, weekly_hours=[])
    appointment = booked(patient, Book(run=run, clinic=clinic, doctor=doctor).slot())
    content = patient.client.get(f"/appointments/{appointment['id']}/calendar.ics").content
    lines = content.split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR"
    assert all(len(line) <= 75 for line in lines)
    assert b"\n" not in b"".join(lines)


def test_a_time_in_another_zone_is_the_same_moment(patient: Person, run: Run[Any], clinic: Clinic) -> None:
    there = factories.make_clinic(run, time_zone="Asia/Kolkata", city="Pune")
    doctor = factories.make_doctor(run, there, weekly_hours=[])
    start = TEN + 18 * HOUR  # 13:30 on Tuesday in Pune
    appointment = booked(patient, Book(run=run, clinic=there, doctor=doctor).slot(start))
    assert event(patient, appointment).decoded("dtstart") == start


def test_the_event_shows_the_doctors_present_name(book: Book, patient: Person, run: Run[Any]) -> None:
    appointment = booked(patient, book.slot())
    run(update_user(book.doctor.object_id, {"name": "Dr Grey"}))
    assert event(patient, appointment)["summary"] == "Appointment with Dr Grey"
