"""What lower packages tell messaging of, by their signals."""

from datetime import timedelta

from backend.accounts.documents import Purpose
from backend.accounts.login.codes import IssuedCode, code_issued
from backend.appointments.documents import Appointment
from backend.appointments.events import deadline_missed, messages_pending
from backend.core.clock import utc_now
from backend.messaging.content.templates import one_time_code
from backend.messaging.content.texts import CodeText
from backend.messaging.documents import CallReason, SmsDirection, SmsKind, SmsLog, SmsStatus, call_list_entry

AHEAD_OF_OTHERS = timedelta(days=1)
"""The queue goes by `not_before`. Whoever waits for a code doesn't wait behind ten thousand reminders."""

_CODES = {
    Purpose.VERIFY_PHONE: (SmsKind.VERIFICATION_CODE, CodeText.VERIFICATION_CODE),
    Purpose.RESET_PASSWORD: (SmsKind.PASSWORD_CODE, CodeText.PASSWORD_CODE),
}


@deadline_missed.connect
async def call_instead(appointment: Appointment) -> None:
    """Nobody was there to hear the patient's answer: a person asks."""
    asked = {
        "appointment_id": appointment.id,
        "kind": SmsKind.REMINDER,
        "reschedule_count": appointment.reschedule_count,
        "requests_confirmation": True,
    }
    await SmsLog.get_pymongo_collection().update_one(
        asked, {"$set": call_list_entry(CallReason.DEADLINE_MISSED, utc_now())}
    )


@code_issued.connect
async def send_code(issued: IssuedCode) -> None:
    """Queues the text that brings a one-time code, in the language of its reader."""
    now, user = utc_now(), issued.user
    kind, text = _CODES[issued.purpose]
    await SmsLog.get_pymongo_collection().insert_one(
        {
            "direction": SmsDirection.OUTBOUND,
            "kind": kind,
            "status": SmsStatus.QUEUED,
            "user_id": user.user_id,
            "body": one_time_code(text, user.language or "en", issued.code),
            "not_before": now - AHEAD_OF_OTHERS,
            "expires_at": issued.expires_at,
            "attempts": 0,
            "created_at": now,
            "updated_at": now,
        }
    )
    await messages_pending.send(None)
