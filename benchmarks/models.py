"""One real document of each kind, made by the application's own services: what the book is filled with copies of."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

Raw = dict[str, Any]

TIME_ZONE = "America/New_York"


@dataclass(frozen=True)
class Models:
    """Documents as they lie in the database. `slots` are those of one doctor, by start."""

    clinic: Raw
    doctor: Raw
    account: Raw
    """Of the patient."""
    patient: Raw
    link: Raw
    slots: list[Raw]
    booked: Raw
    """An appointment ahead, its first message sent."""
    completed: Raw
    """One that is over."""
    visit_type: Raw
    """A visit of three slots."""


async def make_models() -> Models:
    """Lets the services make them, in a database to which Beanie is connected."""
    from backend.accounts import users
    from backend.accounts.documents import Role, User
    from backend.accounts.login import sessions
    from backend.accounts.profiles import WEEK, DoctorProfile
    from backend.directory.documents import Clinic, OpeningHours
    from backend.directory.visit_types.documents import VisitType
    from backend.directory.visit_types.schemas import NewVisitType
    from backend.directory.visit_types.service import create_visit_type
    from backend.patients.documents import Patient, PatientLink
    from backend.patients.registration import write_own_record
    from backend.scheduling.documents import Slot
    from backend.scheduling.slots.horizon import extend_slots
    from tests.factories import PASSWORD_HASH

    hours = [OpeningHours(weekday=day, opens="09:00", closes="17:00") for day in WEEK]
    clinic = await Clinic(
        name="Model Clinic",
        address="1 Main Street",
        city="New York",
        time_zone=TIME_ZONE,
        opening_hours=hours,
    ).insert()
    profile = DoctorProfile(
        clinic_ids=[clinic.clinic_id],
        specialty="Cardiology",
        specialty_key="cardiology",
        license_number="MODEL-1",
        qualifications=["MD"],
        experience_years=10,
    )
    doctor = await users.create_user(
        User(
            name="Dr. Model",
            role=Role.DOCTOR,
            email="doctor@example.com",
            phone="+15550000001",
            password_hash=PASSWORD_HASH,
            doctor=profile,
        )
    )
    patient = await users.create_user(
        User(
            name="Model",
            role=Role.PATIENT,
            email="patient@example.com",
            phone="+15550000002",
            password_hash=PASSWORD_HASH,
        )
    )
    await write_own_record(patient)
    await sessions.open_session(patient, "benchmark")
    await sessions.open_session(doctor, "benchmark")
    await extend_slots()
    raw = Slot.get_pymongo_collection().find({"doctor_id": doctor.user_id, "is_online": True, "is_active": True})
    slots = await raw.sort([("start", 1), ("_id", 1)]).to_list()
    long = NewVisitType(names={"en": "Long visit"}, minutes=90)
    visit_type = await create_visit_type(clinic.clinic_id, long)
    booked, completed = await _appointments(doctor, patient, slots)
    link = await PatientLink.get_pymongo_collection().find_one({"user_id": patient.user_id})
    assert link
    users, clinics = User.get_pymongo_collection(), Clinic.get_pymongo_collection()
    return Models(
        clinic=await _row(clinics, clinic.clinic_id),
        doctor=await _row(users, doctor.user_id),
        account=await _row(users, patient.user_id),
        patient=await _row(Patient.get_pymongo_collection(), link["patient_id"]),
        link=link,
        slots=slots,
        booked=booked,
        completed=completed,
        visit_type=await _row(VisitType.get_pymongo_collection(), visit_type.visit_type_id),
    )


async def _appointments(doctor: Any, patient: Any, slots: list[Raw]) -> tuple[Raw, Raw]:
    """One that is booked and one that went its way to the end, with nothing owed any more."""
    from backend.appointments import repository, transitions
    from backend.appointments.booking.book import BookingRequest, book
    from backend.appointments.documents import Appointment
    from backend.appointments.permissions import Actor
    from backend.appointments.reminders.due_reminders import enqueue_due_reminders
    from backend.core import clock
    from backend.messaging.outbox.claim import claim_pending

    rows = Appointment.get_pymongo_collection()
    reason = "Yearly check-up"

    async def queue() -> None:
        claimed = await claim_pending(0, is_real=False)
        await repository.remove_pending_messages(claimed.appointments)

    async def booked_into(slot: Raw) -> Any:
        booking = await book(patient, BookingRequest(slot_id=slot["_id"], reason=reason))
        await enqueue_due_reminders()
        await queue()
        return booking.appointment.id

    ahead = await _row(rows, await booked_into(slots[-20]))
    over, start = await booked_into(slots[-10]), slots[-10]["start"]
    with clock.stopped(start - timedelta(minutes=10)):
        await transitions.check_in(await _stored(over), Actor.of(doctor))
    with clock.stopped(start + timedelta(minutes=20)):
        await transitions.complete(await _stored(over), Actor.of(doctor))
        await enqueue_due_reminders()
        await queue()
    return ahead, await _row(rows, over)


async def _stored(appointment_id: Any) -> Any:
    from backend.appointments.documents import Appointment

    found = await Appointment.get(appointment_id)
    assert found
    return found


async def _row(collection: Any, document_id: Any) -> Raw:
    found: Raw | None = await collection.find_one({"_id": document_id})
    assert found
    return found
