"""The requests of each route, for the application and for the floor: the same patients, doctors and days."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlencode

from bson import ObjectId

from benchmarks import book
from benchmarks.book import Size, Time
from benchmarks.load import request

_SAMPLE = 100
"""How many different pages are asked for, in a small book and in a large one: the cache holds as many."""
_FIRST_DAY_TO_BOOK = book.FULL_DAYS + 1
"""The days before are those that are looked at."""

DAYS_LOOKED_AT = range(1, 20)
ROWS_OF_A_DAY = book.SLOTS_A_DAY * 3 // 4
"""How many rows a doctor's day has: the slots that are free from the beginning."""


@dataclass(frozen=True)
class Filled:
    """A book as it was filled."""

    size: Size
    ahead: list[Time]
    past: list[Time]

    def by_day(self) -> dict[int, list[Time]]:
        """The half-hours of each whole day."""
        days: dict[int, list[Time]] = {}
        for time in [*self.past, *self.ahead]:
            days.setdefault(time.day, []).append(time)
        return {day: times for day, times in days.items() if len(times) == book.SLOTS_A_DAY}

    def ordinary_doctors(self) -> list[int]:
        """All but those whose first days are full, or half full."""
        others = {*book.FULL_DOCTORS, *book.HALF_DOCTORS}
        return [doctor for doctor in range(self.size.doctors) if doctor not in others]


def token_of(user_id: ObjectId) -> str:
    """An access token of a user's one login, made as the application does."""
    from beanie import PydanticObjectId

    from backend.accounts.login.tokens import make_access_token

    return make_access_token(PydanticObjectId(user_id), book.session_of(user_id))


Ask = Callable[[Filled], list[bytes]]


def bookings(filled: Filled) -> list[tuple[ObjectId, int]]:
    """Free slots and which patient may take each, in no order; of the first hundred doctors, whatever the size."""
    doctors = [doctor for doctor in filled.ordinary_doctors() if doctor < 100]
    found = [
        (book.slot_id(doctor, time), book.patient_of(doctor, time))
        for doctor in doctors
        for time in filled.ahead
        if time.day >= _FIRST_DAY_TO_BOOK and not book.is_booked(doctor, time)
    ]
    Random(1).shuffle(found)
    return found[:9000]


def book_ours(filled: Filled) -> list[bytes]:
    """Each booking by another patient, for another slot."""
    pairs = bookings(filled)
    tokens = {patient: token_of(book.account_id(patient)) for patient in {patient for _, patient in pairs}}
    return [
        request(
            "POST",
            "/api/v1/appointments",
            token=tokens[patient],
            body=json.dumps({"slot_id": str(slot), "reason": "Yearly check-up"}).encode(),
        )
        for slot, patient in pairs
    ]


def book_floor(filled: Filled) -> list[bytes]:
    """The same, without a login."""
    return [
        request(
            "POST",
            "/appointments",
            body=json.dumps(
                {"slot_id": str(slot), "patient_id": str(book.patient_id(patient)), "reason": "Yearly check-up"}
            ).encode(),
        )
        for slot, patient in bookings(filled)
    ]


def _range(times: list[Time]) -> dict[str, str]:
    return {"from": _text(times[0].start), "to": _text(times[-1].end)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _doctors_and_days(filled: Filled, days: range) -> list[tuple[int, list[Time]]]:
    random, by_day, doctors = Random(2), filled.by_day(), filled.ordinary_doctors()
    return [(random.choice(doctors), by_day[random.choice(days)]) for _ in range(_SAMPLE)]


def slots_ours(filled: Filled) -> list[bytes]:
    """A doctor's open slots of one day."""
    return [
        request("GET", f"/api/v1/doctors/{book.doctor_id(doctor)}/slots?{urlencode(_range(times))}")
        for doctor, times in _doctors_and_days(filled, DAYS_LOOKED_AT)
    ]


def slots_floor(filled: Filled) -> list[bytes]:
    """As many slots as ours returns: the floor doesn't know which are free."""
    return [
        request(
            "GET",
            f"/doctors/{book.doctor_id(doctor)}/slots?{urlencode({**_range(times), 'limit': ROWS_OF_A_DAY})}",
        )
        for doctor, times in _doctors_and_days(filled, DAYS_LOOKED_AT)
    ]


def _some_patients(filled: Filled) -> list[int]:
    everyone = range(filled.size.blocks * book.PATIENTS_A_BLOCK)
    return Random(3).sample(everyone, min(_SAMPLE, len(everyone)))


def list_ours(filled: Filled) -> list[bytes]:
    """A patient's own appointments: the first page of many."""
    return [
        request("GET", "/api/v1/appointments", token=token_of(book.account_id(patient)))
        for patient in _some_patients(filled)
    ]


def list_floor(filled: Filled) -> list[bytes]:
    """The same page."""
    return [
        request("GET", f"/patients/{book.patient_id(patient)}/appointments") for patient in _some_patients(filled)
    ]


def search(specialty: str) -> bytes:
    """The first free slots of a specialty in the city."""
    return request("GET", f"/api/v1/slots?{urlencode({'specialty': specialty, 'city': book.CITY})}")


def visits(block: int, *, long: bool) -> bytes:
    """The first free slots of a clinic, or those in which a visit of three slots can start."""
    wanted = {"visit_type_id": book.visit_type_id(block)} if long else {"clinic_id": book.clinic_id(block)}
    return request("GET", f"/api/v1/slots?{urlencode(wanted)}")


@dataclass(frozen=True)
class Route:
    """A route that is compared with its floor."""

    name: str
    title: str
    ours: Ask
    floor: Ask
    status: int = 200


ROUTES = (
    Route("booking", "booking", book_ours, book_floor, status=201),
    Route("day", "slots of a doctor's day", slots_ours, slots_floor),
    Route("list", "own appointments", list_ours, list_floor),
)
