"""Webhooks: where Twilio tells us what patients reply and what became of messages."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status
from twilio.twiml.messaging_response import MessagingResponse

from backend.core.http.errors import responses
from backend.messaging.inbound.handle_reply import take_reply
from backend.messaging.outbox.delivery_reports import take_report
from backend.messaging.twilio.webhooks import Form, InvalidSignature, SignedForm, WebhookIncomplete

router = APIRouter(prefix="/twilio", tags=["twilio"])

_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_LONGEST_PHONE = 64
_LONGEST_CODE = 8

Attempt = Annotated[
    str, Query(max_length=64, description="Which post it reports on: ours, as we asked for it.")
]

_TEXT = {"type": "string"}


def _form(example: dict[str, str]) -> dict[str, Any]:
    """The fields that matter; Twilio sends more."""
    schema = {
        "type": "object",
        "properties": dict.fromkeys(example, _TEXT),
        "required": list(example),
        "examples": [example],
    }
    return {
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        }
    }


_REPLY = {
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": "AC00000000000000000000000000000001",
    "From": "+12125550100",
    "Body": "1",
}
_REPORT = {
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": "AC00000000000000000000000000000001",
    "MessageStatus": "delivered",
}


@router.post(
    "/sms",
    summary="A patient's reply (for Twilio)",
    response_class=Response,
    responses={
        **responses(InvalidSignature, WebhookIncomplete),
        200: {
            "description": "TwiML: the answer to the patient, or none.",
            "content": {"application/xml": {"schema": _TEXT}},
        },
    },
    openapi_extra=_form(_REPLY),
)
async def receive_sms(form: SignedForm) -> Response:
    """Acts on the reply once, however often it is posted. Needs Twilio's signature in `X-Twilio-Signature`.

    See docs/messaging.md for the words.
    """
    phone = form.get("From", "").strip()
    if not phone or len(phone) > _LONGEST_PHONE:
        raise WebhookIncomplete
    text = await take_reply(sid=_sid(form), phone=phone, body=_given(form, "Body"))
    twiml = MessagingResponse()
    if text:
        twiml.message(text)
    return Response(str(twiml), media_type="application/xml")


@router.post(
    "/status",
    summary="A report of delivery (for Twilio)",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(InvalidSignature, WebhookIncomplete),
    openapi_extra=_form(_REPORT),
)
async def receive_status(form: SignedForm, attempt: Attempt = "") -> None:
    """Takes reports in any order, repeated and early. Needs Twilio's signature in `X-Twilio-Signature`."""
    code = form.get("ErrorCode", "").strip()
    await take_report(
        attempt_id=attempt,
        sid=_sid(form),
        says=_given(form, "MessageStatus"),
        error_code=int(code) if code.isascii() and code.isdigit() and len(code) <= _LONGEST_CODE else None,
    )


def _sid(form: Form) -> str:
    sid = form.get("MessageSid", "")
    if not _SID.fullmatch(sid):
        raise WebhookIncomplete
    return sid


def _given(form: Form, field: str) -> str:
    """A field that may be blank but not missing."""
    if field not in form:
        raise WebhookIncomplete
    return form[field]
