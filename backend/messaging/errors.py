"""What can go wrong with a request about messages."""

from backend.core.http.errors import Forbidden, NotFound, Unprocessable


class CallNotFound(NotFound):
    """The call list has no such open entry, or the caller may not see it."""

    code = "CALL_NOT_FOUND"
    detail = "The call list has no such open entry, or you don't have access to it."


class InvalidSignature(Forbidden):
    """The webhook wasn't signed by the carrier."""

    code = "INVALID_SIGNATURE"
    detail = "The `X-Twilio-Signature` header is missing or doesn't match the request."


class WebhookIncomplete(Unprocessable):
    """A signed webhook lacks a required field, or a field is malformed."""

    code = "WEBHOOK_INCOMPLETE"
    detail = "The webhook lacks a required field, or one of its fields is malformed."
