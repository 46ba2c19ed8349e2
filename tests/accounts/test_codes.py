"""Codes by SMS: a forgotten password set anew and a phone verified, each by a code that works once."""

import asyncio
import hashlib
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pymongo.errors import PyMongoError

from backend.accounts import users
from backend.accounts.documents import Role
from backend.accounts.errors import CodeInvalid
from backend.accounts.login import verification
from backend.accounts.login.codes import MOST_AN_HOUR, TRIES, code_issued
from backend.accounts.login.passwords import hash_password
from backend.core import clock
from backend.core.settings import settings
from tests import factories
from tests.accounts.helpers import PASSWORD, at_once, codes, registration

NEW_PASSWORD = "staple in the stable"
VERIFICATION = "/users/me/phone/verification"
MINUTES = timedelta(minutes=1)


class Phones:
    """What every phone has received, in order."""

    def __init__(self):
        self.received = []

    async def receive(self, issued):
        self.received.append(issued)

    def __len__(self):
        return len(self.received)

    def wait_for(self, number):
        """The newest code, when so many have come: a forgotten password's is sent after the answer."""
        deadline = time.monotonic() + 10
        while len(self.received) < number:
            assert time.monotonic() < deadline, f"{len(self.received)} codes of {number} have come"
            time.sleep(0.005)
        assert len(self.received) == number
        return self.received[-1].code


@pytest.fixture
def phones(server):
    """Listens to the signal to which the sender of messages listens."""
    phones = Phones()
    code_issued.connect(phones.receive)
    yield phones
    code_issued.disconnect(phones.receive)


@pytest.fixture
def reset(api, ada):
    """Sets Ada's password anew."""

    def go(code, login=ada.email, new_password=NEW_PASSWORD):
        body = {"login": login, "code": code, "new_password": new_password}
        return api.post("/auth/password/reset", json=body)

    return go


@pytest.fixture
def forgot(api, ada):
    """Ada asks for a code."""

    def go(login=ada.email):
        return api.post("/auth/password/forgot", json={"login": login})

    return go


@pytest.fixture
def reset_code(forgot, phones):
    """The code that Ada was sent for her forgotten password."""
    assert forgot().status_code == 202
    return phones.wait_for(1)


@pytest.fixture
def verification_code(ada, phones):
    """The code that Ada was sent to verify her phone."""
    assert ada.client.post(VERIFICATION).status_code == 202
    return phones.wait_for(1)


def confirm(person, code):
    return person.client.post(f"{VERIFICATION}/confirm", json={"code": code})


def other_than(code):
    return f"{(int(code) + 1) % 10**6:06}"


def is_refused(answer):
    return (answer.status_code, answer.json()["error_code"]) == (422, "CODE_INVALID")


# A forgotten password.


def test_a_forgotten_password_is_set_with_the_code(api, ada, log_in, reset, reset_code, db):
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
def test_email_and_phone_in_any_spelling_mean_the_same_account(forgot, reset, phones, login):
    forgot(login)
    assert reset(phones.wait_for(1), login=login).status_code == 204


def test_a_patient_who_never_had_a_password_gets_one(api, run, phones):
    walk_in = run(users.create_user(name="Walk-in", role=Role.PATIENT, phone="+15550140007"))
    api.post("/auth/password/forgot", json={"login": walk_in.phone})
    body = {"login": walk_in.phone, "code": phones.wait_for(1), "new_password": NEW_PASSWORD}
    assert api.post("/auth/password/reset", json=body).status_code == 204
    login = api.post("/auth/login", json={"email": walk_in.phone, "password": NEW_PASSWORD})
    assert login.status_code == 200


def test_who_failed_to_log_in_too_often_can_after_the_reset(log_in, reset, reset_code):
    for _ in range(settings.LOGIN_ATTEMPTS):
        log_in(password="not the password")
    assert log_in().status_code == 429
    assert reset(reset_code).status_code == 204
    assert log_in(password=NEW_PASSWORD).status_code == 200


@pytest.fixture
def strangers(admin, run, ada):
    """Logins that get no code: unknown, no login at all, without a phone, and no longer active."""
    run(users.create_user(name="No phone", role=Role.ADMIN, email="nophone@example.com", password=PASSWORD))
    gone = factories.make_user(run, Role.PATIENT, email="gone@example.com")
    assert admin.client.delete(f"/users/{gone.id}").status_code == 204
    return ["nobody@example.com", "+15550149999", "no login", "@", "nophone@example.com", "gone@example.com"]


