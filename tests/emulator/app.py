"""The emulator as a plain ASGI application: Twilio's three routes, and the faults in their way."""

import asyncio
import base64
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.emulator.contract import Contract, Request, Response
from tests.emulator.delivery import Delivery
from tests.emulator.faults import Fault, Pacing
from tests.emulator.inbound import Inbound
from tests.emulator.messages import Book, Message
from tests.emulator.rules import Refusal, refusal
from tests.emulator.webhooks import Webhooks

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, bytes]

_PATH = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-fA-F]{32})/Messages(?:/((?:SM|MM)[0-9a-fA-F]{32}))?\.json")
_BEFORE = {"500_before_accept": 20500, "503": 20503, "429": 20429}
_VIOLATION = 20001  # Twilio's "invalid parameter"


class Hangs(Exception):
    """No answer, and the connection stays."""


class Drops(Exception):
    """No answer, and the connection ends."""


@dataclass
class Counts:
    """What was asked of the emulator."""

    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0


class Emulator:
    """One account at Twilio, in memory."""

    def __init__(self, account_sid: str, auth_token: str, service_number: str, validate: bool) -> None:
        self.account_sid = account_sid
        self.service_number = service_number
        credentials = base64.b64encode(f"{account_sid}:{auth_token}".encode())
        self._authorization = b"Basic " + credentials
        self.contract = Contract() if validate else None
        self.webhooks = Webhooks(auth_token)
        self.delivery = Delivery(self.webhooks)
        self.control: Callable[[str, str, str, bytes], Awaitable[Answer]] | None = None
        self.reset()

    def reset(self) -> None:
        """As newly started; what was under way is forgotten."""
        self.delivery.reset()
        self.book = Book()
        self.inbound = Inbound(self.account_sid, self.book, self.webhooks)
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.counts = Counts()
        self._pacing = Pacing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query, body = scope["path"], scope["query_string"].decode(), await _body(receive)
        if path.startswith("/_/") or path == "/health":
            assert self.control
            await _send(send, await self.control(scope["method"], path, query, body))
            return
        counts = self.counts
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        try:
            await _send(send, await self._answer(scope, path, query, body))
        except Hangs:
            await _gone(receive)
        except Drops:
            scope["extensions"]["abort"]()
            await _gone(receive)
        finally:
            counts.in_flight -= 1

    async def _answer(self, scope: Scope, path: str, query: str, body: bytes) -> Answer:
        headers = dict(scope["headers"])
        match = _PATH.fullmatch(path)
        if headers.get(b"authorization") != self._authorization:
            self.counts.requests["unauthorised"] += 1
            answer = _refused(Refusal(20003))
        elif not match or match[1] != self.account_sid:
            self.counts.requests["unknown"] += 1
            answer = _refused(Refusal(20404, f"The requested resource {path} was not found"))
        elif self.contract:
            return await self._validated(scope["method"], match[2], path, query, headers, body)
        else:
            answer = await self._operate(scope["method"], match[2], query, body, "")
        self.counts.answers[str(answer[0])] += 1
        return answer

    async def _validated(
        self, method: str, sid: str | None, path: str, query: str, headers: dict[bytes, bytes], body: bytes
    ) -> Answer:
        """Answers 400 to what violates the contract, be it the request or the answer, and remembers it."""
        assert self.contract
        texts = {name.decode(): value.decode() for name, value in headers.items()}
        request = Request(method, path, query, texts, body)
        wrong = self.contract.fault_in_request(request)
        if wrong:
            self.violations.append(wrong)
        answer = await self._operate(method, sid, query, body, wrong)
        wrong = self.contract.fault_in_answer(request, Response(answer[0], answer[1]))
        if wrong:
            self.violations.append(wrong)
            answer = _refused(Refusal(_VIOLATION, wrong))
        self.counts.answers[str(answer[0])] += 1
        return answer

    async def _operate(self, method: str, sid: str | None, query: str, body: bytes, wrong: str) -> Answer:
        if method == "POST" and not sid:
            return await self._create(dict(parse_qsl(body.decode(), keep_blank_values=True)), wrong)
        if method != "GET":
            return _refused(Refusal(20004, "Method not allowed", 405))
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        operation = "fetch" if sid else "list"
        self.counts.requests[operation] += 1
        fault = self._fault(operation, parameters.get("To", ""))
        code = _stop(fault)
        if code or wrong:
            return _refused(Refusal(code) if code else Refusal(_VIOLATION, wrong))
        answer = self._fetch(sid) if sid else _found(self.book.listing(self.account_sid, parameters))
        return await _delayed(fault, answer)

    async def _create(self, form: dict[str, str], wrong: str) -> Answer:
        self.counts.requests["create"] += 1
        fault = self._fault("create", form.get("To", ""))
        code = _stop(fault)
        if code:
            return _refused(Refusal(code))
        settings = self.delivery.settings
        if not self._pacing.admits(settings.per_second):
            return _refused(Refusal(settings.pacing_code, status=429))
        sender = form.get("From") or self.service_number
        refused = refusal(form, opted_out=(sender, form.get("To", "")) in self.inbound.opted_out)
        if refused:
            return _refused(refused)
        if wrong:
            return _refused(Refusal(_VIOLATION, wrong))
        message = self._accept(form, sender)
        answer = 201, json.dumps(message.as_resource()).encode()
        await self.delivery.begin(message)
        return await _delayed(fault, answer)

    def _accept(self, form: dict[str, str], sender: str) -> Message:
        service = form.get("MessagingServiceSid")
        message = Message(
            account_sid=self.account_sid,
            sender=sender,
            recipient=form["To"],
            body=form.get("Body", ""),
            status="accepted" if service else "queued",
            service_sid=service,
            callback_url=form.get("StatusCallback", ""),
        )
        lag = self.delivery.settings.listing_lag_seconds
        if lag:
            message.visible_at = time.monotonic() + lag
        self.book.add(message)
        return message

    def _fetch(self, sid: str) -> Answer:
        message = self.book.find(sid)
        if message:
            return _found(message.as_resource())
        return _refused(Refusal(20404, f"The requested resource {sid} was not found"))

    def _fault(self, operation: str, number: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.befalls(operation, number)), None)


def _stop(fault: Fault | None) -> int:
    """The code of a fault that befalls a request before it is acted on; 0: it goes on."""
    if fault is None:
        return 0
    if fault.mode == "refuse":
        raise Drops
    if fault.mode == "hang_before_accept":
        raise Hangs
    return fault.code if fault.mode == "reject" else _BEFORE.get(fault.mode, 0)


async def _delayed(fault: Fault | None, answer: Answer) -> Answer:
    """The answer to what was acted on, or what a fault makes of it."""
    if fault is None:
        return answer
    match fault.mode:
        case "hang":
            raise Hangs
        case "drop_after_accept":
            raise Drops
        case "500_after_accept":
            return _refused(Refusal(20500))
        case "empty_answer":
            return answer[0], b"{}"
        case "slow":
            await asyncio.sleep(fault.milliseconds / 1000)
    return answer


def _found(resource: dict[str, object]) -> Answer:
    return 200, json.dumps(resource).encode()


def _refused(refused: Refusal) -> Answer:
    return refused.http_status, json.dumps(refused.as_body()).encode()


async def _body(receive: Receive) -> bytes:
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body"):
        event = await receive()
        body += event.get("body", b"")
    return body


async def _send(send: Send, answer: Answer) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer[1])).encode())]
    await send({"type": "http.response.start", "status": answer[0], "headers": headers})
    await send({"type": "http.response.body", "body": answer[1]})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
