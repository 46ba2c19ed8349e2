"""The simulated phone: a page that shows what a number received, and replies for it. Never in production.

A reply goes through the very route that Twilio would call, signed as Twilio would sign it.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import Field
from twilio.request_validator import RequestValidator

from backend.accounts.fields import Phone
from backend.appointments import repository as appointments
from backend.appointments.documents import Appointment, MessageKind, PendingMessage, Recipient, Status
from backend.appointments.events import messages_pending
from backend.core.clock import utc_now
from backend.core.http.fields import Request as Body
from backend.core.http.fields import Response
from backend.core.mongo.batching import Change
from backend.core.settings import settings
from backend.messaging.documents import SmsDirection, SmsLog
from backend.messaging.twilio.carrier import SMS_PATH, signing_key
from backend.patients import repository as patients

router = APIRouter(prefix="/dev/phone", include_in_schema=False)

_PAGE = Path(__file__).with_name("simulated_phone.html")
_MOST = 100


class Number(Body):
    """A phone."""

    number: Phone


class TextMessage(Number):
    """What the phone's owner writes."""

    body: Annotated[str, Field(max_length=1600)]


class Bubble(Response):
    """A message on the phone's screen."""

    to_phone: bool
    body: str
    at: datetime


class Told(Response):
    """What was answered, or whether there was something to remind of."""

    text: str


@router.get("")
async def show_phone() -> HTMLResponse:
    """Returns the page."""
    return HTMLResponse(_PAGE.read_text(encoding="utf-8"))


@router.get("/numbers")
async def list_numbers() -> list[str]:
    """Lists the numbers of the latest messages."""
    rows = await SmsLog.find({}).sort("-created_at", "-_id").limit(_MOST).to_list()
    return list(dict.fromkeys(row.phone for row in rows if row.phone))[:10]


@router.post("/messages")
async def list_messages(body: Number) -> list[Bubble]:
    """Lists a phone's messages, oldest first."""
    rows = await SmsLog.find({"phone": body.number}).sort("-created_at", "-_id").limit(_MOST).to_list()
    bubbles: list[Bubble] = []
    for row in reversed(rows):
        sent = row.direction is SmsDirection.OUTBOUND
        bubbles.append(Bubble(to_phone=sent, body=row.body or "", at=row.sent_at or row.created_at))
        if not sent and row.answer:
            bubbles.append(Bubble(to_phone=True, body=row.answer, at=row.handled_at or row.created_at))
    return sorted(bubbles, key=lambda bubble: bubble.at)


@router.post("/reply")
async def reply(body: TextMessage, request: Request) -> Told:
    """Sends a reply as the carrier would."""
    import httpx  # noqa: PLC0415 - where this page isn't offered, nothing else needs it, and it loads slowly

    form = {
        "MessageSid": f"SM{uuid4().hex}",
        "AccountSid": settings.TWILIO_ACCOUNT_SID,
        "From": body.number,
        "To": settings.TWILIO_PHONE_NUMBER,
        "Body": body.body,
        "NumMedia": "0",
    }
    address = settings.PUBLIC_BASE_URL.rstrip("/") + SMS_PATH
    signature = RequestValidator(signing_key()).compute_signature(address, form)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=request.app)) as carrier:
        answer = await carrier.post(address, data=form, headers={"X-Twilio-Signature": signature})
    answer.raise_for_status()
    twiml = ElementTree.fromstring(answer.text)  # noqa: S314 - our own answer
    return Told(text="\n".join(message.text or "" for message in twiml.iter("Message")))


@router.post("/remind")
async def remind(body: Number) -> Told:
    """Sends the reminder that requests a confirmation of the owner's next appointment, whatever the time.

    It saves a demonstration from waiting until a reminder is due.
    """
    reached = await patients.find_active_by_phone(body.number)
    if not reached:
        return Told(text="Nobody has this number.")
    ahead = await appointments.find_open_of_patients([each.patient_id for each in reached])
    appointment = next((each for each in ahead if each.status is Status.SCHEDULED), None)
    if appointment is None:
        return Told(text="There is nothing to be reminded of.")
    await _add_reminder(appointment)
    await messages_pending.send(None)
    return Told(text="The reminder is on its way.")


async def _add_reminder(appointment: Appointment) -> None:
    message = PendingMessage(
        kind=MessageKind.REMINDER,
        to=Recipient.PATIENT,
        occurrence=appointment.reminders,
        reschedule_count=appointment.reschedule_count,
        pending_since=utc_now(),
        requests_confirmation=True,
    )
    as_read = {
        "reschedule_count": appointment.reschedule_count,
        "reminders": appointment.reminders,
        "status": Status.SCHEDULED,
    }
    update = {"$push": {"pending_messages": message.model_dump()}, "$inc": {"reminders": 1}}
    await appointments.apply([Change(appointment.appointment_id, as_read, update)])
