"""The pages for people work without internet, without inline scripts and under a strict Content-Security-Policy."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from backend import __version__
from tests.factories import PASSWORD, Person
from tests.support.browser import chromium, needs_browser

PAGES = ["/", "/docs", "/redoc"]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Page(HTMLParser):
    """What a page refers to, and what of it a policy would call inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Notes addresses, style elements and attributes, handlers, and scripts without an address."""
        found = dict(attributes)
        self.references += [value for name in ("src", "href") if (value := found.get(name)) is not None]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        self.inline += [name for name in found if name == "style" or name.startswith("on")]


def policy_of(response: httpx.Response) -> dict[str, list[str]]:
    directives = [part.split() for part in response.headers["Content-Security-Policy"].split(";")]
    return {name: values for name, *values in directives}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_no_other_host_and_holds_nothing_inline(base_url: str, path: str) -> None:
    response = httpx.get(base_url + path, headers=HTML)
    page = Page(response.text)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.inline == []
    assert page.references
    assert not re.search(r"//", response.text)
    for reference in page.references:
        assert httpx.get(f"{base_url}/{reference}").status_code == 200, reference


@pytest.mark.parametrize("path", PAGES)
def test_a_page_sends_a_strict_policy(base_url: str, path: str) -> None:
    response = httpx.get(base_url + path, headers=HTML)
    policy = policy_of(response)
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy.get("script-src", ["'self'"]) == ["'self'"]
    assert not re.search(r"unsafe|http|\*", response.headers["Content-Security-Policy"])
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_file_of_a_page_is_an_unknown_path(base_url: str) -> None:
    for path in ("/docs/nothing.js", "/docs/..%2f..%2fapp.py", "/docs/oauth2-redirect", "/redoc/swagger.js"):
        response = httpx.get(base_url + path)
        assert (response.status_code, response.json()["error_code"]) == (404, "NOT_FOUND"), path


def test_the_root_tells_programs_what_this_is(base_url: str) -> None:
    response = httpx.get(base_url)
    assert response.json() == {
        "name": "Clinic appointment book",
        "version": __version__,
        "docs": "/docs",
        "redoc": "/redoc",
        "openapi": "/openapi.json",
        "health": "/health",
        "simulated_phone": "/dev/phone",
    }
    assert "Accept" in response.headers["Vary"]
    for path in ("docs", "redoc", "openapi", "health", "simulated_phone"):
        assert httpx.get(base_url + response.json()[path]).status_code == 200


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium without a network."""
    with chromium() as driver:
        yield driver


def find(browser: webdriver.Chrome, selector: str) -> Any:
    """The first element that fits, once there is one."""
    return WebDriverWait(browser, 30).until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector))


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser has logged since it was last asked: refused by the policy, not found, thrown."""
    entries: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]


@pytest.mark.long
@needs_browser
def test_docs_lists_operations_and_logs_in(base_url: str, browser: webdriver.Chrome, patient: Person) -> None:
    browser.get(f"{base_url}/docs")
    find(browser, "#operations-appointments-book_appointment")

    find(browser, ".auth-wrapper button.authorize").click()
    find(browser, "#oauth_username").send_keys(str(patient.user.email))
    find(browser, "#oauth_password").send_keys(PASSWORD)
    find(browser, ".auth-btn-wrapper button.authorize").click()
    assert "Authorized" in find(browser, ".auth-container h6").text
    find(browser, ".auth-btn-wrapper .btn-done").click()

    operation = "#operations-me-get_own_account"
    find(browser, f"{operation} .opblock-summary-control").send_keys(Keys.ENTER)
    find(browser, f"{operation} .try-out__btn").send_keys(Keys.ENTER)
    find(browser, f"{operation} button.execute").send_keys(Keys.ENTER)
    assert find(browser, f"{operation} .live-responses-table tr.response td.response-col_status").text.startswith(
        "200"
    )
    assert complaints(browser) == []


@pytest.mark.long
@needs_browser
def test_redoc_shows_operations_and_searches(base_url: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{base_url}/redoc")
    find(browser, "[data-section-id*='book_appointment']")
    find(browser, "input[placeholder='Search...']").send_keys("idempotency")
    find(browser, "[data-role='search:results'] li")
    assert complaints(browser) == []


@needs_browser
def test_the_root_greets_people(base_url: str, browser: webdriver.Chrome) -> None:
    browser.get(base_url)
    assert "Version" in find(browser, "main").text
    links = {link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "main a")}
    assert f"{base_url}/dev/phone" in links
    assert complaints(browser) == []
