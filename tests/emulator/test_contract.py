"""The contract is stricter than the published schema, and the emulator's parts that need no server."""

import json
from typing import Any

import pytest

from tests.emulator.contract import Contract, Request, Response
from tests.emulator.messages import Message
from tests.emulator.rules import segments

pytestmark = pytest.mark.long

ACCOUNT_SID = "AC" + "0" * 32
LIST = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
MESSAGE = Message(account_sid=ACCOUNT_SID, sender="+15005550006", recipient="+12125550123", body="Hello")
HEADERS = {"authorization": "Basic QUI6eA=="}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b'{"messages": []}'),
        (404, b'{"detail": "Not found"}'),
        (404, b"{}"),
        (418, b"{}"),
    ],
)
def test_lax_answers_are_violations(contract: Contract, status: int, body: bytes) -> None:
    request = Request("GET", LIST, "", HEADERS)
    assert contract.fault_in_request(request) == ""
    assert contract.fault_in_answer(request, Response(status, body))


def fault_in(contract: Contract, changes: dict[str, Any]) -> str:
    body = {name: value for name, value in {**MESSAGE.as_resource(), **changes}.items() if value != "left out"}
    request = Request("GET", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{MESSAGE.sid}.json", "", HEADERS)
    return contract.fault_in_answer(request, Response(200, json.dumps(body).encode()))


@pytest.mark.parametrize(
    "changes",
    [
        {"sid": "left out"},
        {"sid": None},
        {"status": "gone"},
        {"num_segments": 1},
        {"date_created": "2026-11-21T09:00:00Z"},
        {"date_sent": "left out"},
        {"to": "2125550123"},
        {"segments": 1},
    ],
)
def test_a_message_unlike_twilios_is_a_violation(contract: Contract, changes: dict[str, Any]) -> None:
    assert fault_in(contract, {}) == ""
    assert fault_in(contract, changes)


@pytest.mark.parametrize(
    "query",
    ["Status=sent", "PageSize=0", "PageSize=1001", "DateSent=today", "To=2125550123", "Page=0&Page=1"],
)
def test_a_query_that_twilio_does_not_know_is_a_violation(contract: Contract, query: str) -> None:
    good = "To=%2B12125550123&DateSent%3C=2026-11-21&DateSent%3E=2026-11-20T00%3A00%3A00Z&PageSize=50"
    assert contract.fault_in_request(Request("GET", LIST, good, HEADERS)) == ""
    assert contract.fault_in_request(Request("GET", LIST, query, HEADERS))


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("{" * 80, 1),
        ("{" * 81, 2),
        ("a" * 152 + "{" + "a" * 152, 3),
        ("ñ" * 160, 1),
        ("’" * 70, 1),
        ("’" * 71, 2),
        ("\N{THUMBS UP SIGN}" * 35, 1),
        ("\N{THUMBS UP SIGN}" * 36, 2),
    ],
)
def test_segments_are_counted(body: str, count: int) -> None:
    assert segments(body) == count
