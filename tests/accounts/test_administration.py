"""Accounts in the hands of administrators, and what even they can't do."""

import asyncio

import pytest
from bson import ObjectId

from backend.accounts.errors import LastAdmin
from backend.accounts.users import deactivate_user
from tests.accounts.helpers import PASSWORD, bearer, codes, registration

NURSE = {
    "role": "nurse",
    "name": "Florence Nightingale",
    "email": "Florence@Example.com",
    "phone": "(555) 014-0100",
    "password": PASSWORD,
}
ADMIN = {"role": "admin", "name": "Second", "email": "second@example.com", "password": PASSWORD}
NOBODY = "671f0c0e9b1d8a0001a1b2c3"


def _second_admin(admin, api):
    """Another administrator's id and headers."""
    made = admin.client.post("/users", json=ADMIN)
    assert made.status_code == 201, made.text
    login = api.post("/auth/login", json={"email": ADMIN["email"], "password": PASSWORD}).json()
    return made.json()["id"], bearer(login["access_token"])


def test_administrators_create_accounts_that_can_log_in(admin, api):
    for body in (NURSE, ADMIN):
        made = admin.client.post("/users", json=body)
        assert made.status_code == 201, made.text
        login = api.post("/auth/login", json={"email": body["email"], "password": PASSWORD})
        assert login.json()["user"]["role"] == body["role"]
        assert login.json()["user"]["email"] == body["email"].lower()


def test_a_nurse_is_assigned_clinics(admin, clinic):
    clinic_id = str(clinic.id)
    made = admin.client.post("/users", json={**NURSE, "clinic_ids": [clinic_id, clinic_id]})
    assert made.json()["nurse"] == {"clinic_ids": [clinic_id]}
    path = f"/users/{made.json()['id']}"
    assert admin.client.patch(path, json={"clinic_ids": []}).json()["nurse"] == {"clinic_ids": []}
    changed = admin.client.patch(path, json={"clinic_ids": [clinic_id], "name": "F."})
    assert (changed.json()["name"], changed.json()["nurse"]["clinic_ids"]) == ("F.", [clinic_id])


def test_a_nurse_is_not_assigned_unknown_clinics(admin, clinic, nurse):
    made = admin.client.post("/users", json={**NURSE, "clinic_ids": [str(clinic.id), NOBODY]})
    assert (made.status_code, made.json()["error_code"]) == (422, "UNKNOWN_CLINIC")
    changed = admin.client.patch(f"/users/{nurse.id}", json={"name": "X", "clinic_ids": [NOBODY]})
    assert (changed.status_code, changed.json()["error_code"]) == (422, "UNKNOWN_CLINIC")
    assert admin.client.get(f"/users/{nurse.id}").json()["name"] == nurse.user.name


def test_a_patients_account_has_a_password_and_a_record(admin, api):
    body = {"role": "patient", "name": "Grace Hopper", "phone": "+15550140101"}
    assert admin.client.post("/users", json=body).status_code == 422
    assert admin.client.post("/users", json={**body, "password": PASSWORD}).status_code == 201
    (record,) = admin.client.get("/patients", params={"q": "grace"}).json()["items"]
    login = api.post("/auth/login", json={"email": "+15550140101", "password": PASSWORD}).json()
    own = api.get("/users/me/patients", headers={"Authorization": f"Bearer {login['access_token']}"}).json()
    assert [each["patient_id"] for each in own] == [record["id"]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**ADMIN, "role": "doctor"}, "DOCTOR_NEEDS_PROFILE"),
        ({**ADMIN, "clinic_ids": []}, "WRONG_ROLE"),
        ({**ADMIN, "role": "king"}, "VALIDATION_ERROR"),
        ({**ADMIN, "password": None}, "VALIDATION_ERROR"),
        ({**ADMIN, "email": None}, "VALIDATION_ERROR"),
        ({**ADMIN, "role": "patient"}, "VALIDATION_ERROR"),
        ({**NURSE, "clinic_ids": None}, "VALIDATION_ERROR"),
        ({**NURSE, "clinic_ids": ["x"]}, "VALIDATION_ERROR"),
        ({**NURSE, "is_active": True}, "VALIDATION_ERROR"),
        ({**NURSE, "password_hash": "x"}, "VALIDATION_ERROR"),
    ],
)
def test_invalid_accounts_are_refused(admin, db, body, code):
    answer = admin.client.post("/users", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert db.users.count_documents({}) == 1


def test_refusing_a_doctor_names_the_route_that_creates_one(admin):
    answer = admin.client.post("/users", json={**ADMIN, "role": "doctor"})
    assert "POST /doctors" in answer.json()["detail"]


def test_a_taken_email_is_refused_and_a_shared_phone_is_not(admin):
    assert admin.client.post("/users", json=NURSE).status_code == 201
    answers = [
        admin.client.post("/users", json={**NURSE, "phone": "+15550140102"}),
        admin.client.post("/users", json={**NURSE, "email": "other@example.com"}),
    ]
    assert codes(answers) == ["201", "EMAIL_TAKEN"]


@pytest.mark.parametrize("role", ["patient", "doctor", "nurse"])
def test_nobody_else_sees_or_touches_accounts(request, role, admin):
    person = request.getfixturevalue(role)
    answers = [
        person.client.get("/users"),
        person.client.post("/users", json=NURSE),
        person.client.get(f"/users/{person.id}"),
        person.client.get(f"/users/{admin.id}"),
        person.client.patch(f"/users/{admin.id}", json={"name": "X"}),
        person.client.delete(f"/users/{admin.id}"),
        person.client.get(f"/users/{NOBODY}"),
    ]
    assert codes(answers) == ["NOT_ALLOWED"] * len(answers)


def test_the_list_is_by_name_and_in_pages(admin, nurse, doctor, patient):
    seen, cursor = [], None
    for _ in range(10):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = admin.client.get("/users", params=params).json()
        seen += [user["name"] for user in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen)
    assert {admin.user.name, nurse.user.name, doctor.user.name, patient.user.name} <= set(seen)
    assert len(seen) == len(set(seen))


def test_the_list_is_filtered(admin, nurse, patient, api):
    api.post("/auth/register", json=registration())
    ada = admin.client.get("/users", params={"q": "lovel ada@example"}).json()["items"]
    assert [user["email"] for user in ada] == ["ada@example.com"]
    admin.client.delete(f"/users/{ada[0]['id']}")

    def ids(**params):
        return {user["id"] for user in admin.client.get("/users", params=params).json()["items"]}

    assert ids(role="nurse") == {nurse.id}
    assert ids(is_active=False) == {ada[0]["id"]}
    assert ids(role="patient", is_active=True) == {patient.account_id}
    assert ids(role="patient", is_active=False, q="ada", limit=1) == {ada[0]["id"]}
    assert ids(q="...") == set()
    assert ids(q="15550140001") == {ada[0]["id"]}
    assert admin.client.get("/users", params={"role": "king"}).status_code == 422
    assert admin.client.get("/users", params={"cursor": "nonsense"}).json()["error_code"] == "BAD_CURSOR"


def test_one_account_is_read_by_id(admin, patient):
    assert admin.client.get(f"/users/{patient.account_id}").json()["name"] == patient.user.name
    assert admin.client.get("/users/nonsense").status_code == 422
    answers = [
        admin.client.get(f"/users/{NOBODY}"),
        admin.client.patch(f"/users/{NOBODY}", json={"name": "X"}),
        admin.client.delete(f"/users/{NOBODY}"),
    ]
    assert codes(answers) == ["USER_NOT_FOUND"] * 3


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"role": "admin"}, "VALIDATION_ERROR"),
        ({"is_active": False}, "VALIDATION_ERROR"),
        ({"is_active": None}, "VALIDATION_ERROR"),
        ({"name": None}, "VALIDATION_ERROR"),
        ({"email": None}, "VALIDATION_ERROR"),
        ({"password": None}, "VALIDATION_ERROR"),
        ({"clinic_ids": None}, "VALIDATION_ERROR"),
        ({"notes": "x"}, "VALIDATION_ERROR"),
        ({"phone": None}, "PHONE_REQUIRED"),
        ({"clinic_ids": []}, "WRONG_ROLE"),
    ],
)
def test_invalid_changes_are_refused(admin, patient, sent, code):
    before = admin.client.get(f"/users/{patient.account_id}").json()
    answer = admin.client.patch(f"/users/{patient.account_id}", json=sent)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert admin.client.get(f"/users/{patient.account_id}").json() == before


