"""`/health/ready` tells of the carrier, and of a process that doesn't send."""

import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core.clock import utc_now
from backend.messaging.documents import SmsDirection, SmsKind, SmsLog, SmsStatus
from tests import factories
from tests.factories import Run
from tests.support.servers import free_port, serving


async def queue(patient_id: Any) -> None:
    now = utc_now()
    await SmsLog(
        direction=SmsDirection.OUTBOUND,
        kind=SmsKind.ANSWER,
        status=SmsStatus.QUEUED,
        patient_id=patient_id,
        body="Thank you.",
        not_before=now,
        expires_at=now + timedelta(hours=1),
    ).insert()


def carrier_of(base_url: str) -> str:
    answer = httpx.get(f"{base_url}/health/ready")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["carrier"])


def test_a_process_that_does_no_timed_work_says_so(base_url: str) -> None:
    assert carrier_of(base_url) == "disabled"


@pytest.mark.long
def test_a_carrier_that_can_not_be_reached_is_told_and_the_process_works_on(run: Run[Any]) -> None:
    environment = {
        "SCHEDULER_ENABLED": "true",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "1" * 32,
        "TWILIO_PHONE_NUMBER": "+12125550100",
        "TWILIO_API_URL": f"http://127.0.0.1:{free_port()}",
    }
    user = factories.make_user(run, Role.PATIENT, phone="+12125550123")
    with serving(environment=environment) as program:
        assert carrier_of(program.base_url) == "ok"
        run(queue(user.object_id))
        deadline = time.monotonic() + 15
        while carrier_of(program.base_url) != "unreachable":
            assert time.monotonic() < deadline
            time.sleep(0.1)
