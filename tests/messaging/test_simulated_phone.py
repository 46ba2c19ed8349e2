"""The simulated phone: what it shows and does in development, and that it isn't there otherwise."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from backend.messaging.outbox.sender import Dispatcher
from backend.messaging.twilio.carrier import SimulatedPhone
from tests import factories
from tests.factories import Run
from tests.scheduling.support import book, every_day, opened, search
from tests.support.servers import launch

ROUTES = """
from fastapi.routing import iter_route_contexts
from backend.app import app
print("routes:", [route.path for route in iter_route_contexts(app.routes) if "/dev" in (route.path or "")])
"""

REAL = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "1" * 32,
    "TWILIO_PHONE_NUMBER": "+12125550100",
}


def ask(base_url: str, path: str, **body: str) -> Any:
    answer = httpx.post(f"{base_url}/dev/phone/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_number_shows_its_conversation_and_replies_for_its_owner(
    run: Run[Any], api: httpx.Client, base_url: str, clinic: Clinic, noon: datetime
) -> None:
    patient = factories.make_user(run, Role.PATIENT)
    doctor = factories.make_doctor(run, clinic, weekly_hours=every_day(clinic, "13:00", "14:00"))
    opened(run, doctor)
    booked = book(patient, search(api, doctor_id=doctor.id)[0])
    phone = str(patient.user.phone)

    async def dispatch() -> None:
        await Dispatcher(SimulatedPhone()).dispatch()

    run(dispatch())
    assert ask(base_url, "remind", number=phone) == {"text": "The reminder is on its way."}
    run(dispatch())
    said = ask(base_url, "reply", number=phone, body="1")["text"]
    assert said.startswith("Thank you, confirmed:")
    shown = [(bubble["to_phone"], bubble["body"]) for bubble in ask(base_url, "messages", number=phone)]
    assert [to_phone for to_phone, _ in shown] == [True, True, False, True]
    assert shown[2:] == [(False, "1"), (True, said)]
    assert patient.client.get(f"/appointments/{booked['id']}").json()["status"] == "confirmed"
    assert phone in httpx.get(f"{base_url}/dev/phone/numbers").json()


def test_numbers_that_nobody_has_and_that_are_none_are_told_so(base_url: str) -> None:
    assert ask(base_url, "remind", number="+15559990000") == {"text": "Nobody has this number."}
    assert ask(base_url, "messages", number="+15559990000") == []
    assert httpx.post(f"{base_url}/dev/phone/messages", json={"number": "12"}).status_code == 422


def test_its_page_needs_nothing_from_elsewhere(base_url: str) -> None:
    page = httpx.get(f"{base_url}/dev/phone")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in page.text
    assert "https://" not in page.text


@pytest.mark.parametrize(
    ("environment", "is_there"),
    [
        ({}, True),
        pytest.param(REAL, False, marks=pytest.mark.long),
        pytest.param({**REAL, "ENVIRONMENT": "production", "SECRET_KEY": "x" * 40}, False, marks=pytest.mark.long),
        pytest.param({"ENVIRONMENT": "production"}, False, marks=pytest.mark.long),
    ],
    ids=["development", "development with a carrier", "production", "production, wrongly set up"],
)
def test_it_is_there_in_development_without_a_carrier_only(environment: dict[str, str], is_there: bool) -> None:
    program = launch("-c", ROUTES, environment=environment)
    assert program.wait() == 0
    assert ("'/dev/phone'" in program.output) is is_there, program.output
    assert "routes: [" in program.output
