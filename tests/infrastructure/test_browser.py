"""A person with a browser: books, reads the SMS on the simulated phone, replies, and is confirmed."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.scheduling.slots.manual_slots import create_slot
from tests import factories
from tests.factories import Person, Run
from tests.support.servers import Program, serving

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="there is no Chromium here (Debian: apt install chromium chromium-driver)",
)

QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
)

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
    """Headless Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*QUIET, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        driver.set_script_timeout(15)
        yield driver
        driver.quit()


def bubbles(browser: webdriver.Chrome) -> list[str]:
    return [bubble.text for bubble in browser.find_elements(By.CSS_SELECTOR, "#messages .bubble")]


def seen(browser: webdriver.Chrome, words: str) -> bool:
    """Waits until a message with these words is on the phone's screen."""
    # The page redraws the messages when there are more: what was found a moment ago may be gone.
    waiting = WebDriverWait(browser, 30, ignored_exceptions=[StaleElementReferenceException])
    return bool(waiting.until(lambda driver: any(words in text for text in bubbles(driver))))


def test_booking_a_text_message_a_reply_and_a_confirmed_appointment(
    run: Run[Any], clinic: Clinic, patient: Person, site: Program, browser: webdriver.Chrome
) -> None:
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    tomorrow = utc_now().replace(hour=16, minute=0, second=0, microsecond=0) + timedelta(days=1)
    slot = run(
        create_slot(
            doctor_id=doctor.object_id, clinic_id=clinic.clinic_id, start=tomorrow, minutes=30, capacity=1
        )
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
