"""Who is in the book and when: all of it follows from numbers, so that the fill and the load agree.

Doctors come in blocks of twenty, with a clinic and a hundred patients of their own. Each doctor has sixteen slots a
day. In the past all of them were visits; ahead one in four is booked, but for the doctors of one specialty in
one city who are full for twenty days, and those of one clinic with every second slot booked for as long.
"""

from dataclasses import dataclass
from datetime import date, datetime

from bson import ObjectId

DOCTORS_A_BLOCK = 20
PATIENTS_A_BLOCK = 100
SLOTS_A_DAY = 16
SLOT_MINUTES = 30
FIRST_MINUTE = 9 * 60

FULL_DOCTORS = range(100, 150)
HALF_DOCTORS = range(80, 100)
"""Of one block; every second of their slots is booked."""
FULL_DAYS = 20
FULL_SPECIALTY = "Dermatology"
OPEN_SPECIALTY, CITY = "Cardiology", "New York"
SPECIALTIES = (OPEN_SPECIALTY, "Neurology", "Pediatrics", "Family medicine")
OTHER_CITIES = ("Boston", "Chicago", "Denver", "Seattle")

_PAST = 500_000


@dataclass(frozen=True, order=True)
class Size:
    """How large a book is: its doctors, and how many days of the past it holds."""

    doctors: int
    past_days: int

    @property
    def blocks(self) -> int:
        """Of doctors."""
        return self.doctors // DOCTORS_A_BLOCK


SMALL, LARGE = Size(20, 16), Size(500, 110)
"""Ten thousand appointments, and a million."""


@dataclass(frozen=True)
class Time:
    """A half-hour of the book. `day` counts from today, `place` within the day. Times are UTC."""

    day: int
    place: int
    start: datetime
    end: datetime
    local_day: date

    @property
    def number(self) -> int:
        """Of the slot among those of its doctor."""
        return self.day * SLOTS_A_DAY + self.place + (_PAST if self.day < 0 else 0)


def _id(kind: int, number: int) -> ObjectId:
    return ObjectId(bytes([0x66, kind, 0, 0]) + number.to_bytes(8, "big"))


def clinic_id(block: int) -> ObjectId:
    """The clinic of a block."""
    return _id(1, block)


def doctor_id(doctor: int) -> ObjectId:
    """The n-th doctor."""
    return _id(2, doctor)


def patient_id(patient: int) -> ObjectId:
    """The n-th patient."""
    return _id(3, patient)


def account_id(patient: int) -> ObjectId:
    """The account of the n-th patient."""
    return _id(7, patient)


def link_id(patient: int) -> ObjectId:
    """The link between the n-th patient and their account."""
    return _id(8, patient)


def visit_type_id(block: int) -> ObjectId:
    """The visit of three slots at the clinic of a block."""
    return _id(9, block)


def slot_id(doctor: int, time: Time) -> ObjectId:
    """A doctor's slot."""
    return _id(5, doctor * 1_000_000 + time.number)


def appointment_id(doctor: int, time: Time) -> ObjectId:
    """The appointment that was in a slot from the beginning."""
    return _id(6, doctor * 1_000_000 + time.number)


def session_of(user_id: ObjectId) -> str:
    """The one login that each user has."""
    return str(user_id)[::-1]


def specialty_of(doctor: int) -> str:
    """One for each quarter of the doctors, but for those who are full."""
    return FULL_SPECIALTY if doctor in FULL_DOCTORS else SPECIALTIES[doctor % len(SPECIALTIES)]


def city_of(block: int) -> str:
    """Every fifth block's clinic is in the city that is searched, and those of the full doctors."""
    full = range(FULL_DOCTORS.start // DOCTORS_A_BLOCK, FULL_DOCTORS.stop // DOCTORS_A_BLOCK + 1)
    return CITY if block % 5 == 0 or block in full else OTHER_CITIES[block % len(OTHER_CITIES)]


def is_booked(doctor: int, time: Time) -> bool:
    """Whether somebody has the slot from the beginning."""
    if time.day < 0 or (doctor in FULL_DOCTORS and time.day <= FULL_DAYS):
        return True
    if doctor in HALF_DOCTORS and time.day <= FULL_DAYS:
        return time.place % 2 == 0
    return (time.place + doctor + time.day) % 4 == 0


def patient_of(doctor: int, time: Time) -> int:
    """Who has the slot, or may take it: at any time, each doctor of a block has another patient."""
    block, place = divmod(doctor, DOCTORS_A_BLOCK)
    shift = 37 * (time.day * SLOTS_A_DAY + time.place)
    return block * PATIENTS_A_BLOCK + (shift + place) % PATIENTS_A_BLOCK
