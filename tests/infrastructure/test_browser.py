"""A patient books in a browser, reads the SMS on the simulated phone, replies, and is confirmed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.factories import Person, Run
from tests.support.browser import chromium, needs_browser
from tests.support.servers import Program, serving

pytestmark = [needs_browser, pytest.mark.long]

ASK = """
const [path, token, body, done] = arguments;
const headers = { "Content-Type": "application/json", Authorization: "Bearer " + token };
fetch("/api/v1" + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) })
  .then((answer) => answer.json()).then(done);
"""


@pytest.fixture
def site(run: Run[Any]) -> Iterator[Program]:
    """A server that does timed work, with patients who are awake."""
    awake = {"SMS_QUIET_FROM": "00:00", "SMS_QUIET_UNTIL": "00:00"}
    with serving(environment={"SCHEDULER_ENABLED": "true", **awake}) as program:
        yield program


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium."""
    with chromium() as driver:
        yield driver


def bubbles(browser: webdriver.Chrome) -> list[str]:
    return [bubble.text for bubble in browser.find_elements(By.CSS_SELECTOR, "#messages .bubble")]


def seen(browser: webdriver.Chrome, words: str) -> bool:
    """Waits until a message with these words is on the phone's screen."""
    # The page redraws the messages when there are more: what was found a moment ago may be gone.
    waiting = WebDriverWait(browser, 30, ignored_exceptions=[StaleElementReferenceException])
    return bool(waiting.until(lambda driver: any(words in text for text in bubbles(driver))))


def test_a_patient_books_replies_by_sms_and_is_confirmed(
    run: Run[Any], clinic: Clinic, patient: Person, site: Program, browser: webdriver.Chrome
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    tomorrow = utc_now().replace(hour=16, minute=0, second=0, microsecond=0) + timedelta(days=1)
    slot = run(
        create_slot(doctor_id=doctor.object_id, clinic_id=clinic.clinic_id, start=tomorrow, minutes=30, capacity=1)
    )

    browser.get(f"{site.base_url}/dev/phone")
    booked = browser.execute_async_script(ASK, "/appointments", patient.token, {"slot_id": str(slot.id)})
    assert booked["status"] == "scheduled"

    browser.find_element(By.ID, "number").send_keys(str(patient.user.phone))
    browser.find_element(By.CSS_SELECTOR, "#choose button").click()
    assert seen(browser, "Your appointment:")
    browser.find_element(By.ID, "remind").click()
    assert seen(browser, "Reply 1 to confirm, 2 to cancel.")
    browser.find_element(By.ID, "body").send_keys("1")
    browser.find_element(By.CSS_SELECTOR, "#write button").click()
    assert seen(browser, "Thank you, confirmed:")

    shown = browser.execute_async_script(ASK, f"/appointments/{booked['id']}", patient.token, None)
    assert shown["status"] == "confirmed"
    [step] = [line for line in shown["history"] if line["transition"] == "confirm"]
    assert step["by_role"] == "patient"
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
    assert [entry for entry in errors if "favicon" not in entry["message"]] == []
