"""Patients make their own accounts; the unique indexes decide who has an address or a number."""

import json

import pytest

from tests.accounts.helpers import PASSWORD, at_once, bearer, codes, registration


def test_a_patient_who_registers_is_logged_in_at_once(api):
    answer = api.post(
        "/auth/register",
        json=registration(date_of_birth="1985-04-12", gender="female", address="12 Elm Street"),
    )
    assert answer.status_code == 201
    body = answer.json()
    assert body["user"]["role"] == "patient"
    (own,) = api.get("/users/me/patients", headers=bearer(body["access_token"])).json()
    assert (own["name"], own["date_of_birth"], own["relation"]) == ("Ada Lovelace", "1985-04-12", "self")
    record = api.get(f"/patients/{own['patient_id']}", headers=bearer(body["access_token"])).json()
    assert (record["address"], record["gender"], record["phone"]) == ("12 Elm Street", "female", "+15550140001")
    assert body["token_type"] == "bearer"
    me = api.get("/users/me", headers=bearer(body["access_token"]))
    assert me.json() == body["user"]


@pytest.mark.parametrize("role", ["doctor", "nurse", "admin"])
def test_nobody_registers_as_staff(api, db, role):
    answer = api.post("/auth/register", json=registration(role=role))
    assert (answer.status_code, answer.json()["error_code"]) == (403, "ROLE_NOT_ALLOWED")
    assert db.users.count_documents({"role": role}) == 0


def test_the_role_patient_may_be_sent(api):
    assert api.post("/auth/register", json=registration(role="patient")).status_code == 201


@pytest.mark.parametrize(
    "typed", ["(555) 014-0001", "555 014 0001", "+1 555 014 0001", "tel:+1-555-014-0001", "1.555.014.0001"]
)
def test_phones_are_stored_as_e164_however_they_are_typed(api, typed):
    answer = api.post("/auth/register", json=registration(phone=typed))
    assert answer.json()["user"]["phone"] == "+15550140001"


def test_a_number_that_somebody_else_claims_stops_nobody(api, ada):
    answer = api.post("/auth/register", json=registration(email="b@example.com", phone="(555) 014-0001"))
    assert (answer.status_code, answer.json()["user"]["phone"]) == (201, ada.phone)


def test_an_email_in_another_case_is_the_same_email(api, ada):
    answer = api.post("/auth/register", json=registration(email="ADA@Example.COM", phone="+15550140002"))
    assert (answer.status_code, answer.json()["error_code"]) == (409, "EMAIL_TAKEN")


def test_the_same_email_four_times_at_once_makes_one_account(api, db):
    spellings = ["ada@example.com", "Ada@example.com", "ADA@EXAMPLE.COM", "ada@Example.Com"]
    calls = [
        lambda n=n, email=email: api.post("/auth/register", json=registration(email=email, phone=f"+1555014000{n}"))
        for n, email in enumerate(spellings)
    ]
    assert codes(at_once(*calls)) == ["201", "EMAIL_TAKEN", "EMAIL_TAKEN", "EMAIL_TAKEN"]
    assert db.users.count_documents({"email": "ada@example.com", "is_active": True}) == 1


SECRET = "Tr0ub4dor-and-three"


@pytest.mark.parametrize(
    "over",
    [
        {"email": "not an address"},
        {"phone": "12"},
        {"name": ""},
        {"date_of_birth": "2999-01-01"},
        {"surprise": 1},
        {"password": SECRET + "\x00"},
        {"password": SECRET + "\ud800"},
        {"password": SECRET * 20},
        {"password": [SECRET]},
        {"password": {"value": SECRET}},
        {SECRET: "no such field", "email": SECRET},
    ],
)
def test_a_refused_registration_never_repeats_the_password(api, over):
    body = {**registration(password=SECRET), **over}
    content = json.dumps(body)
    answer = api.post("/auth/register", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error_code"] == "VALIDATION_ERROR"
    if SECRET not in over:
        assert SECRET not in answer.text


@pytest.mark.parametrize(
    "bad",
    [
        "\x00" * 8,
        "aaaaaaaa\x00",
        "aaaaaaaa\ud800",
        "aaaaaaa\n",
        "aaaaaaaa\x7f",
        "short",
        "a" * 129,
        12345678,
        None,
    ],
)
def test_passwords_with_control_characters_are_refused(api, bad):
    content = json.dumps(registration(password=bad))
    answer = api.post("/auth/register", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("bad", ["Ada\x00", "Ada\ud800", "\udc00", "A\nB", "   ", "x" * 121])
def test_names_with_control_characters_are_refused(api, bad):
    content = json.dumps(registration(name=bad))
    answer = api.post("/auth/register", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("password", ["  spaces count  ", "пароль-пароль", "💐" * 8, "a" * 128])
def test_any_other_password_works_exactly_as_typed(api, log_in, password):
    assert api.post("/auth/register", json=registration(password=password)).status_code == 201
    assert log_in(password=password).status_code == 200
    assert log_in(password=password[:-1] + "?").status_code == 401


def test_outer_spaces_of_a_password_are_part_of_it(api, log_in):
    api.post("/auth/register", json=registration(password="  spaces count  "))
    assert log_in(password="spaces count").status_code == 401


def test_accents_match_however_a_keyboard_composes_them(api, log_in):
    api.post("/auth/register", json=registration(password="caf\u00e9 caf\u00e9"))
    assert log_in(password="cafe\u0301 cafe\u0301").status_code == 200


def test_no_response_contains_the_hash(api, ada, admin, db):
    stored = db.users.find_one({"email": ada.email, "is_active": True})["password_hash"]
    assert stored.startswith("$argon2id$")
    answers = [
        api.post("/auth/login", json={"email": ada.email, "password": PASSWORD}),
        ada.client.get("/users/me"),
        ada.client.patch("/users/me", json={"name": "Ada King"}),
        admin.client.get("/users"),
        admin.client.get(f"/users/{ada.id}"),
        admin.client.patch(f"/users/{ada.id}", json={"name": "Ada"}),
    ]
    for answer in answers:
        assert answer.is_success
        assert "argon2" not in answer.text
        for hidden in ("password", "sessions", "search_words", "hash"):
            assert f'"{hidden}' not in answer.text
