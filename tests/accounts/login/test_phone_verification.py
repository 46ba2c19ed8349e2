"""Verifying a phone with a code."""

import pytest

from backend.accounts import users
from backend.accounts.errors import CodeInvalid
from backend.accounts.login import verification
from backend.accounts.login.codes import MOST_AN_HOUR
from tests.accounts.helpers import registration
from tests.accounts.login.support import VERIFICATION, confirm, is_refused


def test_the_code_verifies_the_phone(ada, verification_code):
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


def test_an_account_without_a_phone_gets_no_code(nurse, phones):
    nurse.client.patch("/users/me", json={"phone": None})
    answer = nurse.client.post(VERIFICATION)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "NO_PHONE")
    assert is_refused(confirm(nurse, "000000"))
    assert len(phones) == 0


def test_another_users_code_is_refused(ada, verification_code, patient):
    assert is_refused(confirm(patient, verification_code))
    patient.client.post(VERIFICATION)
    assert confirm(ada, verification_code).status_code == 200


def test_a_code_works_for_its_purpose_only(ada, reset, verification_code, forgot, phones):
    assert is_refused(reset(verification_code))
    forgot()
    code = phones.wait_for(2)
    if code != verification_code:
        assert is_refused(confirm(ada, code))


@pytest.mark.parametrize("route", ["own", "users"])
def test_a_code_sent_to_the_old_phone_does_not_verify_the_new(ada, verification_code, phones, change_phone, route):
    change_phone(route, "+15550140009")
    assert is_refused(confirm(ada, verification_code))
    assert ada.client.get("/users/me").json()["is_verified"] is False
    assert ada.client.post(VERIFICATION).status_code == 202
    assert phones.received[-1].user.phone == "+15550140009"
    assert confirm(ada, phones.wait_for(2)).json()["is_verified"] is True


@pytest.mark.parametrize("route", ["own", "users"])
def test_a_new_phone_is_not_verified(ada, verification_code, change_phone, route):
    assert confirm(ada, verification_code).json()["is_verified"] is True
    change_phone(route, "+15550140001")
    assert ada.client.get("/users/me").json()["is_verified"] is True
    change_phone(route, "+15550140009")
    assert ada.client.get("/users/me").json()["is_verified"] is False


def test_a_new_phone_does_not_reset_the_hourly_limit(ada, phones):
    for n in range(MOST_AN_HOUR + 3):
        ada.client.patch("/users/me", json={"phone": f"+155501401{n:02}"})
        ada.client.post(VERIFICATION)
    assert len(phones) == MOST_AN_HOUR
    assert ada.client.post(VERIFICATION).status_code == 429


def test_a_phone_that_changes_meanwhile_is_not_verified(run, ada, verification_code):
    """The user was read with the old phone, which another request has replaced meanwhile."""
    as_read = run(users.find_by_login(ada.email))
    ada.client.patch("/users/me", json={"phone": "+15550140009"})
    with pytest.raises(CodeInvalid):
        run(verification.verify_phone(as_read, verification_code))
    assert ada.client.get("/users/me").json()["is_verified"] is False


def test_a_new_account_is_not_verified(api):
    assert api.post("/auth/register", json=registration()).json()["user"]["is_verified"] is False
