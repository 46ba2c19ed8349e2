"""Every document of the application, as the database is prepared for them. A new one is added here."""

from beanie import Document

from backend.accounts.documents import LoginFailures, OneTimeCode, Session, User
from backend.appointments.documents import Appointment
from backend.directory.documents import Clinic, Department
from backend.job_runs import JobRun
from backend.messaging.documents import SenderPace, SmsLog
from backend.scheduling.documents import Leave, SeatClaim, Slot

DOCUMENTS: list[type[Document]] = [
    *(User, Session, LoginFailures, OneTimeCode),
    *(Clinic, Department),
    *(Slot, Leave, SeatClaim),
    Appointment,
    *(SmsLog, SenderPace),
    JobRun,
]

CACHED: dict[str, tuple[str, ...]] = {
    "users": (),
    "slots": ("doctor_id",),
    "appointments": ("patient_id", "doctor_id", "clinic_id"),
}
"""The collections that cached responses are read from, and the fields by whose ids these look documents up."""