def test_an_administrators_new_password_closes_all_sessions(admin, api, ada, log_in):
    assert admin.client.patch(f"/users/{ada.id}", json={"password": "given at the desk"}).status_code == 200
    assert ada.client.get("/users/me").status_code == 401
    refused = api.post("/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert refused.json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert log_in().status_code == 401
    assert log_in(password="given at the desk").status_code == 200


def test_deactivating_keeps_the_account_and_may_be_repeated(admin, ada, db):
    for _ in range(2):
        assert admin.client.delete(f"/users/{ada.id}").status_code == 204
    assert admin.client.get(f"/users/{ada.id}").json()["is_active"] is False
    assert db.sessions.count_documents({"user_id": ObjectId(ada.id)}) == 0
    assert admin.client.patch(f"/users/{ada.id}", json={"is_active": True}).json()["is_active"] is True


def test_administrators_do_not_lock_themselves_out(admin, api):
    _second_admin(admin, api)
    answers = [
        admin.client.delete(f"/users/{admin.id}"),
        admin.client.patch(f"/users/{admin.id}", json={"password": "another password"}),
    ]
    assert codes(answers) == ["OWN_ACCOUNT", "OWN_ACCOUNT"]
    assert admin.client.patch(f"/users/{admin.id}", json={"name": "Still me"}).status_code == 200


def test_administrators_deactivate_each_other(admin, api):
    second, headers = _second_admin(admin, api)
    assert admin.client.delete(f"/users/{second}").status_code == 204
    assert api.get("/users", headers=headers).status_code == 401


def test_the_last_administrator_stays(run, admin):
    with pytest.raises(LastAdmin):
        run(deactivate_user(admin.object_id))
    assert admin.client.get("/users").status_code == 200


def test_of_two_admins_who_deactivate_each_other_one_stays(run, admin, api, db):
    second = ObjectId(_second_admin(admin, api)[0])

    async def both() -> list[object]:
        return await asyncio.gather(deactivate_user(admin.object_id), deactivate_user(second), return_exceptions=True)

    for _ in range(10):
        refused = [outcome for outcome in run(both()) if isinstance(outcome, LastAdmin)]
        assert refused
        assert db.users.count_documents({"role": "admin", "is_active": True}) == len(refused)
        db.users.update_many({"role": "admin"}, {"$set": {"is_active": True}})


def test_doctors_are_deactivated_with_the_doctors_route(admin, doctor):
    answers = [
        admin.client.delete(f"/users/{doctor.id}"),
        admin.client.patch(f"/users/{doctor.id}", json={"is_active": True}),
    ]
    assert codes(answers) == ["USE_DOCTORS_ROUTE", "USE_DOCTORS_ROUTE"]
    assert "DELETE /doctors/{id}" in answers[0].json()["detail"]
    assert doctor.client.get("/users/me").status_code == 200
    assert admin.client.patch(f"/users/{doctor.id}", json={"name": "Dr. Who"}).json()["name"] == "Dr. Who"
