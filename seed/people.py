"""Names and numbers of people who don't exist."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

FIRST_NAMES = (
    *("Ada", "Ben", "Chloé", "Dev", "Elena", "Farid", "Grace", "Hugo", "Inés", "Jun", "Kofi", "Lena"),
    *("Marta", "Noah", "Olga", "Priya", "Quinn", "Rosa", "Samir", "Tara", "Uri", "Vera", "Wen", "Ximena"),
    *("Yusuf", "Zoë", "Anton", "Bea", "Carlos", "Dina"),
)
LAST_NAMES = (
    *("Abbott", "Baker", "Castillo", "Dhar", "Evans", "Fischer", "García", "Hughes", "Ito", "Jansen"),
    *("Kaplan", "Lopez", "Müller", "Nakamura", "O'Brien", "Petrov", "Quist", "Rossi", "Singh", "Tanaka"),
    *("Ueda", "Vargas", "Weber", "Xu", "Young", "Zimmer", "Ames", "Boyd", "Crane", "Dunn"),
)
STREETS = ("Oak Street", "Mill Lane", "Station Road", "Park Avenue", "High Street", "Church Row")
BLOOD_GROUPS = ("A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-")
ALLERGIES = ("penicillin", "pollen", "nuts", "latex", "aspirin")
REASONS = (
    *("Yearly check-up", "Follow-up", "Back pain", "Skin rash", "Vaccination", "Headaches"),
    *("Blood pressure", "Test results", "Persistent cough", "Knee pain"),
)


@dataclass(frozen=True, slots=True)
class Someone:
    """A person as the seed makes one. The phone is fictional (+1 555…)."""

    name: str
    email: str
    phone: str


def fictional_phone(number: int) -> str:
    """The n-th number that no carrier ever assigns."""
    return f"+1555{number:07}"


def someone(random: Random, *, kind: str, number: int, phone: int) -> Someone:
    """The n-th person of a kind. E-mail addresses lie in a domain reserved for examples (RFC 2606)."""
    name = f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"
    return Someone(
        name=f"Dr. {name}" if kind == "doctor" else name,
        email=f"{kind}{number}@demo.example.com",
        phone=fictional_phone(phone),
    )


def birthday(random: Random, *, today: date) -> date:
    """Of somebody between 1 and 95 years old."""
    return today - timedelta(days=random.randint(365, 95 * 365))
