"""What the demo consists of: clinics in three zones, departments, who works where and when."""

from dataclasses import dataclass
from typing import Any

from backend.accounts.profiles import WEEK

HORIZON_DAYS = 35
"""How far ahead the demo's clinics can be booked: less than the default, so that the first start is short."""

CLINICS: tuple[dict[str, Any], ...] = (
    {
        "name": "Hudson Family Clinic",
        "address": "120 Hudson Street",
        "city": "New York",
        "state": "NY",
        "zip_code": "10013",
        "phone": "+15550900001",
        "time_zone": "America/New_York",
        "location": (-74.0093, 40.7203),
        "opens": "08:00",
        "closes": "18:00",
        "policy": {"horizon_days": HORIZON_DAYS, "staff_horizon_days": HORIZON_DAYS},
    },
    {
        "name": "Thames Health Centre",
        "address": "8 Borough High Street",
        "city": "London",
        "zip_code": "SE1 9QG",
        "phone": "+15550900002",
        "time_zone": "Europe/London",
        "location": (-0.0904, 51.5055),
        "opens": "08:30",
        "closes": "17:30",
        # Confirmation opens two days ahead here, so that the demo has confirmed appointments to come.
        # Here alone staff can book further ahead than patients: fewer slots, a quicker start.
        "policy": {"confirm_window_minutes": 2880, "horizon_days": HORIZON_DAYS, "staff_horizon_days": 90},
    },
    {
        "name": "Park Street Polyclinic",
        "address": "27 Park Street",
        "city": "Kolkata",
        "zip_code": "700016",
        "phone": "+15550900003",
        "time_zone": "Asia/Kolkata",
        "location": (88.3517, 22.5535),
        "opens": "09:00",
        "closes": "19:00",
        "policy": {"horizon_days": HORIZON_DAYS, "staff_horizon_days": HORIZON_DAYS},
    },
)

DEPARTMENTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("General medicine", "First contact for everything", ("General practice", "Internal medicine")),
    ("Heart and vessels", "Cardiology and vascular medicine", ("Cardiology",)),
    ("Children", "From birth to eighteen", ("Paediatrics",)),
    ("Skin", "Dermatology and allergies", ("Dermatology",)),
    ("Bones and joints", "Orthopaedics and physiotherapy", ("Orthopaedics", "Physiotherapy")),
)
"""Name, description, and the specialties practised there."""


VISIT_TYPES: tuple[dict[str, Any], ...] = (
    {
        "names": {"en": "First visit", "es": "Primera visita"},
        "minutes": 40,
        "buffer_minutes": 5,
        "minimum_notice_minutes": 120,
        "cancellation_notice_minutes": 720,
        "open_bookings_per_patient": 1,
    },
    {
        "names": {"en": "Follow-up", "es": "Revisión"},
        "minutes": 20,
        "minimum_notice_minutes": 60,
        "open_bookings_per_patient": 3,
    },
    {
        "names": {"en": "Blood test", "es": "Análisis de sangre"},
        "minutes": 10,
        "instructions": {
            "en": "Please come fasting: nothing but water for eight hours.",
            "es": "Venga en ayunas: solo agua durante ocho horas.",
        },
    },
    {
        "names": {"en": "Video visit", "es": "Videoconsulta"},
        "minutes": 20,
        "telehealth_url": "https://video.example.com/room",
    },
    {"names": {"en": "Minor surgery", "es": "Cirugía menor"}, "minutes": 60, "bookable_by": "staff"},
)
"""What each clinic offers besides plain visits of one slot."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A doctor's week: which days off, which blocks, how long a slot and for how many."""

    blocks: tuple[tuple[str, str], ...]
    slot_minutes: int
    capacity: int = 1
    max_patients_per_day: int | None = None


SHAPES: tuple[Shape, ...] = (
    Shape(blocks=(("09:00", "12:30"), ("13:30", "17:00")), slot_minutes=30),
    Shape(blocks=(("09:00", "13:00"),), slot_minutes=20),
    Shape(blocks=(("10:00", "13:00"), ("14:00", "17:00")), slot_minutes=20, max_patients_per_day=12),
    Shape(blocks=(("09:30", "12:30"), ("13:30", "16:30")), slot_minutes=60, capacity=3),
)


def specialties() -> list[tuple[str, str]]:
    """Every specialty with its department, in a fixed order."""
    return [(specialty, name) for name, _, practised in DEPARTMENTS for specialty in practised]


def week_of(number: int, clinic_id: str) -> list[dict[str, Any]]:
    """The n-th doctor's hours: five days a week, which days differs, so that every day somebody is there."""
    shape = SHAPES[number % len(SHAPES)]
    days_off = {number % 7, (number + 1) % 7}
    return [
        {
            "clinic_id": clinic_id,
            "weekday": day,
            "start": start,
            "end": end,
            "slot_minutes": shape.slot_minutes,
            "capacity": shape.capacity,
        }
        for index, day in enumerate(WEEK)
        if index not in days_off
        for start, end in shape.blocks
    ]
