"""The tests' side door, under `/_/`: faults, settings, and what the emulator has seen. JSON both ways."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from tests.emulator.app import Answer, Emulator
from tests.emulator.delivery import Outcome
from tests.emulator.faults import Fault
from tests.emulator.inbound import NotTwiml


class Control:
    """`away(seconds)` closes the emulator's port for a while."""

    def __init__(self, emulator: Emulator, away: Callable[[float], None]) -> None:
        self._emulator = emulator
        self._away = away

    async def __call__(self, method: str, path: str, query: str, body: bytes) -> Answer:
        values = json.loads(body) if body else {}
        try:
            answer = await self._answer(f"{method} {path}", dict(parse_qsl(query)), values)
        except (TypeError, KeyError, ValueError) as error:
            return 400, json.dumps({"error": repr(error)}).encode()
        return 200, json.dumps(answer).encode()

    async def _answer(self, what: str, query: dict[str, str], values: dict[str, Any]) -> Any:
        emulator = self._emulator
        if what == "POST /_/reply":
            return await self._reply(values)
        reading: dict[str, Callable[[], Any]] = {
            "GET /health": dict,
            "GET /_/messages": lambda: self._messages(query),
            "GET /_/callbacks": lambda: emulator.delivery.reports,
            "GET /_/counts": self._counts,
            "GET /_/violations": lambda: emulator.violations,
        }
        if what in reading:
            return reading[what]()
        self._change(what, values)
        return {}

    def _change(self, what: str, values: dict[str, Any]) -> None:
        emulator = self._emulator
        match what:
            case "POST /_/faults":
                emulator.faults.append(Fault(**values))
            case "DELETE /_/faults":
                emulator.faults.clear()
            case "PATCH /_/settings":
                emulator.delivery.settings = replace(emulator.delivery.settings, **values)
            case "POST /_/outcomes":
                number = values.pop("number")
                emulator.delivery.outcomes[number] = Outcome(**values)
            case "POST /_/away":
                # The answer to this goes out first.
                asyncio.get_running_loop().call_later(0.05, self._away, float(values["seconds"]))
            case "POST /_/reset":
                emulator.reset()
            case _:
                raise KeyError(what)

    def _counts(self) -> dict[str, Any]:
        emulator = self._emulator
        accepted = sum(message.direction == "outbound-api" for message in emulator.book.all)
        return {**vars(emulator.counts), "accepted": accepted, "pending": emulator.delivery.pending}

    def _messages(self, query: dict[str, str]) -> list[dict[str, object]]:
        """Oldest first, whether they show in Twilio's list yet or not."""
        direction = query.get("direction")
        return [
            {**message.as_resource(), "from": message.sender, "automatic": message.automatic}
            for message in self._emulator.book.to(query.get("to"))
            if not direction or message.direction == direction
        ]

    async def _reply(self, values: dict[str, Any]) -> dict[str, Any]:
        inbound = self._emulator.inbound
        try:
            return await inbound.receive(
                sender=values["sender"],
                recipient=values.get("recipient") or self._emulator.service_number,
                body=values["body"],
                url=values.get("url", ""),
                sid=values.get("sid", ""),
                extra=values.get("extra", {}),
            )
        except NotTwiml as error:
            self._emulator.violations.append(str(error))
            raise
