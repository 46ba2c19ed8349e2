"""One's own account: what may be changed, what null means, and what a patient never sees."""

import json

import pytest

from backend.accounts import users
from tests.accounts.helpers import at_once, codes, registration


def test_patients_change_their_contacts(ada):
    sent = {
        "name": "Ada King",
        "phone": "(555) 014-0009",
        "email": "Countess@Example.com",
        "language": "es",
        "photo_url": "https://example.com/ada.jpg",
    }
    answer = ada.client.patch("/users/me", json=sent)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body == ada.client.get("/users/me").json()
    assert {name: body[name] for name in ("name", "phone", "email", "language", "photo_url")} == {
        "name": "Ada King",
        "phone": "+15550140009",
        "email": "countess@example.com",
        "language": "es",
        "photo_url": "https://example.com/ada.jpg",
    }


def test_fields_left_out_stay(ada):
    ada.client.patch("/users/me", json={"language": "es"})
    body = ada.client.patch("/users/me", json={"photo_url": "https://example.com/a"}).json()
    assert body["language"] == "es"
    assert body["name"] == "Ada Lovelace"
    assert ada.client.patch("/users/me", json={}).status_code == 200


def test_null_removes_optional_values(ada, db):
    fields = {
        "language": "es",
        "photo_url": "https://example.com/a",
    }
    ada.client.patch("/users/me", json=fields)
    body = ada.client.patch("/users/me", json=dict.fromkeys(fields)).json()
    assert [body[name] for name in fields] == [None] * len(fields)
    stored = db.users.find_one({"email": ada.email, "is_active": True})
    assert not {"language", "photo_url"} & stored.keys()


@pytest.mark.parametrize("field", ["name", "email", "phone"])
def test_null_is_refused_for_required_values(ada, field):
    before = ada.client.get("/users/me").json()
    assert ada.client.patch("/users/me", json={field: None}).status_code == 422
    assert ada.client.get("/users/me").json() == before


@pytest.mark.parametrize(
    "field",
    ["role", "is_active", "is_verified", "notes", "medical_history", "assigned_doctor_id", "address", "id"],
)
def test_patients_cannot_change_fields_of_the_staff(ada, field):
    assert ada.client.patch("/users/me", json={field: "admin"}).status_code == 422
    assert ada.client.get("/users/me").json()["role"] == "patient"


@pytest.mark.parametrize(
    "sent",
    [
        {"photo_url": "javascript:alert(1)"},
        {"photo_url": "https://"},
        {"photo_url": "https://[::1"},
        {"photo_url": "https://example.com/" + "a" * 500},
        {"photo_url": "https://example.com/" + "é" * 200},
        {"language": "fr"},
        {"name": "x" * 121},
        [],
        "x",
        None,
    ],
)
def test_malformed_changes_change_nothing(ada, sent):
    before = ada.client.get("/users/me").json()
    answer = ada.client.patch("/users/me", content=json.dumps(sent), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert ada.client.get("/users/me").json() == before


def test_a_taken_email_changes_nothing(api, ada):
    api.post("/auth/register", json=registration(email="b@example.com", phone="+15550140002"))
    before = ada.client.get("/users/me").json()
    by_email = ada.client.patch("/users/me", json={"name": "X", "email": "B@example.com"})
    assert codes([by_email]) == ["EMAIL_TAKEN"]
    assert ada.client.get("/users/me").json() == before


def test_a_new_phone_is_not_yet_verified(ada, db):
    db.users.update_one({"email": ada.email, "is_active": True}, {"$set": {"verified_phone": ada.phone}})
    ada.client.patch("/users/me", json={"email": "new@example.com", "phone": "555 014 0001"})
    assert ada.client.get("/users/me").json()["is_verified"] is True
    ada.client.patch("/users/me", json={"phone": "+15550140009"})
    assert ada.client.get("/users/me").json()["is_verified"] is False


def test_the_new_login_works_and_the_old_one_does_not(ada, log_in):
    ada.client.patch("/users/me", json={"email": "countess@example.com", "phone": "+15550140009"})
    assert log_in(email="countess@example.com").status_code == 200
    assert log_in(email="+15550140009").status_code == 200
    assert log_in(email="ada@example.com").status_code == 401
    assert log_in(email="+15550140001").status_code == 401


def test_staff_can_remove_their_phone(nurse):
    assert nurse.client.patch("/users/me", json={"phone": None}).json()["phone"] is None


def test_everybody_sees_their_own_role(admin, nurse, doctor, patient):
    for person in (admin, nurse, doctor, patient):
        body = person.client.get("/users/me").json()
        assert body["id"] == person.account_id
        assert body["role"] == person.user.role
        assert (body["nurse"] is not None) == (body["role"] == "nurse")
        assert (body["doctor"] is not None) == (body["role"] == "doctor")


def test_a_new_name_is_searchable_and_signalled(ada, admin, run):
    told = []

    async def remember(user):
        told.append((str(user.id), user.name))

    users.user_renamed.connect(remember)
    ada.client.patch("/users/me", json={"name": "Ada King"})
    ada.client.patch("/users/me", json={"name": "Ada King", "language": "en"})
    assert told == [(ada.id, "Ada King")]
    names = [u["name"] for u in admin.client.get("/users", params={"q": "king"}).json()["items"]]
    assert names == ["Ada King"]
    assert admin.client.get("/users", params={"q": "lovelace"}).json()["items"] == []


def test_search_words_match_after_changes_at_once(ada, db):
    for n in range(5):
        answers = at_once(
            lambda n=n: ada.client.patch("/users/me", json={"name": f"Name{n}"}),
            lambda n=n: ada.client.patch("/users/me", json={"email": f"mail{n}@example.com"}),
            lambda n=n: ada.client.patch("/users/me", json={"phone": f"+1555014002{n}"}),
        )
        assert codes(answers) == ["200"] * 3
        stored = db.users.find_one()
        assert {f"name{n}", f"mail{n}", f"1555014002{n}"} <= set(stored["search_words"])
        assert len(stored["search_words"]) == 5
