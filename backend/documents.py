"""Every document of the application, as the database is prepared for them. A new one is added here."""

from beanie import Document

from backend.accounts.documents import LoginFailures, OneTimeCode, PhoneNumber, Session, User
from backend.appointments.documents import Appointment
from backend.directory.documents import Clinic, Department
from backend.directory.visit_types.documents import VisitType
from backend.job_runs import JobRun
from backend.messaging.documents import SenderPace, SmsLog
from backend.patients.documents import Invitation, Patient, PatientLink
from backend.patients.merging.documents import Merge
from backend.scheduling.decisions.documents import Withdrawal
from backend.scheduling.documents import Leave, SeatClaim, Slot

DOCUMENTS: list[type[Document]] = [
    *(User, Session, LoginFailures, OneTimeCode, PhoneNumber),
    *(Patient, PatientLink, Invitation, Merge),
    *(Clinic, Department, VisitType),
    *(Slot, Leave, SeatClaim, Withdrawal),
    Appointment,
    *(SmsLog, SenderPace),
    JobRun,
]

CACHED: dict[str, tuple[str, ...]] = {
    "users": (),
    "patients": (),
    "patient_links": ("user_id",),
    "slots": ("doctor_id",),
    "visit_types": (),
    "appointments": ("patient_id", "doctor_id", "clinic_id"),
}
"""The collections that cached responses are read from, and the fields by whose ids these look documents up."""
