"""Codes by SMS: their limits, and what is stored and logged of them."""

import hashlib
import logging
import re
import time
from datetime import timedelta

import pytest

from backend.accounts.documents import Role
from backend.accounts.login.codes import MOST_AN_HOUR, TRIES
from backend.core import clock
from tests import factories
from tests.accounts.helpers import at_once, codes
from tests.accounts.login.support import MINUTES, VERIFICATION, confirm, is_refused, other_than


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "12345\n6", 123456, None])
def test_a_code_is_six_digits(reset, ada, code):
    for answer in (reset(code), confirm(ada, code)):
        assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")


def test_a_code_expires_after_ten_minutes(reset, reset_code, db):
    with clock.shifted(10 * MINUTES):
        assert db.one_time_codes.count_documents({}) == 1
        assert is_refused(reset(reset_code))
    with clock.shifted(10 * MINUTES - timedelta(seconds=30)):
        assert reset(reset_code).status_code == 204


def test_a_code_is_void_after_five_wrong_guesses(run, ada, verification_code, phones):
    for _ in range(TRIES - 1):
        assert is_refused(confirm(ada, other_than(verification_code)))
    assert confirm(ada, verification_code).status_code == 200

    grace = factories.make_user(run, Role.PATIENT)
    grace.client.post(VERIFICATION)
    code = phones.wait_for(2)
    for _ in range(TRIES):
        assert is_refused(confirm(grace, other_than(code)))
    assert is_refused(confirm(grace, code))


def test_parallel_guesses_have_no_more_tries(ada, verification_code, db):
    guesses = [lambda n=n: confirm(ada, other_than(f"{int(verification_code) + n:06}")) for n in range(30)]
    assert codes(at_once(*guesses)) == ["CODE_INVALID"] * 30
    assert db.one_time_codes.find_one()["tries_left"] == 0
    assert is_refused(confirm(ada, verification_code))


def test_a_new_code_replaces_the_one_before(reset, forgot, reset_code, phones):
    with clock.shifted(MINUTES):
        forgot()
        second = phones.wait_for(2)
        if second != reset_code:
            assert is_refused(reset(reset_code))
        assert reset(second).status_code == 204


def test_within_a_minute_no_other_code_is_sent(run, ada, verification_code, phones):
    assert ada.client.post(VERIFICATION).status_code == 202
    with clock.shifted(timedelta(seconds=50)):
        answer = ada.client.post(VERIFICATION)
    assert (answer.status_code, answer.json()) == (202, {"expires_in": 600, "resend_after": 60})
    assert len(phones) == 1
    assert confirm(ada, verification_code).status_code == 200


def test_of_many_requests_at_once_one_sends_a_code(ada, phones, db):
    assert codes(at_once(*[lambda: ada.client.post(VERIFICATION)] * 10)) == ["202"] * 10
    assert len(phones) == 1
    with clock.shifted(MINUTES):
        assert codes(at_once(*[lambda: ada.client.post(VERIFICATION)] * 10)) == ["202"] * 10
    assert len(phones) == 2
    assert len(db.one_time_codes.find_one()["issues"]) == 2


def test_a_sixth_code_within_an_hour_is_refused(ada, phones):
    for n in range(MOST_AN_HOUR):
        with clock.shifted(2 * n * MINUTES):
            assert ada.client.post(VERIFICATION).status_code == 202
    assert len(phones) == MOST_AN_HOUR
    with clock.shifted(10 * MINUTES):
        refused = ada.client.post(VERIFICATION)
        assert (refused.status_code, refused.json()["error_code"]) == (429, "TOO_MANY_REQUESTS")
        assert 49 * 60 < int(refused.headers["Retry-After"]) <= 50 * 60
    assert len(phones) == MOST_AN_HOUR


def test_the_hourly_limit_is_a_sliding_window(run, patient, phones):
    for n in range(MOST_AN_HOUR):
        with clock.shifted(2 * n * MINUTES):
            patient.client.post(VERIFICATION)
    for minutes, status, number in ((59, 429, 5), (60, 202, 6), (61, 429, 6), (62, 202, 7)):
        with clock.shifted(minutes * MINUTES + timedelta(seconds=1)):
            asking = factories.log_in(run, patient.user)
            assert asking.client.post(VERIFICATION).status_code == status, minutes
            assert len(phones) == number


def test_the_database_stores_neither_code_nor_phone(ada, reset_code, db):
    stored = str(db.one_time_codes.find_one())
    assert reset_code not in stored.replace(ada.id, "")
    assert ada.phone not in stored


def test_stored_hashes_of_codes_are_keyed(verification_code, db):
    """A hash without a key gives its code away in a second."""
    stored = db.one_time_codes.find_one()
    plain = (verification_code, stored["_id"] + verification_code, f"{stored['_id']}\n{verification_code}")
    assert stored["code_hash"] not in {hashlib.sha256(text.encode()).hexdigest() for text in plain}


def test_a_code_is_deleted_after_an_hour(reset_code, db):
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
