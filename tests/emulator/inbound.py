"""What a patient sends: opt-out words, the signed webhook, and the TwiML that answers it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from tests.emulator.messages import API_VERSION, Book, Message, new_sid
from tests.emulator.rules import HELP, OPT_IN, OPT_OUT, segments
from tests.emulator.webhooks import Answer, Webhooks

# Twilio's own answers in the default handling of opt-out words:
# https://help.twilio.com/articles/223134027
_UNSUBSCRIBED = (
    "You have successfully been unsubscribed. You will not receive any more messages from this number. "
    "Reply START to resubscribe."
)
_SUBSCRIBED = (
    "You have successfully been re-subscribed to messages from this number. Reply HELP for help. "
    "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
)
_HELPED = "Reply STOP to unsubscribe. Msg&Data Rates May Apply."


class NotTwiml(ValueError):
    """Twilio's error 12100 or 12200: the answer is no TwiML document."""


@dataclass
class Inbound:
    """Who has opted out, per number of ours and patient."""

    account_sid: str
    book: Book
    webhooks: Webhooks
    opted_out: set[tuple[str, str]] = field(default_factory=set)

    async def receive(
        self, *, sender: str, recipient: str, body: str, url: str, sid: str, extra: Mapping[str, str]
    ) -> dict[str, Any]:
        """A patient's SMS: status and TwiML of the application's answer and the texts that went back.

        The opt-out words work before the application hears of them. `sid` sends the same message once more.
        Without a URL only Twilio itself reacts.
        """
        message = Message(
            account_sid=self.account_sid,
            sender=sender,
            recipient=recipient,
            body=body,
            direction="inbound",
            status="received",
            sid=sid or new_sid(),
        )
        repeated = self.book.find(message.sid) is not None
        if not repeated:
            message.change("received")
            message.sent = message.updated
            self.book.add(message)
            self._obey(message)
        answer = await self.webhooks.post(url, {**_parameters(message), **extra}) if url else Answer(0)
        texts = _texts(answer)
        for text in texts:
            self._answer(message, text)
        return {
            "sid": message.sid,
            "status": answer.status,
            "content_type": answer.content_type,
            "twiml": answer.body,
            "replies": texts,
        }

    def _obey(self, message: Message) -> None:
        """https://help.twilio.com/articles/223134027: the whole body, in any case."""
        pair = (message.recipient, message.sender)
        word = message.body.strip().upper()
        if word in OPT_OUT:
            self._answer(message, _UNSUBSCRIBED, automatic=True)
            self.opted_out.add(pair)
        elif word in OPT_IN and pair in self.opted_out:
            self.opted_out.discard(pair)
            self._answer(message, _SUBSCRIBED, automatic=True)
        elif word in HELP:
            self._answer(message, _HELPED, automatic=True)

    def _answer(self, message: Message, text: str, automatic: bool = False) -> None:
        reply = Message(
            account_sid=self.account_sid,
            sender=message.recipient,
            recipient=message.sender,
            body=text,
            direction="outbound-reply",
            automatic=automatic,
        )
        if (message.recipient, message.sender) in self.opted_out and not automatic:
            reply.change("failed", 21610)
        else:
            reply.change("sent")
            reply.change("delivered")
        self.book.add(reply)


def _parameters(message: Message) -> dict[str, str]:
    """https://www.twilio.com/docs/messaging/guides/webhook-request; places unknown to Twilio come blank."""
    places = {f"{end}{part}": "" for end in ("From", "To") for part in ("City", "State", "Zip")}
    return {
        **places,
        "AccountSid": message.account_sid,
        "ApiVersion": API_VERSION,
        "Body": message.body,
        "From": message.sender,
        "FromCountry": "US",
        "MessageSid": message.sid,
        "NumMedia": "0",
        "NumSegments": str(segments(message.body)),
        "SmsMessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "To": message.recipient,
        "ToCountry": "US",
    }


def _texts(answer: Answer) -> list[str]:
    """Of each `<Message>` in the TwiML, whether its text stands in a `<Body>` or not."""
    if not 200 <= answer.status < 300 or not answer.body.strip():
        return []
    if answer.content_type not in ("text/xml", "application/xml"):
        raise NotTwiml(f"the answer to an inbound message is of type {answer.content_type}")
    try:
        root = ElementTree.fromstring(answer.body.encode())
    except ElementTree.ParseError as error:
        raise NotTwiml(f"the answer to an inbound message is no XML: {error}") from error
    if root.tag != "Response" or any(child.tag != "Message" for child in root):
        raise NotTwiml("the answer to an inbound message is not a <Response> of <Message>s")
    return [(child.findtext("Body") or child.text or "").strip() for child in root]