def test_the_answer_does_not_tell_whether_there_is_an_account(forgot, ada, strangers, phones):
    answers = [forgot(login) for login in (ada.email, *strangers)]
    shown = [{k: v for k, v in a.headers.items() if k not in ("date", "x-request-id")} for a in answers]
    assert {(a.status_code, a.text) for a in answers} == {(202, '{"expires_in":600,"resend_after":60}')}
    assert all(headers == shown[0] for headers in shown)
    phones.wait_for(1)


def test_strangers_are_sent_nothing(run, strangers, phones, db):
    for login in strangers:
        run(verification.send_reset_code(login))
    assert len(phones) == 0
    assert db.one_time_codes.count_documents({}) == 0


def test_the_answer_does_not_wait_for_the_code_to_be_sent(forgot, server):
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


def test_every_failed_reset_gets_the_same_answer(reset, reset_code, strangers, ada):
    answers = [reset(other_than(reset_code)), *(reset(reset_code, login=login) for login in strangers)]
    assert {(a.status_code, a.text) for a in answers} == {(422, answers[0].text)}
    assert is_refused(answers[0])
    assert reset(reset_code).status_code == 204
    assert reset(reset_code).text == answers[0].text, "a used one"


def test_an_unknown_login_costs_a_hash_too(reset, reset_code):
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


def test_a_code_asked_for_before_the_account_ended_is_worth_nothing(admin, ada, reset, reset_code, db):
    admin.client.delete(f"/users/{ada.id}")
    before = db.users.find_one({"email": ada.email})
    assert is_refused(reset(reset_code))
    assert db.users.find_one({"email": ada.email}) == before


@pytest.mark.parametrize("change", [{"phone": "+15550140009"}, None])
def test_an_account_that_changes_during_a_reset_keeps_its_password(
    server, admin, ada, reset, reset_code, db, change
):
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
        before = db.users.find_one({"email": ada.email})
        assert not hashing.done()
        assert is_refused(resetting.result())
    assert db.users.find_one({"email": ada.email}) == before


async def _hash_many():
    await asyncio.gather(*(hash_password(PASSWORD) for _ in range(30)))


def test_of_two_resets_at_once_with_the_right_code_one_succeeds(log_in, reset, reset_code):
    passwords = [f"the new password {n}" for n in range(6)]
    answers = at_once(*(lambda p=p: reset(reset_code, new_password=p) for p in passwords))
    assert codes(answers) == ["204", *["CODE_INVALID"] * 5]
    won = [answer.is_success for answer in answers].index(True)
    assert log_in(password=passwords[won]).status_code == 200


def test_asking_is_limited_per_address_for_any_login_alike(forgot, phones):
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


def test_after_too_many_failed_resets_the_right_code_waits_too(forgot, reset, phones, db):
    for _ in range(settings.LOGIN_ATTEMPTS):
        assert is_refused(reset("000000"))
    forgot()
    assert reset(phones.wait_for(1)).status_code == 429
    assert db.one_time_codes.find_one()["tries_left"] == TRIES


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "12345\n6", 123456, None])
def test_what_cannot_be_a_code_is_malformed(reset, ada, code):
    for answer in (reset(code), confirm(ada, code)):
        assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")


# One code at a time, and not too many.


def test_a_code_expires_after_ten_minutes_though_it_still_lies_there(reset, reset_code, db):
    with clock.shifted(10 * MINUTES):
        assert db.one_time_codes.count_documents({}) == 1
        assert is_refused(reset(reset_code))
    with clock.shifted(10 * MINUTES - timedelta(seconds=30)):
        assert reset(reset_code).status_code == 204


def test_a_code_survives_four_wrong_guesses_and_not_five(run, ada, verification_code, phones):
    for _ in range(TRIES - 1):
        assert is_refused(confirm(ada, other_than(verification_code)))
    assert confirm(ada, verification_code).status_code == 200

    grace = factories.make_user(run, Role.PATIENT)
    grace.client.post(VERIFICATION)
    code = phones.wait_for(2)
    for _ in range(TRIES):
        assert is_refused(confirm(grace, other_than(code)))
    assert is_refused(confirm(grace, code))


def test_guesses_in_parallel_have_no_more_tries(ada, verification_code, db):
    guesses = [lambda n=n: confirm(ada, other_than(f"{int(verification_code) + n:06}")) for n in range(30)]
    assert codes(at_once(*guesses)) == ["CODE_INVALID"] * 30
    assert db.one_time_codes.find_one()["tries_left"] == 0
    assert is_refused(confirm(ada, verification_code))


def test_a_new_code_ends_the_one_before(reset, forgot, reset_code, phones):
    with clock.shifted(MINUTES):
        forgot()
        second = phones.wait_for(2)
        if second != reset_code:
            assert is_refused(reset(reset_code))
        assert reset(second).status_code == 204


