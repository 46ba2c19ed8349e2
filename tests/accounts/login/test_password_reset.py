"""Resetting a forgotten password with a code."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pymongo.errors import PyMongoError

from backend.accounts import users
from backend.accounts.documents import Role, User
from backend.accounts.login import verification
from backend.accounts.login.codes import MOST_AN_HOUR, TRIES, code_issued
from backend.accounts.login.passwords import hash_password
from backend.core import clock
from backend.core.settings import settings
from tests import factories
from tests.accounts.helpers import PASSWORD, at_once, codes
from tests.accounts.login.support import MINUTES, NEW_PASSWORD, is_refused, other_than


def test_the_code_sets_a_new_password(api, ada, log_in, reset, reset_code, db):
    answer = reset(reset_code)
    assert (answer.status_code, answer.content) == (204, b"")
    assert db.sessions.count_documents({}) == 0
    assert ada.client.get("/users/me").status_code == 401
    refreshed = api.post("/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert refreshed.json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert log_in(password=PASSWORD).status_code == 401
    assert log_in(password=NEW_PASSWORD).json()["user"]["is_verified"] is True


def test_the_code_goes_to_the_phone_of_the_account_for_ten_minutes(ada, reset_code, phones):
    (issued,) = phones.received
    assert (issued.user.phone, issued.purpose) == (ada.phone, "reset_password")
    assert len(reset_code) == 6
    left = issued.expires_at - clock.utc_now()
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)


@pytest.mark.parametrize("login", [" ADA@Example.com ", "+15550140001", "(555) 014-0001"])
def test_email_and_phone_work_in_any_spelling(forgot, reset, phones, login):
    forgot(login)
    assert reset(phones.wait_for(1), login=login).status_code == 204


def test_a_patient_without_a_password_gets_one(api, run, phones):
    walk_in = run(users.create_user(User(name="Walk-in", role=Role.PATIENT, phone="+15550140007")))
    api.post("/auth/password/forgot", json={"login": walk_in.phone})
    body = {"login": walk_in.phone, "code": phones.wait_for(1), "new_password": NEW_PASSWORD}
    assert api.post("/auth/password/reset", json=body).status_code == 204
    login = api.post("/auth/login", json={"email": walk_in.phone, "password": NEW_PASSWORD})
    assert login.status_code == 200


def test_a_reset_ends_the_limit_on_logging_in(log_in, reset, reset_code):
    for _ in range(settings.LOGIN_ATTEMPTS):
        log_in(password="not the password")
    assert log_in().status_code == 429
    assert reset(reset_code).status_code == 204
    assert log_in(password=NEW_PASSWORD).status_code == 200


@pytest.fixture
def strangers(admin, run, ada):
    """Logins that get no code: unknown, no login at all, without a phone, and no longer active."""
    run(users.create_user(User(name="No phone", role=Role.ADMIN, email="nophone@example.com"), password=PASSWORD))
    gone = factories.make_user(run, Role.PATIENT, email="gone@example.com")
    assert admin.client.delete(f"/users/{gone.account_id}").status_code == 204
    return ["nobody@example.com", "+15550149999", "no login", "@", "nophone@example.com", "gone@example.com"]


def test_the_response_does_not_reveal_whether_an_account_exists(forgot, ada, strangers, phones):
    answers = [forgot(login) for login in (ada.email, *strangers)]
    shown = [{k: v for k, v in a.headers.items() if k not in ("date", "x-request-id")} for a in answers]
    assert {(a.status_code, a.text) for a in answers} == {(202, '{"expires_in":600,"resend_after":60}')}
    assert all(headers == shown[0] for headers in shown)
    phones.wait_for(1)


def test_unknown_and_inactive_logins_get_no_code(run, strangers, phones, db):
    for login in strangers:
        run(verification.send_reset_code(login))
    assert len(phones) == 0
    assert db.one_time_codes.count_documents({}) == 0


def test_the_response_does_not_wait_for_the_code_to_be_sent(forgot, server):
    """So its time says nothing either: whatever is done for an account is done after it."""
    begun, may_end = threading.Event(), asyncio.Event()

    async def be_slow(issued):
        begun.set()
        await may_end.wait()

    async def end():
        may_end.set()

    code_issued.connect(be_slow)
    try:
        assert forgot().status_code == 202
        assert begun.wait(10)
        assert not may_end.is_set()
    finally:
        server.run(end())
        code_issued.disconnect(be_slow)


def test_every_failed_reset_gets_the_same_response(reset, reset_code, strangers, ada):
    answers = [reset(other_than(reset_code)), *(reset(reset_code, login=login) for login in strangers)]
    assert {(a.status_code, a.text) for a in answers} == {(422, answers[0].text)}
    assert is_refused(answers[0])
    assert reset(reset_code).status_code == 204
    assert reset(reset_code).text == answers[0].text, "a used one"


def test_a_reset_with_an_unknown_login_hashes_too(reset, reset_code):
    def cost(**given):
        before = _seconds_of_hashing()
        assert is_refused(reset(other_than(reset_code), **given))
        return _seconds_of_hashing() - before

    a_hash = cost()
    assert a_hash > 0.001
    assert cost(login="nobody@example.com") > a_hash / 4
    assert cost(login="no login at all") > a_hash / 4


def _seconds_of_hashing():
    """The CPU time of the threads that hash, whatever else the machine does."""
    threads = [t for t in threading.enumerate() if t.name.startswith("argon2")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(t.ident)) for t in threads)


def test_a_code_from_before_the_deactivation_is_refused(admin, ada, reset, reset_code, db):
    admin.client.delete(f"/users/{ada.id}")
    before = db.users.find_one({"email": ada.email, "is_active": True})
    assert is_refused(reset(reset_code))
    assert db.users.find_one({"email": ada.email, "is_active": True}) == before


@pytest.mark.parametrize("change", [{"phone": "+15550140009"}, None])
def test_a_reset_fails_if_the_account_changes_meanwhile(server, admin, ada, reset, reset_code, db, change):
    """The code is tried at once, and the new password waits until others are hashed."""
    with ThreadPoolExecutor(2) as pool:
        hashing = pool.submit(server.run, _hash_many())
        resetting = pool.submit(reset, reset_code)
        while db.one_time_codes.find_one()["tries_left"]:
            time.sleep(0.002)
        if change:
            assert admin.client.patch(f"/users/{ada.id}", json=change).status_code == 200
        else:
            assert admin.client.delete(f"/users/{ada.id}").status_code == 204
        before = db.users.find_one({"email": ada.email, "is_active": True})
        assert not hashing.done()
        assert is_refused(resetting.result())
    assert db.users.find_one({"email": ada.email, "is_active": True}) == before


async def _hash_many():
    await asyncio.gather(*(hash_password(PASSWORD) for _ in range(30)))


def test_of_two_resets_at_once_with_the_right_code_one_succeeds(log_in, reset, reset_code):
    passwords = [f"the new password {n}" for n in range(6)]
    answers = at_once(*(lambda p=p: reset(reset_code, new_password=p) for p in passwords))
    assert codes(answers) == ["204", *["CODE_INVALID"] * 5]
    won = [answer.is_success for answer in answers].index(True)
    assert log_in(password=passwords[won]).status_code == 200


def test_requests_are_limited_for_any_login_alike(forgot, phones):
    for login in ("nobody@example.com", "ada@example.com"):
        answers = [forgot(login) for _ in range(settings.LOGIN_ATTEMPTS + 1)]
        assert codes(answers) == ["202"] * settings.LOGIN_ATTEMPTS + ["TOO_MANY_REQUESTS"]
        assert 0 < int(answers[-1].headers["Retry-After"]) <= settings.LOGIN_WINDOW_MINUTES * 60
    phones.wait_for(1)


@pytest.mark.parametrize("login", ["nobody@example.com", "ada@example.com"])
def test_failed_resets_are_limited_for_any_login_alike(reset, reset_code, login):
    wrong = other_than(reset_code)
    answers = [reset(wrong, login=login) for _ in range(settings.LOGIN_ATTEMPTS + 1)]
    assert codes(answers) == ["CODE_INVALID"] * settings.LOGIN_ATTEMPTS + ["TOO_MANY_REQUESTS"]


def test_after_too_many_failed_resets_the_right_code_is_refused(forgot, reset, phones, db):
    for _ in range(settings.LOGIN_ATTEMPTS):
        assert is_refused(reset("000000"))
    forgot()
    assert reset(phones.wait_for(1)).status_code == 429
    assert db.one_time_codes.find_one()["tries_left"] == TRIES


@pytest.mark.parametrize("route", ["own", "users"])
def test_a_code_sent_to_the_old_phone_resets_no_password(reset, reset_code, change_phone, route):
    change_phone(route, "+15550140009")
    assert is_refused(reset(reset_code))


def test_a_sixth_reset_code_within_an_hour_is_silently_not_sent(forgot, run, ada, phones):
    for n in range(MOST_AN_HOUR + 2):
        with clock.shifted(2 * n * MINUTES):
            assert forgot().status_code == 202
            run(verification.send_reset_code(ada.email))  # it ends when the one of the request is through
    assert len(phones) == MOST_AN_HOUR


def test_a_database_failure_after_the_response_is_logged(run, caplog):
    """Nobody is left to be told; the next request makes it up."""

    async def lose_the_database(issued):
        raise PyMongoError("away")

    run(users.create_user(User(name="Ada", role=Role.PATIENT, phone="+15550140001")))
    code_issued.connect(lose_the_database)
    try:
        run(verification.send_reset_code("+15550140001"))
    finally:
        code_issued.disconnect(lose_the_database)
    assert "no code for a forgotten password: PyMongoError" in caplog.text
