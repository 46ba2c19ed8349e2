"""What the tests of fit-ins share."""

from datetime import datetime
from typing import Any

import httpx

from tests.appointments.support import MINUTE, TEN, Book, done
from tests.factories import Person

Row = dict[str, Any]

EVENING = datetime.fromisoformat("2037-06-02T01:30:00Z")
"""21:30 in New York on Monday, an hour and a half after the clinic has closed."""

WHY = "High fever since the morning"


def wanted(book: Book, patient: Person | None, start: datetime = TEN, minutes: int = 30, **over: Any) -> Row:
    """The body of a request for a fit-in."""
    place = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.clinic_id), "start": start.isoformat()}
    whose = {"patient_id": patient.id} if patient else {}
    return {**place, "minutes": minutes, "overbook": True, "why": WHY, **whose, **over}


def try_fit_in(
    person: Person,
    book: Book,
    patient: Person | None,
    start: datetime = TEN,
    minutes: int = 30,
    *,
    key: str | None = None,
    **over: Any,
) -> httpx.Response:
    """Asks for a fit-in."""
    headers = {"Idempotency-Key": key} if key else {}
    return person.client.post("/appointments", json=wanted(book, patient, start, minutes, **over), headers=headers)


def fitted_in(
    person: Person, book: Book, patient: Person, start: datetime = TEN, minutes: int = 30, **over: Any
) -> Row:
    """Fits a patient in, which must be granted."""
    return done(try_fit_in(person, book, patient, start, minutes, **over), 201)


def read(person: Person, appointment: Row) -> Row:
    """The appointment as this person reads it."""
    return done(person.client.get(f"/appointments/{appointment['id']}"))


def span(start: datetime = TEN, minutes: int = 60) -> dict[str, str]:
    """A period, as leave and closures are asked for."""
    return {"start": start.isoformat(), "end": (start + minutes * MINUTE).isoformat()}


def free_seats(person: Person, book: Book) -> dict[str, int]:
    """The doctor's slots in a search, with their free seats."""
    found = done(person.client.get("/slots", params={"doctor_id": book.doctor.id, "limit": 100}))["items"]
    return {slot["id"]: slot["free"] for slot in found}
