"""Login: two content types, one answer to every failure, and a limit to guessing."""

import asyncio
import threading
import time
from datetime import timedelta

import httpx
import pytest

from backend.accounts import users
from backend.accounts.documents import Role, User
from backend.accounts.login import log_in, passwords
from backend.accounts.login.log_in import Device
from backend.accounts.login.passwords import hash_password, verify_password
from backend.accounts.login.throttle import throttle_key
from backend.core import clock
from backend.core.http.errors import TooManyRequests
from backend.core.settings import settings
from tests.accounts.helpers import PASSWORD, at_once, codes

WRONG = "not the password"


def test_json_and_the_oauth2_form_log_in_alike(api, ada):
    as_json = api.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    as_form = api.post(
        "/auth/login",
        data={"grant_type": "password", "username": ada.email, "password": PASSWORD, "scope": ""},
    )
    assert (as_json.status_code, as_form.status_code) == (200, 200)
    assert as_json.json().keys() == as_form.json().keys()
    assert as_form.json()["user"]["id"] == ada.id


def test_openapi_shows_both_content_types(base_url):
    document = httpx.get(f"{base_url}/openapi.json").json()
    operation = document["paths"]["/api/v1/auth/login"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content["application/json"]["schema"]["properties"]) == {"email", "password"}
    assert set(content["application/x-www-form-urlencoded"]["schema"]["properties"]) == {
        "username",
        "password",
    }
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == "/api/v1/auth/login"


@pytest.mark.parametrize("login", ["ada@example.com", " ADA@Example.com ", "+15550140001", "(555) 014-0001"])
def test_the_login_is_the_email_or_the_phone_in_any_spelling(log_in, ada, login):
    assert log_in(email=login).status_code == 200