def test_within_a_minute_no_other_code_is_sent_and_the_first_stays_good(run, ada, verification_code, phones):
    assert ada.client.post(VERIFICATION).status_code == 202
    with clock.shifted(timedelta(seconds=50)):
        answer = ada.client.post(VERIFICATION)
    assert (answer.status_code, answer.json()) == (202, {"expires_in": 600, "resend_after": 60})
    assert len(phones) == 1
    assert confirm(ada, verification_code).status_code == 200


def test_asked_for_many_times_at_once_one_code_is_sent(ada, phones, db):
    assert codes(at_once(*[lambda: ada.client.post(VERIFICATION)] * 10)) == ["202"] * 10
    assert len(phones) == 1
    with clock.shifted(MINUTES):
        assert codes(at_once(*[lambda: ada.client.post(VERIFICATION)] * 10)) == ["202"] * 10
    assert len(phones) == 2
    assert len(db.one_time_codes.find_one()["issues"]) == 2


def test_a_sixth_code_within_an_hour_is_refused_and_told_how_long(ada, phones):
    for n in range(MOST_AN_HOUR):
        with clock.shifted(2 * n * MINUTES):
            assert ada.client.post(VERIFICATION).status_code == 202
    assert len(phones) == MOST_AN_HOUR
    with clock.shifted(10 * MINUTES):
        refused = ada.client.post(VERIFICATION)
        assert (refused.status_code, refused.json()["error_code"]) == (429, "TOO_MANY_REQUESTS")
        assert 49 * 60 < int(refused.headers["Retry-After"]) <= 50 * 60
    assert len(phones) == MOST_AN_HOUR


def test_the_hour_is_one_that_slides(run, patient, phones):
    for n in range(MOST_AN_HOUR):
        with clock.shifted(2 * n * MINUTES):
            patient.client.post(VERIFICATION)
    for minutes, status, number in ((59, 429, 5), (60, 202, 6), (61, 429, 6), (62, 202, 7)):
        with clock.shifted(minutes * MINUTES + timedelta(seconds=1)):
            asking = factories.log_in(run, patient.user)
            assert asking.client.post(VERIFICATION).status_code == status, minutes
            assert len(phones) == number


def test_a_sixth_code_for_a_forgotten_password_is_not_sent_and_nothing_is_said(forgot, run, ada, phones):
    for n in range(MOST_AN_HOUR + 2):
        with clock.shifted(2 * n * MINUTES):
            assert forgot().status_code == 202
            run(verification.send_reset_code(ada.email))  # it ends when the one of the request is through
    assert len(phones) == MOST_AN_HOUR


# A phone to be verified.


def test_a_phone_is_verified_with_the_code(ada, verification_code):
    answer = confirm(ada, verification_code)
    assert answer.status_code == 200
    assert answer.json()["is_verified"] is True
    assert answer.json() == ada.client.get("/users/me").json()
    assert is_refused(confirm(ada, verification_code)), "a used one"
    again = ada.client.post(VERIFICATION)
    assert (again.status_code, again.json()["error_code"]) == (409, "ALREADY_VERIFIED")


def test_every_role_may_verify_its_phone(admin, nurse, doctor, patient, phones):
    for number, person in enumerate((admin, nurse, doctor, patient), start=1):
        assert person.client.post(VERIFICATION).status_code == 202
        assert confirm(person, phones.wait_for(number)).json()["is_verified"] is True


def test_without_a_phone_there_is_nothing_to_verify(nurse, phones):
    nurse.client.patch("/users/me", json={"phone": None})
    answer = nurse.client.post(VERIFICATION)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "NO_PHONE")
    assert is_refused(confirm(nurse, "000000"))
    assert len(phones) == 0


def test_the_code_of_another_user_verifies_nothing(ada, verification_code, patient):
    assert is_refused(confirm(patient, verification_code))
    patient.client.post(VERIFICATION)
    assert confirm(ada, verification_code).status_code == 200


def test_a_code_is_good_for_its_purpose_only(ada, reset, verification_code, forgot, phones):
    assert is_refused(reset(verification_code))
    forgot()
    code = phones.wait_for(2)
    if code != verification_code:
        assert is_refused(confirm(ada, code))


@pytest.fixture
def change_phone(admin, ada):
    """Gives Ada another phone by each route that can."""

    def go(route, phone):
        client, path = {
            "own": (ada.client, "/users/me"),
            "users": (admin.client, f"/users/{ada.id}"),
            "patients": (admin.client, f"/patients/{ada.id}"),
        }[route]
        answer = client.patch(path, json={"phone": phone})
        assert answer.status_code == 200, answer.text

    return go


