"""Twilio's webhooks: patients' replies and delivery reports. Every request must carry Twilio's signature.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query, Request, Response, status
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from backend.accounts.phone_numbers import sender_form
from backend.core.http.errors import responses
from backend.core.settings import settings
from backend.messaging.errors import InvalidSignature, WebhookIncomplete
from backend.messaging.inbound.handle_reply import handle_reply
from backend.messaging.outbox.delivery_state import apply_report
from backend.messaging.twilio.carrier import signing_key

router = APIRouter(prefix="/twilio", tags=["twilio"])

Form = Mapping[str, str]

_MAX_FIELDS = 200
_CODE = re.compile(r"[0-9]{1,8}")
_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_MAX_PHONE = 64


async def signed_form(request: Request) -> Form:
    """Returns the fields of a webhook, blank ones too, if its signature is right. Raises `InvalidSignature`.

    Twilio signs the address it was given. A proxy may change the Host header, so PUBLIC_BASE_URL is used instead.
    """
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = settings.PUBLIC_BASE_URL.rstrip("/") + path
    signature = request.headers.get("X-Twilio-Signature")
    try:
        text = (await request.body()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        raise InvalidSignature from None
    # The validator fails on a missing header, and on one that isn't ASCII.
    if not signature or not signature.isascii():
        raise InvalidSignature
    if not RequestValidator(signing_key()).validate(address, ImmutableMultiDict(pairs), signature):
        raise InvalidSignature
    form = dict(pairs)
    if settings.has_carrier and form.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:
        raise InvalidSignature
    return form


SignedForm = Annotated[Form, Depends(signed_form)]
Attempt = Annotated[
    str, Query(max_length=64, description="The attempt the report is about: we put it into the address.")
]

_TEXT = {"type": "string"}
_SIDS = {
    "MessageSid": "SM00000000000000000000000000000001",
    "AccountSid": "AC00000000000000000000000000000001",
}


def _form(**fields: str) -> dict[str, Any]:
    """Returns the request body for OpenAPI: the fields we need, with examples. Twilio sends more."""
    example = {**_SIDS, **fields}
    schema = {
        "type": "object",
        "properties": dict.fromkeys(example, _TEXT),
        "required": list(example),
        "examples": [example],
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/sms",
    summary="Receive a patient's reply (for Twilio)",
    response_class=Response,
    responses={
        **responses(InvalidSignature, WebhookIncomplete),
        200: {
            "description": "TwiML with the answer to the patient, or without one.",
            "content": {"application/xml": {"schema": _TEXT}},
        },
    },
    openapi_extra=_form(From="+12125550100", Body="1"),
)
async def receive_sms(form: SignedForm) -> Response:
    """Acts on a reply once, however often Twilio posts it. Needs Twilio's signature in `X-Twilio-Signature`.

    The words patients may reply with are in docs/messaging.md.
    """
    phone = form.get("From", "").strip()
    if not phone or len(phone) > _MAX_PHONE:
        raise WebhookIncomplete
    text = await handle_reply(sid=_sid(form), phone=sender_form(phone), body=_required(form, "Body"))
    twiml = MessagingResponse()
    if text:
        twiml.message(text)
    return Response(str(twiml), media_type="application/xml")


@router.post(
    "/status",
    summary="Receive a delivery report (for Twilio)",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(InvalidSignature, WebhookIncomplete),
    openapi_extra=_form(MessageStatus="delivered"),
)
async def receive_status(form: SignedForm, attempt: Attempt = "") -> None:
    """Takes reports in any order, repeated or early. Needs Twilio's signature in `X-Twilio-Signature`."""
    code = form.get("ErrorCode", "").strip()
    await apply_report(
        attempt_id=attempt,
        sid=_sid(form),
        twilio_status=_required(form, "MessageStatus"),
        error_code=int(code) if _CODE.fullmatch(code) else None,
    )


def _sid(form: Form) -> str:
    sid = form.get("MessageSid", "")
    if not _SID.fullmatch(sid):
        raise WebhookIncomplete
    return sid


def _required(form: Form, field: str) -> str:
    """Returns a field that may be blank but not missing."""
    if field not in form:
        raise WebhookIncomplete
    return form[field]
