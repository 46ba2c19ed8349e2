"""Patients' records: who enters them, who sees them, who changes what."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core.clock import stopped
from backend.patients.documents import Patient
from backend.patients.records import patient_deactivated
from tests.directory.support import NOWHERE, changed, code, faults, made, names, pages, read
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

DEACTIVATED: list[Patient] = []


@patient_deactivated.connect
async def _remember(patient: Patient) -> None:
    DEACTIVATED.append(patient)


@pytest.fixture
def charles(admin: Person, doctor: Person) -> dict[str, Any]:
    """A patient with every field, entered by the staff."""
    return made(admin.client, "/patients", {**RECORD, "assigned_doctor_id": doctor.id})


def test_a_walk_in_needs_only_a_name(nurse: Person, db: Any) -> None:
    answer = made(nurse.client, "/patients", {"name": "Jane Doe"})

    assert answer["is_active"] is True
    assert answer["has_login"] is False
    assert answer["allergies"] == []
    empty = answer.keys() - {
        "id",
        "name",
        "is_active",
        "has_login",
        "allergies",
        "sms_opted_out",
        "phone_verified",
        "merged",
    }
    assert {answer[name] for name in empty - {"created_at", "updated_at"}} == {None}
    stored = db.patients.find_one({"name": "Jane Doe"}, hint="_id_")
    assert not {"email", "phone"} & stored.keys()
    assert db.users.count_documents({"role": "patient"}) == 0


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
        "phone_verified": False,
        "merged": [],
        "inactive_reason": None,
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
        "nurse": [(200, None), (201, None), (200, None), (200, None), (200, None)],
        "admin": [(200, None), (201, None), (200, None), (200, None), (200, None)],
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
        assert not {"notes", "has_login", "phone_verified", "inactive_reason"} & answer.keys()
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
    before = db.patients.find_one({"_id": patient.object_id})
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
    assert db.patients.find_one({"_id": patient.object_id}) == before


def test_patients_cannot_remove_the_phone_of_their_reminders(patient: Person) -> None:
    path = f"/patients/{patient.id}"

    assert code(patient.client.patch(path, json={"phone": None})) == (422, "PHONE_REQUIRED")
    assert changed(patient.client, path, email=None)["email"] is None


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
    stored = db.patients.find_one({"name": charles["name"]}, hint="_id_")
    assert not set(emptied) & stored.keys()
    for field in ("name", "allergies", "is_active"):
        assert faults(doctor.client.patch(path, json={field: None})) == [field]


def test_a_new_phone_of_the_record_leaves_the_login_as_it_is(patient: Person, nurse: Person, db: Any) -> None:
    before = db.users.find_one({"_id": patient.user.id})

    changed(nurse.client, f"/patients/{patient.id}", phone="+12125550169", email="new@example.com")

    assert db.users.find_one({"_id": patient.user.id}) == before


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


def test_a_family_shares_phone_and_email(nurse: Person, doctor: Person, charles: dict[str, Any]) -> None:
    shared = {"phone": charles["phone"], "email": charles["email"]}
    child = made(nurse.client, "/patients", {"name": "Henry Babbage", **shared})
    other = made(nurse.client, "/patients", {"name": "x"})

    assert shared.items() <= child.items()
    assert shared.items() <= changed(nurse.client, f"/patients/{other['id']}", **shared).items()
    assert changed(nurse.client, f"/patients/{other['id']}", email=doctor.user.email)["email"] == doctor.user.email


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
        ("555-0160", True),
        ("0160", True),
        ("160", False),
        ("babbage 0160", True),
        ("babbage 0161", False),
        ("1951-12-26 charles", True),
        ("1951-12-27 charles", False),
        ("1951-12-26", True),
        ("+2125550160", False),
        ("dorset", False),
        ("asthma", False),
        ("abbage", False),
    ],
)
def test_patients_are_found_by_name_and_contact(nurse: Person, charles: dict[str, Any], q: str, found: bool) -> None:
    made(nurse.client, "/patients", {"name": "Somebody Else"})

    assert names(nurse.client, "/patients", q=q) == (["Charles Babbage"] if found else [])


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Lech Wałęsa", "Walesa"),
        ("Lech Wałęsa", "wałęsa"),
        ("Martin Ødegård", "Odegard"),
        ("Sinéad O'Connor", "OConnor"),
        ("Sinéad OConnor", "O'Connor"),
        ("Sinéad O’Connor", "oconnor sinead"),
        ("Rip Van Kirk", "VanKirk"),
        ("Rip VanKirk", "Van Kirk"),
        ("Ann MacDonald", "Mac Donald"),
        ("Ann Mac Donald", "MacDonald ann"),
        ("Günter Grass", "gunter gras"),
        ("Jürgen Groß", "gross"),
        ("Łukasz Żak", "lukasz zak"),
    ],
)
def test_a_name_is_found_as_a_caller_spells_it(nurse: Person, name: str, typed: str) -> None:
    made(nurse.client, "/patients", {"name": name})
    made(nurse.client, "/patients", {"name": "Somebody Else"})

    assert names(nurse.client, "/patients", q=typed) == [name]


def test_date_of_birth_and_last_digits_narrow_a_list(nurse: Person, charles: dict[str, Any]) -> None:
    made(nurse.client, "/patients", {"name": "Charles Other", "date_of_birth": "1951-12-26"})

    assert names(nurse.client, "/patients", date_of_birth="1951-12-26") == ["Charles Babbage", "Charles Other"]
    assert names(nurse.client, "/patients", phone_ends_with="0160", q="charles") == ["Charles Babbage"]
    assert names(nurse.client, "/patients", phone_ends_with="0161") == []
    for bad in ({"phone_ends_with": "160"}, {"phone_ends_with": "01a0"}, {"date_of_birth": "26.12.1951"}):
        assert nurse.client.get("/patients", params=bad).status_code == 422


def test_a_list_sorts_as_a_phone_book_does(nurse: Person) -> None:
    for name in ("Zoe", "de Vries", "Ángel", "Adam", "Øystein", "Ulf"):
        made(nurse.client, "/patients", {"name": name})

    listed = names(nurse.client, "/patients")
    assert listed == ["Adam", "Ángel", "de Vries", "Øystein", "Ulf", "Zoe"]
    assert [row["name"] for page in pages(nurse.client, "/patients", limit=2) for row in page] == listed


def test_a_new_name_and_phone_are_found_and_the_old_ones_are_not(nurse: Person, charles: dict[str, Any]) -> None:
    changed(nurse.client, f"/patients/{charles['id']}", name="Ada O'Hara", phone="+12125550177")

    for typed in ("ohara", "0177"):
        assert names(nurse.client, "/patients", q=typed) == ["Ada O'Hara"]
    for typed in ("babbage", "0160"):
        assert names(nurse.client, "/patients", q=typed) == []


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


def test_nobody_acts_for_a_deactivated_patient(nurse: Person, patient: Person) -> None:
    path = f"/patients/{patient.id}"
    DEACTIVATED.clear()

    assert [nurse.client.delete(path).json() for _ in range(2)] == [{"appointments": []}] * 2

    assert [(each.patient_id, each.is_active) for each in DEACTIVATED] == [(patient.object_id, False)] * 2
    assert code(patient.client.get(path)) == (404, "PATIENT_NOT_FOUND")
    assert patient.client.get("/users/me/patients").json() == []
    assert read(nurse.client, path)["is_active"] is False
    assert names(nurse.client, "/patients") == []
    assert names(nurse.client, "/patients", is_active=False) == [patient.user.name]

    assert changed(nurse.client, path, is_active=True)["is_active"] is True
    assert patient.client.get(path).status_code == 200


def test_deactivating_an_account_leaves_the_patient(admin: Person, patient: Person, nurse: Person) -> None:
    assert admin.client.delete(f"/users/{patient.account_id}").status_code == 204

    assert patient.client.get("/users/me").status_code == 401
    assert read(nurse.client, f"/patients/{patient.id}")["is_active"] is True


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
