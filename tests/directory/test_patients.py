"""Patients' records: who enters them, who sees them, who changes what."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role, User
from backend.core.clock import stopped
from backend.directory import patients
from tests.directory.support import NOWHERE, at_once, changed, code, faults, made, names, pages, read
from tests.factories import Person, Run, make_user

STAFF = ("admin", "nurse", "doctor")
RECORD: dict[str, Any] = {
    "name": "Charles Babbage",
    "email": "Charles@Example.com",
    "phone": "(212) 555-0160",
    "language": "es",
    "date_of_birth": "1951-12-26",
    "gender": "male",
    "address": "1 Dorset Street\nSpringfield",
    "blood_group": "AB-",
    "allergies": ["penicillin", "latex", "penicillin"],
    "emergency_contact": {"name": "Georgiana Babbage", "phone": "212-555-0161", "relationship": "wife"},
    "medical_history": "Asthma.",
    "notes": "Always late.",
}

DEACTIVATED: list[User] = []


@patients.patient_deactivated.connect
async def _remember(user: User) -> None:
    DEACTIVATED.append(user)


@pytest.fixture
def charles(admin: Person, doctor: Person) -> dict[str, Any]:
    """A patient with every field, entered by the staff."""
    return made(admin.client, "/patients", {**RECORD, "assigned_doctor_id": doctor.id})


def test_a_walk_in_needs_only_a_name(nurse: Person, db: Any) -> None:
    answer = made(nurse.client, "/patients", {"name": "Jane Doe"})

    assert answer["is_active"] is True
    assert answer["has_login"] is False
    assert answer["allergies"] == []
    empty = answer.keys() - {"id", "name", "is_active", "has_login", "allergies", "sms_opted_out"}
    assert {answer[name] for name in empty - {"created_at", "updated_at"}} == {None}
    stored = db.users.find_one({"name": "Jane Doe"}, hint="_id_")
    assert stored["role"] == "patient"
    assert not {"email", "phone", "password_hash"} & stored.keys()


def test_many_patients_may_have_neither_phone_nor_email(nurse: Person) -> None:
    for _ in range(3):
        made(nurse.client, "/patients", {"name": "Jane Doe"})

    assert names(nurse.client, "/patients") == ["Jane Doe"] * 3


def test_a_record_is_kept_whole(charles: dict[str, Any], doctor: Person) -> None:
    assert charles == {
        **RECORD,
        "id": charles["id"],
        "email": "charles@example.com",
        "phone": "+12125550160",
        "allergies": ["penicillin", "latex"],
        "emergency_contact": {"name": "Georgiana Babbage", "phone": "+12125550161", "relationship": "wife"},
        "assigned_doctor_id": doctor.id,
        "photo_url": None,
        "sms_opted_out": False,
        "has_login": False,
        "is_active": True,
        "created_at": charles["created_at"],
        "updated_at": charles["updated_at"],
    }
    assert read(doctor.client, f"/patients/{charles['id']}") == charles


def test_each_role_has_its_access_to_a_record(everybody: dict[str, httpx.Client], charles: dict[str, Any]) -> None:
    path = f"/patients/{charles['id']}"
    not_logged_in, not_allowed, not_there = (
        (401, "NOT_AUTHENTICATED"),
        (403, "NOT_ALLOWED"),
        (404, "PATIENT_NOT_FOUND"),
    )
    expected = {
        "nobody": [not_logged_in] * 5,
        "patient": [not_allowed, not_allowed, not_there, not_there, not_allowed],
        "doctor": [(200, None), (201, None), (200, None), (200, None), not_allowed],
        "nurse": [(200, None), (201, None), (200, None), (200, None), (204, None)],
        "admin": [(200, None), (201, None), (200, None), (200, None), (204, None)],
    }

    for who, client in everybody.items():
        answers = [
            client.get("/patients"),
            client.post("/patients", json={"name": "Walk-in"}),
            client.get(path),
            client.patch(path, json={"address": f"with {who}"}),
            client.delete(path),
        ]
        assert [code(answer) for answer in answers] == expected[who], who


def test_patients_see_only_themselves_and_no_notes(
    admin: Person, patient: Person, charles: dict[str, Any], run: Run[Any]
) -> None:
    path = f"/patients/{patient.id}"
    changed(admin.client, path, notes="Difficult.", medical_history="Asthma.")
    others = [charles["id"], make_user(run, Role.PATIENT).id, admin.id, NOWHERE]

    for answer in (read(patient.client, path), changed(patient.client, path, address="Here")):
        assert answer["medical_history"] == "Asthma."
        assert not {"notes", "has_login"} & answer.keys()
        assert "Difficult" not in str(answer)
    for each in others:
        assert code(patient.client.get(f"/patients/{each}")) == (404, "PATIENT_NOT_FOUND")
        assert code(patient.client.patch(f"/patients/{each}", json={"name": "x"})) == (
            404,
            "PATIENT_NOT_FOUND",
        )


def test_a_patient_changes_contact_and_personal_data(patient: Person) -> None:
    fields = {
        **{name: RECORD[name] for name in ("name", "language", "date_of_birth", "gender", "address")},
        "blood_group": "O+",
        "allergies": ["nuts"],
        "email": "new@example.com",
        "phone": "+12125550162",
        "photo_url": "https://example.com/me.jpg",
        "emergency_contact": {"name": "Mum", "phone": "+12125550163", "relationship": None},
    }

    assert fields.items() <= changed(patient.client, f"/patients/{patient.id}", **fields).items()


@pytest.mark.parametrize("value", ["set", "null"])
def test_patients_cannot_change_fields_of_the_staff(patient: Person, doctor: Person, db: Any, value: str) -> None:
    before = db.users.find_one({"_id": patient.object_id})
    theirs: dict[str, Any] = {
        "notes": "Nice.",
        "medical_history": "Healthy.",
        "assigned_doctor_id": doctor.id,
    }
    if value == "null":
        theirs = dict.fromkeys(theirs, None)

    answer = patient.client.patch(f"/patients/{patient.id}", json={"address": "Here", **theirs})

    assert code(answer) == (403, "FIELD_NOT_ALLOWED")
    assert answer.json()["fields"] == ["assigned_doctor_id", "medical_history", "notes"]
    for field, sent in theirs.items():
        alone = patient.client.patch(f"/patients/{patient.id}", json={field: sent})
        assert alone.json()["fields"] == [field]
    active = patient.client.patch(f"/patients/{patient.id}", json={"is_active": True})
    assert active.json()["fields"] == ["is_active"]
    assert db.users.find_one({"_id": patient.object_id}) == before


def test_patients_cannot_remove_their_phone_or_email(patient: Person) -> None:
    path = f"/patients/{patient.id}"

    assert code(patient.client.patch(path, json={"phone": None})) == (422, "PHONE_REQUIRED")
    assert code(patient.client.patch(path, json={"email": None})) == (422, "EMAIL_REQUIRED")


def test_fields_left_out_stay_and_null_removes(doctor: Person, charles: dict[str, Any], db: Any) -> None:
    path = f"/patients/{charles['id']}"
    emptied = (
        *("email", "phone", "language", "date_of_birth", "gender", "address", "blood_group"),
        *("emergency_contact", "medical_history", "notes", "assigned_doctor_id"),
    )

    assert changed(doctor.client, path, notes="New.") == {
        **charles,
        "notes": "New.",
        "updated_at": read(doctor.client, path)["updated_at"],
    }
    now = changed(doctor.client, path, allergies=[], **dict.fromkeys(emptied, None))

    assert {now[name] for name in emptied} == {None}
    assert now["allergies"] == []
    stored = db.users.find_one({"name": charles["name"]}, hint="_id_")
    assert not set(emptied) & (stored.keys() | stored["patient"].keys())
    for field in ("name", "allergies", "is_active"):
        assert faults(doctor.client.patch(path, json={field: None})) == [field]


def test_a_new_phone_is_not_yet_verified(patient: Person, nurse: Person, db: Any) -> None:
    db.users.update_one({"_id": patient.object_id}, {"$set": {"is_verified": True}})

    changed(nurse.client, f"/patients/{patient.id}", phone="+12125550169")

    assert db.users.find_one({"_id": patient.object_id})["is_verified"] is False


def test_the_assigned_doctor_is_an_active_doctor(
    admin: Person, nurse: Person, doctor: Person, charles: dict[str, Any]
) -> None:
    path = f"/patients/{charles['id']}"
    for each in (nurse.id, admin.id, charles["id"], NOWHERE):
        refused = nurse.client.patch(path, json={"assigned_doctor_id": each, "notes": "x"})
        assert code(refused) == (422, "UNKNOWN_DOCTOR")
        refused = nurse.client.post("/patients", json={"name": "x", "assigned_doctor_id": each})
        assert code(refused) == (422, "UNKNOWN_DOCTOR")
    assert read(nurse.client, path)["notes"] == RECORD["notes"]

    assert admin.client.delete(f"/doctors/{doctor.id}").status_code == 200

    # Whoever was assigned stays so, also when the whole record is sent back.
    assert changed(nurse.client, path, assigned_doctor_id=doctor.id)["assigned_doctor_id"] == doctor.id
    refused = nurse.client.post("/patients", json={"name": "x", "assigned_doctor_id": doctor.id})
    assert code(refused) == (422, "UNKNOWN_DOCTOR")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date_of_birth", "9999-12-31"),
        ("date_of_birth", "1899-12-31"),
        ("date_of_birth", "2001-02-29"),
        ("date_of_birth", "10000-01-01"),
        ("date_of_birth", 0),
        ("date_of_birth", 1e400),
        ("date_of_birth", "2001-01-01T00:00:01"),
        ("gender", "m"),
        ("blood_group", "C+"),
        ("allergies", ["x"] * 51),
        ("allergies", [None]),
        ("allergies", "nuts"),
        ("emergency_contact", {"name": "Mum"}),
        ("emergency_contact", {"name": "Mum", "phone": "12"}),
        ("emergency_contact", {"name": "Mum", "phone": "+12125550163", "age": 3}),
        ("address", "x" * 2001),
        ("notes", "x" * 2001),
        ("phone", "+1" + "9" * 30),
        ("email", "a@b"),
        ("language", "de"),
        ("assigned_doctor_id", "x"),
        ("assigned_doctor_id", 12),
        ("role", "admin"),
        ("password", "correct horse battery"),
        ("password_hash", "x"),
        ("sms_opted_out", True),
        ("is_active", False),
    ],
)
def test_a_records_fields_have_bounds(nurse: Person, patient: Person, field: str, value: object) -> None:
    body = {field: "+inf" if value == float("inf") else value}
    for answer in (
        nurse.client.post("/patients", json={"name": "x", **body}),
        nurse.client.patch(f"/patients/{patient.id}", json=body),
        patient.client.patch(f"/patients/{patient.id}", json=body),
    ):
        assert all(fault.split(".")[0] == field for fault in faults(answer))


def test_a_date_of_birth_is_not_in_the_future(nurse: Person) -> None:
    with stopped(datetime(2026, 11, 21, 9, tzinfo=UTC)):
        assert code(nurse.client.post("/patients", json={"name": "x", "date_of_birth": "2026-11-21"})) == (
            201,
            None,
        )
        answer = nurse.client.post("/patients", json={"name": "x", "date_of_birth": "2026-11-22"})
    assert faults(answer) == ["date_of_birth"]


def test_contact_belongs_to_one_account(nurse: Person, doctor: Person, charles: dict[str, Any]) -> None:
    other = made(nurse.client, "/patients", {"name": "x"})

    for taken, expected in (
        ({"email": "CHARLES@example.com"}, "EMAIL_TAKEN"),
        ({"phone": "1 212 555 0160"}, "PHONE_TAKEN"),
        ({"email": doctor.user.email}, "EMAIL_TAKEN"),
    ):
        assert code(nurse.client.post("/patients", json={"name": "x", **taken})) == (409, expected)
        assert code(nurse.client.patch(f"/patients/{other['id']}", json=taken)) == (409, expected)


def test_of_patients_with_one_phone_at_once_one_is_created(nurse: Person) -> None:
    bodies = [{"name": "x", "phone": phone} for phone in ("+12125550170", "212 555 0170", "(212) 555-0170")]

    answers = at_once(*(lambda body=body: nurse.client.post("/patients", json=body) for body in bodies))

    assert sorted(map(code, answers), key=str) == [(201, None), *[(409, "PHONE_TAKEN")] * 2]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("babb", True),
        ("BABBAGE char", True),
        ("charles@example.com", True),
        ("+12125550160", True),
        ("1212555", True),
        ("2125550160", True),
        ("(212) 555-0160", True),
        ("+1 212 555 0160", True),
        ("212-555", True),
        ("555-0160", False),
        ("+2125550160", False),
        ("dorset", False),
        ("asthma", False),
        ("abbage", False),
    ],
)
def test_patients_are_found_by_name_and_contact(nurse: Person, charles: dict[str, Any], q: str, found: bool) -> None:
    made(nurse.client, "/patients", {"name": "Somebody Else"})

    assert names(nurse.client, "/patients", q=q) == (["Charles Babbage"] if found else [])


def test_a_list_shows_patients_only_and_no_medical_data(
    nurse: Person, doctor: Person, charles: dict[str, Any]
) -> None:
    [row] = read(nurse.client, "/patients")["items"]

    assert row == {
        name: charles[name]
        for name in ("id", "name", "email", "phone", "date_of_birth", "assigned_doctor_id", "is_active")
    }
    assert names(nurse.client, "/patients", q="doctor") == []


def test_a_doctors_own_patients(nurse: Person, doctor: Person, charles: dict[str, Any]) -> None:
    made(nurse.client, "/patients", {"name": "Somebody Else"})

    assert names(doctor.client, "/patients", assigned_doctor_id=doctor.id) == ["Charles Babbage"]
    assert names(doctor.client, "/patients", assigned_doctor_id=doctor.id, q="else") == []
    assert names(doctor.client, "/patients", assigned_doctor_id=NOWHERE) == []


def test_pages_are_stable_while_patients_are_created(nurse: Person) -> None:
    for name in "bdf":
        made(nurse.client, "/patients", {"name": name})
    first = read(nurse.client, "/patients", limit=2)
    for name in ("a", "c", "d", "e"):
        made(nurse.client, "/patients", {"name": name})

    second = read(nurse.client, "/patients", limit=10, cursor=first["next_cursor"])

    assert [p["name"] for p in first["items"] + second["items"]] == ["b", "d", "d", "e", "f"]
    assert [len(page) for page in pages(nurse.client, "/patients", limit=3)] == [3, 3, 1]


def test_deactivating_a_patient_logs_out_and_sends_the_signal(
    admin: Person, nurse: Person, patient: Person, db: Any
) -> None:
    path = f"/patients/{patient.id}"
    DEACTIVATED.clear()

    assert [nurse.client.delete(path).status_code for _ in range(2)] == [204, 204]

    assert [(user.user_id, user.is_active) for user in DEACTIVATED] == [(patient.object_id, False)] * 2
    assert patient.client.get(path).status_code == 401
    assert read(nurse.client, path)["is_active"] is False
    assert names(nurse.client, "/patients") == []
    assert names(nurse.client, "/patients", is_active=False) == [patient.user.name]
    assert db.users.find_one({"_id": patient.object_id})["sessions"] == []

    assert changed(nurse.client, path, is_active=True)["is_active"] is True
    assert patient.client.get(path).status_code == 401


def test_deactivating_a_patients_account_sends_the_signal_too(admin: Person, patient: Person, nurse: Person) -> None:
    DEACTIVATED.clear()

    assert admin.client.delete(f"/users/{patient.id}").status_code == 204
    assert admin.client.delete(f"/users/{nurse.id}").status_code == 204

    assert [user.user_id for user in DEACTIVATED] == [patient.object_id]


def test_doctors_cannot_reactivate_patients(nurse: Person, doctor: Person, patient: Person) -> None:
    nurse.client.delete(f"/patients/{patient.id}")

    answer = doctor.client.patch(f"/patients/{patient.id}", json={"is_active": True, "notes": "x"})

    assert code(answer) == (403, "FIELD_NOT_ALLOWED")
    assert answer.json()["fields"] == ["is_active"]


def test_other_users_are_not_found_as_patients(admin: Person, nurse: Person, doctor: Person) -> None:
    for each in (admin.id, nurse.id, doctor.id, NOWHERE):
        path = f"/patients/{each}"
        answers = [
            admin.client.get(path),
            admin.client.patch(path, json={"name": "x"}),
            admin.client.delete(path),
        ]
        assert [code(answer) for answer in answers] == [(404, "PATIENT_NOT_FOUND")] * 3
    assert read(admin.client, "/users", q=doctor.user.name)["items"][0]["is_active"] is True