def test_every_failure_gets_the_same_response(api, log_in, ada, admin, run):
    run(users.create_user(User(name="Walk-in", role=Role.PATIENT, email="walkin@example.com")))
    gone = admin.client.post(
        "/users",
        json={"role": "admin", "name": "Gone", "email": "gone@example.com", "password": PASSWORD},
    ).json()
    assert admin.client.delete(f"/users/{gone['id']}").status_code == 204
    answers = [
        log_in(password=WRONG),
        log_in(email="nobody@example.com"),
        log_in(email="walkin@example.com"),
        log_in(email="gone@example.com"),
        log_in(email="no login at all"),
        log_in(email="@"),
        log_in(password=""),
        api.post("/auth/login", data={"username": ada.email, "password": WRONG}),
    ]
    assert {(a.status_code, a.text) for a in answers} == {(401, answers[0].text)}
    assert answers[0].json()["error_code"] == "INVALID_CREDENTIALS"
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"email": "ada@example.com"}', "application/json", 422),
        (b'{"email": "ada@example.com", "password": "Tr0ub4dor\\u0000"}', "application/json", 422),
        (b'{"email": "ada@example.com", "password": "Tr0ub4dor\\ud800"}', "application/json", 422),
        (b'{"email": "a\\u0000", "password": "Tr0ub4dor"}', "application/json", 422),
        (b'{"email": 7, "password": "Tr0ub4dor"}', "application/json", 422),
        (b'{"email": "a", "password": "Tr0ub4dor", "more": 1}', "application/json", 422),
        (b'{"password": "Tr0ub4dor"', "application/json", 422),
        (b"[" * 50_000, "application/json", 422),
        (b'{"email": NaN, "password": "Tr0ub4dor"}', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"", "application/json", 422),
        (b"username=ada%40example.com", "application/x-www-form-urlencoded", 422),
        (b"username=a&password=Tr0ub4dor%00", "application/x-www-form-urlencoded", 422),
        (b"username=%ff&password=Tr0ub4dor%ff", "application/x-www-form-urlencoded", 401),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"Tr0ub4dor", "text/plain", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x; charset=nonsense", 415),
        (b"{}", "", 415),
    ],
)
def test_a_malformed_login_is_refused_without_its_password(api, content, kind, status):
    answer = api.post("/auth/login", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert "Tr0ub4dor" not in answer.text


def test_failures_are_limited(log_in, ada):
    for _ in range(settings.LOGIN_ATTEMPTS):
        assert log_in(password=WRONG).status_code == 401
    refused = log_in()
    assert (refused.status_code, refused.json()["error_code"]) == (429, "TOO_MANY_REQUESTS")
    assert 0 < int(refused.headers["Retry-After"]) <= settings.LOGIN_WINDOW_MINUTES * 60


def test_the_limit_ends_with_its_window(log_in, ada, db):
    for _ in range(settings.LOGIN_ATTEMPTS):
        log_in(password=WRONG)
    assert log_in().status_code == 429
    with clock.shifted(timedelta(minutes=settings.LOGIN_WINDOW_MINUTES, seconds=1)):
        assert db.login_failures.count_documents({}) == 1
        assert log_in(password=WRONG).status_code == 401
        assert log_in().status_code == 200
    assert db.login_failures.find_one()["failures"] == 1


def test_the_limit_is_for_one_account(log_in, api, ada):
    for _ in range(settings.LOGIN_ATTEMPTS):
        log_in(email="nobody@example.com")
    assert log_in(email="nobody@example.com").status_code == 429
    assert log_in().status_code == 200


def test_email_and_phone_share_the_limit(log_in, ada):
    for _ in range(settings.LOGIN_ATTEMPTS):
        log_in(email=ada.phone, password=WRONG)
    assert log_in(email=ada.email).status_code == 429


def test_successes_write_no_counter(log_in, ada, db):
    for _ in range(settings.LOGIN_ATTEMPTS + 2):
        assert log_in().status_code == 200
    assert db.login_failures.count_documents({}) == 0


@pytest.mark.long
def test_parallel_guesses_are_limited_too(log_in, ada, db):
    guesses = [lambda: log_in(password=WRONG) for _ in range(3 * settings.LOGIN_ATTEMPTS)]
    answers = codes(at_once(*guesses, log_in))
    assert answers.count("INVALID_CREDENTIALS") == settings.LOGIN_ATTEMPTS
    assert db.login_failures.count_documents({}) == 1


def test_the_counter_reveals_neither_account_nor_address(log_in, ada, db):
    log_in(password=WRONG)
    stored = str(db.login_failures.find_one())
    for trace in (ada.id, ada.email, ada.phone, "127.0.0.1"):
        assert trace not in stored


def test_a_hash_with_weaker_parameters_is_replaced_at_login(log_in, ada, db):
    weak = passwords.argon2.using(type="ID", time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    db.users.update_one({"email": ada.email, "is_active": True}, {"$set": {"password_hash": weak}})
    assert log_in().status_code == 200
    stored = db.users.find_one({"email": ada.email, "is_active": True})["password_hash"]
    assert "m=19456,t=2,p=1" in stored
    assert log_in().status_code == 200
    assert db.users.find_one({"email": ada.email, "is_active": True})["password_hash"] == stored


def test_a_login_updates_last_login(log_in, ada, db):
    before = clock.utc_now()
    log_in()
    assert db.users.find_one({"email": ada.email, "is_active": True})["last_login"] >= before


@pytest.mark.long
def test_a_correct_guess_beyond_the_limit_is_refused(run, ada):
    """It passed the first check with the others; when it has been compared, the limit is reached."""
    device = Device(address="192.0.2.7", user_agent=None)

    async def guess_all_at_once() -> list[object]:
        wrong = [WRONG] * (4 * settings.LOGIN_ATTEMPTS)
        return await asyncio.gather(
            *(log_in.log_in(login=ada.email, password=p, device=device) for p in [*wrong, PASSWORD]),
            return_exceptions=True,
        )

    assert isinstance(run(guess_all_at_once())[-1], TooManyRequests)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("", "", True),
    ],
)
def test_failures_are_counted_by_address_or_ipv6_network(one, other, same):
    assert (throttle_key("ada", one) == throttle_key("ada", other)) is same


def _seconds_of_hashing() -> float:
    """How long the threads that hash have worked: their own CPU time, whatever else the machine does."""
    clocks = [time.pthread_getcpuclockid(t.ident) for t in threading.enumerate() if t.name.startswith("argon2")]
    return sum(time.clock_gettime(clock) for clock in clocks)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no CPU clocks of threads here")
def test_a_login_with_an_unknown_user_hashes_too(run, log_in, ada):
    def cost(**login: str) -> float:
        before = _seconds_of_hashing()
        assert log_in(**login).status_code == 401
        return _seconds_of_hashing() - before

    a_hash = cost(password=WRONG)
    assert a_hash > 0.001
    assert cost(email="nobody@example.com") > a_hash / 4
    assert cost(email="no login at all") > a_hash / 4
    assert run(verify_password(PASSWORD, None)) is False


@pytest.mark.long
def test_hashing_does_not_run_on_the_event_loop(run):
    """The loop goes on turning while a batch of hashes is under way, and none of them runs in its thread."""

    async def hash_and_turn() -> tuple[int, set[str]]:
        hashing = asyncio.gather(*(hash_password(PASSWORD) for _ in range(8)))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        await hashing
        return turns, {t.name for t in threading.enumerate()}

    turns, threads = run(hash_and_turn())
    assert turns > 100
    assert any(name.startswith("argon2") for name in threads)


def test_other_requests_are_served_while_eight_log_in(api, log_in, ada):
    done: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: done.append(log_in())) for _ in range(8)]
    answered = 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert ada.client.get("/users/me").status_code == 200
        answered += 1
    assert [answer.status_code for answer in done] == [200] * 8
    assert answered > 8
