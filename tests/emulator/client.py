"""Starts the emulator and speaks to its side door."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from tests.emulator.faults import Mode, Operation
from tests.support.servers import Program, free_port, launch

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba9876543210" * 2
SENDER = "+15005550006"
SERVICE_SID = "MG" + "0123456789abcdef" * 2


class Carrier:
    """A running emulator. All numbers are E.164; messages are as Twilio's resources, oldest first."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.base_url = program.base_url
        self.account_sid = ACCOUNT_SID
        self.auth_token = AUTH_TOKEN
        self.sender = SENDER
        self._http = httpx.Client(base_url=f"{self.base_url}/_", timeout=30)

    def faults(
        self,
        mode: Mode,
        *,
        operation: Operation = "create",
        count: int | None = None,
        fraction: float = 1,
        numbers: list[str] | None = None,
        milliseconds: int = 1000,
        code: int = 21612,
    ) -> None:
        """One more fault (see `tests/emulator/faults.py`); the first that matches a request befalls it."""
        fault = {
            "mode": mode,
            "operation": operation,
            "count": count,
            "fraction": fraction,
            "numbers": numbers,
        }
        self._ask("POST", "/faults", {**fault, "milliseconds": milliseconds, "code": code})

    def no_faults(self) -> None:
        """From now on."""
        self._ask("DELETE", "/faults")

    def settings(self, **values: Any) -> None:
        """Changes some of `tests.emulator.faults.Settings`."""
        self._ask("PATCH", "/settings", values)

    def callbacks(
        self,
        *,
        on: bool = True,
        delay: int = 0,
        twice: bool = False,
        out_of_order: bool = False,
        before_answer: bool = False,
    ) -> None:
        """How status callbacks come from now on; `delay` in milliseconds."""
        self.settings(
            callbacks=on,
            callback_delay=delay,
            callbacks_twice=twice,
            callbacks_out_of_order=out_of_order,
            callback_before_answer=before_answer,
        )

    def pacing(self, per_second: float, code: int = 20429) -> None:
        """More creates than this are answered 429; 0: as many as come."""
        self.settings(per_second=per_second, pacing_code=code)

    def listing_lag(self, seconds: float) -> None:
        """A message accepted from now on shows in list and fetch only after this time."""
        self.settings(listing_lag_seconds=seconds)

    def outcome(self, number: str, status: str, error_code: int | None = None, *, early: Sequence[str] = ()) -> None:
        """What becomes of messages to a number: delivered, undelivered, failed, or sent (no more is heard).

        Or the statuses that are reported `early`, before the post is answered, in any order; nothing follows them.
        """
        values = {"number": number, "status": status, "error_code": error_code, "early": list(early)}
        self._ask("POST", "/outcomes", values)

    def away(self, seconds: float) -> None:
        """Refuses connections for so long. Returns when it does; this client gets no answer either."""
        self._ask("POST", "/away", {"seconds": seconds})
        time.sleep(0.1)

    def messages(self, to: str | None = None, direction: str | None = "outbound-api") -> list[dict[str, Any]]:
        """The accepted ones, whether they show in Twilio's list yet or not.

        Answers in TwiML are `outbound-reply`, among them Twilio's own (`automatic`); None: all directions.
        """
        query = {name: value for name, value in (("to", to), ("direction", direction)) if value}
        return list(self._ask("GET", "/messages", query=query))

    def reply(
        self, from_: str, body: str, url: str = "", *, to: str = SENDER, sid: str = "", **extra: str
    ) -> dict[str, Any]:
        """A patient's SMS, posted to the webhook and signed.

        Gives its `sid`, the `status`, `content_type` and `twiml` of the answer, and the texts in it as `replies`.
        With `sid` the same message comes again; `extra` adds parameters; without a URL only Twilio reacts.
        """
        values = {"sender": from_, "recipient": to, "body": body, "url": url, "sid": sid, "extra": extra}
        return dict(self._ask("POST", "/reply", values))

    def reports(self) -> list[dict[str, Any]]:
        """Every status callback that was posted, with the status of the application's `answer` (0: none)."""
        return list(self._ask("GET", "/callbacks"))

    def counts(self) -> dict[str, Any]:
        """`requests` by operation, `answers` by status, `in_flight`, `most_in_flight`, `accepted`, `pending`."""
        return dict(self._ask("GET", "/counts"))

    def violations(self) -> list[str]:
        """What has broken the contract."""
        return list(self._ask("GET", "/violations"))

    def wait_until_quiet(self, timeout: float = 20) -> None:
        """Returns when every message has come to its end and every callback is answered."""
        deadline = time.monotonic() + timeout
        while self.counts()["pending"]:
            assert time.monotonic() < deadline, "callbacks are still under way"
            time.sleep(0.02)

    def reset(self) -> None:
        """As newly started."""
        self._ask("POST", "/reset")

    def _ask(
        self,
        method: str,
        path: str,
        values: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> Any:
        answer = self._http.request(method, path, json=values, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextlib.contextmanager
def running_carrier(*arguments: str) -> Iterator[Carrier]:
    """An emulator on a free port, until the block ends. `--validate` holds everything against the contract."""
    port = free_port()
    program = launch(
        *("-m", "tests.emulator", "--port", str(port)),
        *("--account-sid", ACCOUNT_SID, "--auth-token", AUTH_TOKEN, *arguments),
    )
    program.base_url = f"http://127.0.0.1:{port}"
    try:
        yield Carrier(program.wait_until_ready())
    finally:
        program.stop()
