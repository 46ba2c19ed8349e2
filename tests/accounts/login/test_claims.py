"""Whose number it is: that account's which proved it last. What is only claimed stops nobody."""

import asyncio

import pytest

from backend.accounts import repository
from tests.accounts.helpers import PASSWORD, registration
from tests.accounts.login.support import NEW_PASSWORD, VERIFICATION, confirm
from tests.factories import make_user

NUMBER = "+15550140001"


@pytest.fixture
def prove(phones):
    """Proves a person's phone with the code that it was sent."""

    def go(person):
        before = len(phones)
        assert person.client.post(VERIFICATION).status_code == 202
        assert confirm(person, phones.wait_for(before + 1)).status_code == 200

    return go


def is_verified(person):
    return person.client.get("/users/me").json()["is_verified"]


def logged_in_as(api, login):
    answer = api.post("/auth/login", json={"email": login, "password": PASSWORD})
    return answer.json()["user"]["id"] if answer.is_success else answer.json()["error_code"]


def test_the_only_claim_logs_in_with_the_number(api, ada):
    assert logged_in_as(api, NUMBER) == ada.id


def test_of_several_claims_none_logs_in_with_the_number(api, ada):
    other = api.post("/auth/register", json=registration(email="b@example.com")).json()["user"]["id"]
    assert logged_in_as(api, NUMBER) == "INVALID_CREDENTIALS"
    assert (logged_in_as(api, ada.email), logged_in_as(api, "b@example.com")) == (ada.id, other)


def test_the_account_that_proved_the_number_logs_in_with_it(api, ada, prove):
    for n in range(3):
        api.post("/auth/register", json=registration(email=f"b{n}@example.com"))
    prove(ada)
    assert logged_in_as(api, NUMBER) == ada.id


def test_a_later_proof_takes_the_number(api, run, ada, prove):
    thief = make_user(run, "patient", phone=NUMBER)
    prove(thief)
    assert (is_verified(thief), is_verified(ada)) == (True, False)
    prove(ada)
    assert (is_verified(thief), is_verified(ada)) == (False, True)
    assert logged_in_as(api, NUMBER) == ada.id


def test_a_new_password_by_sms_proves_the_number_too(api, run, ada, prove, forgot, reset, phones):
    other = make_user(run, "patient", phone=NUMBER)
    prove(other)
    forgot(ada.email)
    assert reset(phones.wait_for(2), login=ada.email).status_code == 204
    assert is_verified(other) is False
    answer = api.post("/auth/login", json={"email": NUMBER, "password": NEW_PASSWORD})
    assert answer.json()["user"]["id"] == ada.id


def test_of_proofs_at_once_one_holds_the_number(run, db):
    people = [make_user(run, "patient", phone=NUMBER) for _ in range(4)]

    async def all_at_once():
        proofs = (repository.mark_phone_verified(each.user.user_id, NUMBER) for each in people)
        return await asyncio.gather(*proofs)

    assert None not in run(all_at_once())
    assert db.users.count_documents({"verified_phone": NUMBER, "is_active": True}) == 1


def test_deactivating_an_account_frees_its_email_and_number(api, admin, ada, prove):
    prove(ada)
    assert admin.client.delete(f"/users/{ada.id}").status_code == 204
    answer = api.post("/auth/register", json=registration())
    assert answer.status_code == 201
    new = answer.json()["user"]["id"]
    assert logged_in_as(api, NUMBER) == logged_in_as(api, ada.email) == new

    back = admin.client.patch(f"/users/{ada.id}", json={"is_active": True})
    assert (back.status_code, back.json()["error_code"]) == (409, "EMAIL_TAKEN")
    moved = admin.client.patch(f"/users/{ada.id}", json={"is_active": True, "email": "old@example.com"})
    assert moved.status_code == 200
