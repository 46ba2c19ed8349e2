"""What lower packages tell messaging of, by their signals."""

from backend.appointments.auto_cancel import deadline_missed
from backend.appointments.documents import Appointment
from backend.core.clock import utc_now
from backend.messaging.documents import Kind, SmsLog, Trouble, attention


@deadline_missed.connect
async def call_instead(appointment: Appointment) -> None:
    """Nobody was there to hear the patient's answer: a person asks."""
    asked = {
        "appointment_id": appointment.id,
        "kind": Kind.REMINDER,
        "moves": appointment.moves,
        "asks": True,
    }
    await SmsLog.get_pymongo_collection().update_one(
        asked, {"$set": attention(Trouble.DEADLINE_MISSED, utc_now())}
    )
