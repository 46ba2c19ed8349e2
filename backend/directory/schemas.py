"""Request bodies of the routes of the directory."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.accounts.documents import Language
from backend.accounts.fields import Email, Phone, example
from backend.accounts.login.passwords import Password
from backend.accounts.responses import LanguageField
from backend.accounts.schemas import WebAddress, left_out
from backend.core.http.fields import Id, Line, Request, Text
from backend.directory.fields import (
    ClinicIds,
    ClinicPhone,
    CountryCode,
    LicenseNumber,
    PatientsPerDay,
    PolicyBody,
    Position,
    SlotMinutes,
    Week,
    Words,
    Years,
    ZoneName,
)

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"
_REACTIVATES = "True reactivates; `DELETE` deactivates."
CLINIC_EXAMPLE: dict[str, Any] = {
    "name": "Midtown Clinic",
    "address": "350 Fifth Avenue",
    "city": "New York",
    "state": "NY",
    "zip_code": "10118",
    "phone": "+15550100100",
    "email": "midtown@example.com",
    "time_zone": "America/New_York",
    "country": "US",
    "language": "en",
    "location": {"longitude": -73.9857, "latitude": 40.7484},
    "opening_hours": [
        {"weekday": "monday", "opens": "08:00", "closes": "12:30"},
        {"weekday": "monday", "opens": "13:30", "closes": "18:00"},
    ],
}


class NewClinic(Request):
    """A new clinic."""

    model_config = example(**CLINIC_EXAMPLE, policy={"slot_minutes": 20, "reminder_minutes": [1440, 180]})

    name: Line
    city: Line
    time_zone: ZoneName
    country: CountryCode | None = Field(default=None, description="Default: the country of the time zone.")
    address: Line | None = None
    state: Line | None = None
    zip_code: Annotated[Line, Field(max_length=20)] | None = None
    phone: ClinicPhone | None = None
    email: Email | None = None
    language: Language = Field(default="en", description="The language of messages to patients who have chosen none.")
    location: Position | None = None
    opening_hours: Week | None = Field(default=None, description="Default: Monday to Friday, 9:00 to 17:00.")
    policy: PolicyBody | None = None


class ClinicPatch(Request):
    """Changes to a clinic. Fields left out stay; null removes a value that is optional."""

    model_config = example(address="1 Main Street", phone=None, policy={"horizon_days": 90})

    name: Line = left_out()
    city: Line = left_out()
    time_zone: ZoneName = left_out()
    country: CountryCode = left_out()
    address: Line | None = None
    state: Line | None = None
    zip_code: Annotated[Line, Field(max_length=20)] | None = None
    phone: ClinicPhone | None = None
    email: Email | None = None
    language: Language = left_out()
    location: Position | None = None
    opening_hours: Week = left_out()
    policy: PolicyBody = left_out(description="Rules left out stay; null: the setting of the system applies again.")
    is_active: Literal[True] = left_out(description=_REACTIVATES)


class NewDepartment(Request):
    """A new department."""

    model_config = example(name="Cardiology", description="Heart and vessels.")

    name: Line
    description: Text | None = None


class DepartmentPatch(Request):
    """Changes to a department. Fields left out stay."""

    model_config = example(description="Heart and blood vessels.")

    name: Line = left_out()
    description: Text | None = None
    is_active: Literal[True] = left_out(description=_REACTIVATES)


class NewDoctor(Request):
    """A new doctor with a login. `PUT /doctors/{id}/working-hours` sets the weekly hours."""

    model_config = example(
        name="Dr. Elizabeth Blackwell",
        email="elizabeth@example.com",
        phone="+15550100200",
        password="first of her name",
        specialty="Cardiology",
        license_number="NY-123456",
        clinic_ids=[_EXAMPLE_ID],
        department_id=_EXAMPLE_ID,
        qualifications=["MD", "FACC"],
        experience_years=12,
        max_patients_per_day=20,
        slot_minutes=20,
        language="en",
        photo_url="https://example.com/elizabeth.jpg",
    )

    name: Line
    email: Email
    phone: Phone | None = None
    password: Password
    specialty: Line
    license_number: LicenseNumber
    clinic_ids: ClinicIds
    department_id: Id | None = None
    qualifications: Words = Field(default=[], examples=[["MD"]])
    experience_years: Years | None = None
    max_patients_per_day: PatientsPerDay | None = Field(default=None, description="Null: no limit.")
    slot_minutes: SlotMinutes | None = Field(default=None, description="Null: the clinic's.")
    language: LanguageField = None
    photo_url: WebAddress | None = None


class DoctorPatch(Request):
    """Changes to a doctor. Fields left out stay; null removes a value that is optional."""

    model_config = example(specialty="Paediatric cardiology", max_patients_per_day=None)

    name: Line = left_out()
    email: Email = left_out()
    phone: Phone | None = None
    specialty: Line = left_out()
    license_number: LicenseNumber = left_out()
    clinic_ids: ClinicIds = left_out()
    department_id: Id | None = None
    qualifications: Words = left_out()
    experience_years: Years | None = None
    max_patients_per_day: PatientsPerDay | None = None
    slot_minutes: SlotMinutes | None = None
    language: LanguageField = None
    photo_url: WebAddress | None = None
    is_active: Literal[True] = left_out(description=_REACTIVATES)