@pytest.mark.parametrize("route", ["own", "users", "patients"])
def test_a_code_sent_to_the_old_phone_does_not_verify_the_new_one(
    ada, verification_code, phones, change_phone, route
):
    change_phone(route, "+15550140009")
    assert is_refused(confirm(ada, verification_code))
    assert ada.client.get("/users/me").json()["is_verified"] is False
    assert ada.client.post(VERIFICATION).status_code == 202
    assert phones.received[-1].user.phone == "+15550140009"
    assert confirm(ada, phones.wait_for(2)).json()["is_verified"] is True


@pytest.mark.parametrize("route", ["own", "users", "patients"])
def test_a_code_sent_to_the_old_phone_resets_no_password(reset, reset_code, change_phone, route):
    change_phone(route, "+15550140009")
    assert is_refused(reset(reset_code))


@pytest.mark.parametrize("route", ["own", "users", "patients"])
def test_another_phone_is_not_verified(ada, verification_code, change_phone, route):
    assert confirm(ada, verification_code).json()["is_verified"] is True
    change_phone(route, "+15550140001")
    assert ada.client.get("/users/me").json()["is_verified"] is True
    change_phone(route, "+15550140009")
    assert ada.client.get("/users/me").json()["is_verified"] is False


def test_another_phone_is_no_way_around_the_hours_limit(ada, phones):
    for n in range(MOST_AN_HOUR + 3):
        ada.client.patch("/users/me", json={"phone": f"+155501401{n:02}"})
        ada.client.post(VERIFICATION)
    assert len(phones) == MOST_AN_HOUR
    assert ada.client.post(VERIFICATION).status_code == 429


def test_a_phone_changed_while_its_code_is_being_confirmed_is_not_verified(run, ada, verification_code):
    """The user was read with the old phone, which another request has replaced meanwhile."""
    as_read = run(users.find_by_login(ada.email))
    ada.client.patch("/users/me", json={"phone": "+15550140009"})
    with pytest.raises(CodeInvalid):
        run(verification.verify_phone(as_read, verification_code))
    assert ada.client.get("/users/me").json()["is_verified"] is False


# What is kept, and what is not.


def test_the_database_holds_neither_code_nor_phone(ada, reset_code, db):
    stored = str(db.one_time_codes.find_one())
    assert reset_code not in stored.replace(ada.id, "")
    assert ada.phone not in stored


def test_who_reads_the_database_cannot_try_all_codes(verification_code, db):
    """A hash without a key gives its code away in a second."""
    stored = db.one_time_codes.find_one()
    plain = (verification_code, stored["_id"] + verification_code, f"{stored['_id']}\n{verification_code}")
    assert stored["code_hash"] not in {hashlib.sha256(text.encode()).hexdigest() for text in plain}


def test_the_document_goes_when_it_has_nothing_left_to_count(reset_code, db):
    stored = db.one_time_codes.find_one()
    assert stored["expires_at"] - stored["issued_at"] == timedelta(hours=1)


def test_codes_and_phones_are_never_logged(ada, forgot, reset, phones, caplog):
    with caplog.at_level(logging.INFO):
        ada.client.post(VERIFICATION)
        confirm(ada, phones.wait_for(1))
        forgot(ada.phone)
        reset(other_than(phones.wait_for(2)), login=ada.phone)
        reset(phones.received[-1].code, login=ada.phone)
        deadline = time.monotonic() + 10
        while len(caplog.records) < 5:  # a request is logged after its answer
            assert time.monotonic() < deadline
            time.sleep(0.005)
    logged = " ".join(f"{vars(record)} {record.getMessage()}" for record in caplog.records)
    assert "/api/v1/auth/password/forgot" in logged
    for text in (logged, *map(repr, phones.received)):
        assert ada.phone not in text
        assert not {issued.code for issued in phones.received} & set(re.split(r"\W+", text))


def test_a_database_that_is_away_after_the_answer_is_survived(run, caplog):
    """Nobody is left to be told; the next request makes it up."""

    async def lose_the_database(issued):
        raise PyMongoError("away")

    run(users.create_user(name="Ada", role=Role.PATIENT, phone="+15550140001"))
    code_issued.connect(lose_the_database)
    try:
        run(verification.send_reset_code("+15550140001"))
    finally:
        code_issued.disconnect(lose_the_database)
    assert "no code for a forgotten password: PyMongoError" in caplog.text


def test_a_new_account_is_not_verified(api):
    assert api.post("/auth/register", json=registration()).json()["user"]["is_verified"] is False
