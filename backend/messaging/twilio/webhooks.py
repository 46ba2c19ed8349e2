"""What Twilio posts to us: whether it is Twilio, and what it says.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator

from backend.core.http.errors import Forbidden, Unprocessable
from backend.core.settings import settings
from backend.messaging.twilio.carrier import signing_key

_MOST_FIELDS = 200
_SIGNATURE = "X-Twilio-Signature"


class InvalidSignature(Forbidden):
    """A webhook that doesn't come from the carrier."""

    code = "INVALID_SIGNATURE"
    detail = "The signature is missing or doesn't fit the request."


class WebhookIncomplete(Unprocessable):
    """A signed webhook without what it must say."""

    code = "WEBHOOK_INCOMPLETE"
    detail = "The webhook lacks a field, or has one of no known form."


Form = Mapping[str, str]


async def signed_form(request: Request) -> Form:
    """The fields of a webhook, blank ones too, once its signature was found right. Raises `InvalidSignature`.

    Twilio signs the address that it was told, which a proxy may have changed since: PUBLIC_BASE_URL, not the Host.
    """
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = settings.PUBLIC_BASE_URL.rstrip("/") + path
    signature = request.headers.get(_SIGNATURE)
    try:
        text = (await request.body()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:  # bytes that are no UTF-8, too many fields
        raise InvalidSignature from None
    # The validator doesn't take a missing header, nor one that is no ASCII.
    if not signature or not signature.isascii():
        raise InvalidSignature
    if not RequestValidator(signing_key()).validate(address, ImmutableMultiDict(pairs), signature):
        raise InvalidSignature
    form = dict(pairs)
    if settings.has_carrier and form.get("AccountSid") != settings.TWILIO_ACCOUNT_SID:
        raise InvalidSignature
    return form


SignedForm = Annotated[Form, Depends(signed_form)]
