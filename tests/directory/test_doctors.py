"""Making, finding and changing doctors."""

import itertools
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic
from tests.directory.support import (
    NOWHERE,
    at_once,
    changed,
    code,
    faults,
    made,
    names,
    new_clinic,
    new_doctor,
    pages,
    read,
)
from tests.factories import Person, Run, make_clinic, make_user

FOR_STAFF = {
    *("email", "phone", "license_number", "max_patients_per_day", "slot_minutes"),
    *("is_active", "created_at", "updated_at"),
}


def deactivate(admin: Person, path: str) -> None:
    assert admin.client.delete(path).status_code in (200, 204)


def test_a_new_doctor_can_log_in(admin: Person, clinic: Clinic, run: Run[Any], api: httpx.Client) -> None:
    other = make_clinic(run, name="Other", city="Salem", opening_hours=[])
    department = made(admin.client, "/departments", {"name": "Heart"})
    body = new_doctor(
        other.id,
        clinic.id,
        name="Dr. Elizabeth Blackwell",
        email="Elizabeth@Example.com",
        phone="(212) 555-0150",
        license_number="  ny-12  b ",
        department_id=department["id"],
        qualifications=["MD", "FACC", "MD"],
        experience_years=12,
        max_patients_per_day=20,
        slot_minutes=20,
        language="es",
        photo_url="https://example.com/e.jpg",
    )

    doctor = made(admin.client, "/doctors", body)

    assert doctor == {
        "id": doctor["id"],
        "name": "Dr. Elizabeth Blackwell",
        "specialty": "Cardiology",
        "department": {"id": department["id"], "name": "Heart"},
        "clinics": [
            {"id": str(other.id), "name": "Other", "city": "Salem", "time_zone": "America/New_York"},
            {"id": str(clinic.id), "name": clinic.name, "city": "New York", "time_zone": "America/New_York"},
        ],
        "qualifications": ["MD", "FACC"],
        "experience_years": 12,
        "language": "es",
        "photo_url": "https://example.com/e.jpg",
        "email": "elizabeth@example.com",
        "phone": "+12125550150",
        "license_number": "NY-12 B",
        "max_patients_per_day": 20,
        "slot_minutes": 20,
        "is_active": True,
        "created_at": doctor["created_at"],
        "updated_at": doctor["updated_at"],
    }
    login = api.post("/auth/login", json={"email": body["email"], "password": body["password"]})
    assert login.status_code == 200
    assert login.json()["user"]["role"] == "doctor"


def test_the_public_and_patients_see_no_contact_and_no_licence(
    everybody: dict[str, httpx.Client], clinic: Clinic
) -> None:
    body = new_doctor(clinic.id, phone="+12125550151", max_patients_per_day=3)
    one = made(everybody["admin"], "/doctors", body)
    for_public = {name: value for name, value in one.items() if name not in FOR_STAFF}
    paths = (
        f"/doctors/{one['id']}",
        f"/doctors?q={one['name'].split()[-1]}",
        f"/clinics/{clinic.id}/doctors",
    )
    for path, (who, client) in itertools.product(paths, everybody.items()):
        answer = read(client, path)
        rows = answer.get("items", [answer])
        shown = for_public if who in ("nobody", "patient") else one
        assert shown in rows, (path, who, rows)
        assert all(row.keys() == shown.keys() for row in rows)


@pytest.mark.parametrize("what", ["email", "license_number"])
def test_email_and_licence_belong_to_one_doctor(admin: Person, clinic: Clinic, what: str) -> None:
    first = new_doctor(clinic.id, license_number="AB-1", email="a@example.com")
    made(admin.client, "/doctors", first)
    other = made(admin.client, "/doctors", new_doctor(clinic.id))
    taken = {"email": "A@EXAMPLE.COM", "license_number": "ab-1"}[what]
    expected = (
        409,
        {"email": "EMAIL_TAKEN", "license_number": "LICENSE_TAKEN"}[what],
    )

    assert code(admin.client.post("/doctors", json=new_doctor(clinic.id, **{what: taken}))) == expected
    assert code(admin.client.patch(f"/doctors/{other['id']}", json={what: taken})) == expected


def test_of_doctors_with_one_licence_at_once_one_is_created(admin: Person, clinic: Clinic) -> None:
    bodies = [new_doctor(clinic.id, license_number=number) for number in ("ab-1", "AB-1", "aB-1", " ab-1")]

    answers = at_once(*(lambda body=body: admin.client.post("/doctors", json=body) for body in bodies))

    assert sorted(map(code, answers), key=str) == [(201, None), *[(409, "LICENSE_TAKEN")] * 3]


def test_clinics_and_department_must_exist_and_be_active(admin: Person, clinic: Clinic, run: Run[Any]) -> None:
    closed = make_clinic(run, is_active=False)
    ended = made(admin.client, "/departments", {"name": "Ended"})
    deactivate(admin, f"/departments/{ended['id']}")

    def refused(**over: Any) -> tuple[int, str | None]:
        created = code(admin.client.post("/doctors", json={**new_doctor(clinic.id), **over}))
        doctor = made(admin.client, "/doctors", new_doctor(clinic.id))
        assert code(admin.client.patch(f"/doctors/{doctor['id']}", json=over)) == created
        return created

    for each in (NOWHERE, str(closed.id)):
        assert refused(clinic_ids=[str(clinic.id), each]) == (422, "UNKNOWN_CLINIC")
    for each in (NOWHERE, ended["id"], str(clinic.id)):
        assert refused(department_id=each) == (422, "UNKNOWN_DEPARTMENT")


def test_a_refused_doctor_is_not_stored(admin: Person, clinic: Clinic, db: Any) -> None:
    before = db.users.count_documents({}, hint="_id_")

    assert code(admin.client.post("/doctors", json=new_doctor(NOWHERE))) == (422, "UNKNOWN_CLINIC")

    assert db.users.count_documents({}, hint="_id_") == before


def test_a_doctor_keeps_a_clinic_that_was_deactivated(admin: Person, run: Run[Any], api: httpx.Client) -> None:
    first, second, third = (make_clinic(run, name=name, opening_hours=[]) for name in ("A", "B", "C"))
    doctor = made(admin.client, "/doctors", new_doctor(first.id, second.id))
    deactivate(admin, f"/clinics/{second.id}")

    wanted = [str(third.id), str(first.id), str(second.id)]
    shown = changed(admin.client, f"/doctors/{doctor['id']}", clinic_ids=wanted)

    assert [clinic["name"] for clinic in shown["clinics"]] == ["C", "A", "B"]
    assert [c["name"] for c in read(api, f"/doctors/{doctor['id']}")["clinics"]] == ["C", "A"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clinic_ids", []),
        ("clinic_ids", None),
        ("clinic_ids", [None]),
        ("clinic_ids", ["x"]),
        ("clinic_ids", [NOWHERE] * 21),
        ("clinic_ids", NOWHERE),
        ("department_id", "x"),
        ("department_id", 7),
        ("experience_years", -1),
        ("experience_years", 81),
        ("experience_years", 10**40),
        ("experience_years", 1.5),
        ("max_patients_per_day", 0),
        ("max_patients_per_day", 501),
        ("slot_minutes", 12),
        ("slot_minutes", 0),
        ("slot_minutes", 485),
        ("license_number", ""),
        ("license_number", "X" * 41),
        ("license_number", "A\nB"),
        ("specialty", ""),
        ("name", "   "),
        ("name", "N" * 121),
        ("email", "nobody"),
        ("phone", "12"),
        ("photo_url", "javascript:alert(1)"),
        ("language", "xx"),
        ("qualifications", ["MD"] * 31),
        ("qualifications", [""]),
        ("qualifications", None),
        ("weekly_hours", []),
        ("is_active", False),
        ("role", "admin"),
    ],
)
def test_a_doctors_fields_have_bounds(
    admin: Person, clinic: Clinic, doctor: Person, field: str, value: object
) -> None:
    created = admin.client.post("/doctors", json={**new_doctor(clinic.id), field: value})
    patched = admin.client.patch(f"/doctors/{doctor.id}", json={field: value})

    for answer in (created, patched):
        assert all(fault.split(".")[0] == field for fault in faults(answer))


@pytest.mark.parametrize("password", ["short", None, "", "x" * 129, "tab\there!", 12345678])
def test_a_password_is_required_and_never_returned(admin: Person, clinic: Clinic, password: object) -> None:
    answer = admin.client.post("/doctors", json=new_doctor(clinic.id, password=password))

    assert faults(answer) == ["password"]
    assert not password or str(password) not in answer.text


@pytest.fixture
def staffed(admin: Person, run: Run[Any]) -> dict[str, Any]:
    """Four active doctors and one deactivated, at two clinics, one of them in a department."""
    boston, salem = (
        made(admin.client, "/clinics", new_clinic(name=city, city=city, opening_hours=[]))["id"]
        for city in ("Boston", "Salem")
    )
    heart = made(admin.client, "/departments", {"name": "Heart"})["id"]
    bodies = [
        new_doctor(boston, name="Ana Núñez", specialty="Cardiología", department_id=heart),
        new_doctor(boston, salem, name="Bo Li", specialty="Cardiologia"),
        new_doctor(salem, name="Cy O'Neill-Smith", specialty="Skin", email="zebra@example.com", phone="+15550777777"),
        new_doctor(boston, name="Di Vo", specialty="Paediatric cardiology"),
        new_doctor(boston, salem, name="Ex Member", specialty="Skin"),
    ]
    ids = [made(admin.client, "/doctors", body)["id"] for body in bodies]
    deactivate(admin, f"/doctors/{ids[-1]}")
    return {"boston": boston, "salem": salem, "heart": heart, "ids": ids}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "Ana Bo Cy Di"),
        ({"specialty": "CARDIOLOGIA"}, "Ana Bo"),
        ({"specialty": "cardio"}, ""),
        ({"clinic_id": "salem"}, "Bo Cy"),
        ({"department_id": "heart"}, "Ana"),
        ({"city": "bóston"}, "Ana Bo Di"),
        ({"city": "Nowhere"}, ""),
        ({"city": "salem", "specialty": "skin"}, "Cy"),
        ({"city": "boston", "clinic_id": "salem"}, "Bo"),
        ({"q": "nun"}, "Ana"),
        ({"q": "cardio"}, "Ana Bo Di"),
        ({"q": "li cardio"}, "Bo"),
        ({"q": "smith"}, "Cy"),
        ({"q": "o'neill"}, "Cy"),
        ({"q": "(.*)"}, ""),
        ({"department_id": "boston"}, ""),
    ],
)
def test_doctors_are_found(
    staffed: dict[str, Any], api: httpx.Client, filters: dict[str, str], expected: str
) -> None:
    filters = {name: staffed.get(value, value) if name.endswith("_id") else value for name, value in filters.items()}

    assert [name.split()[0] for name in names(api, "/doctors", **filters)] == expected.split()


@pytest.mark.parametrize("q", ["zebra", "15550777777", "+15550777777", "example", "555"])
def test_a_search_reveals_no_contacts(staffed: dict[str, Any], api: httpx.Client, q: str) -> None:
    assert names(api, "/doctors", q=q) == []


def test_a_clinics_doctors(staffed: dict[str, Any], api: httpx.Client) -> None:
    assert names(api, f"/clinics/{staffed['salem']}/doctors") == ["Bo Li", "Cy O'Neill-Smith"]


def test_pages_are_stable_while_doctors_are_created(admin: Person, clinic: Clinic, api: httpx.Client) -> None:
    for name in "bdf":
        made(admin.client, "/doctors", new_doctor(clinic.id, name=name))
    first = read(api, "/doctors", limit=2)
    for name in "ace":
        made(admin.client, "/doctors", new_doctor(clinic.id, name=name))

    second = read(api, "/doctors", limit=2, cursor=first["next_cursor"])

    assert [d["name"] for d in first["items"] + second["items"]] == ["b", "d", "e", "f"]
    assert second["next_cursor"] is None
    assert [len(page) for page in pages(api, "/doctors", limit=5)] == [5, 1]


def test_fields_left_out_stay_and_null_removes(admin: Person, clinic: Clinic, db: Any) -> None:
    doctor = made(
        admin.client,
        "/doctors",
        new_doctor(clinic.id, phone="+12125550153", slot_minutes=20, experience_years=3, qualifications=["MD"]),
    )

    now = changed(admin.client, f"/doctors/{doctor['id']}", phone=None, slot_minutes=None, license_number="new 1")

    assert now["phone"] is now["slot_minutes"] is None
    assert (now["experience_years"], now["qualifications"], now["license_number"]) == (3, ["MD"], "NEW 1")
    stored = db.users.find_one({"email": doctor["email"]}, hint="_id_")
    assert "phone" not in stored
    assert "slot_minutes" not in stored["doctor"]


@pytest.mark.parametrize("field", ["name", "email", "specialty", "license_number", "clinic_ids", "qualifications"])
def test_required_fields_of_a_doctor_cannot_be_null(admin: Person, doctor: Person, field: str) -> None:
    assert faults(admin.client.patch(f"/doctors/{doctor.id}", json={field: None})) == [field]


def test_a_doctor_is_found_by_the_new_name_only(admin: Person, clinic: Clinic, api: httpx.Client) -> None:
    doctor = made(admin.client, "/doctors", new_doctor(clinic.id, name="Old Mill", specialty="Eyes"))

    changed(admin.client, f"/doctors/{doctor['id']}", specialty="Ears")
    assert (names(api, "/doctors", q="old ears"), names(api, "/doctors", q="eyes")) == (["Old Mill"], [])
    assert (names(api, "/doctors", specialty="EARS"), names(api, "/doctors", specialty="eyes")) == (
        ["Old Mill"],
        [],
    )

    changed(admin.client, f"/doctors/{doctor['id']}", name="New Forge")
    assert (names(api, "/doctors", q="forge ears"), names(api, "/doctors", q="mill")) == (["New Forge"], [])

    assert admin.client.patch(f"/users/{doctor['id']}", json={"name": "Third"}).status_code == 200
    assert (names(api, "/doctors", q="third"), names(api, "/doctors", q="forge")) == (["Third"], [])


def test_a_deactivated_doctor_is_hidden_and_logged_out(
    admin: Person, nurse: Person, patient: Person, doctor: Person, api: httpx.Client
) -> None:
    deactivate(admin, f"/doctors/{doctor.id}")

    assert doctor.client.get("/users/me").status_code == 401
    for client in (api, patient.client):
        assert code(client.get(f"/doctors/{doctor.id}")) == (404, "DOCTOR_NOT_FOUND")
        assert names(client, "/doctors") == names(client, "/doctors", is_active=False) == []
    for client in (nurse.client, admin.client):
        assert read(client, f"/doctors/{doctor.id}")["is_active"] is False
        assert names(client, "/doctors") == []
        assert names(client, "/doctors", is_active=False) == [doctor.user.name]

    changed(admin.client, f"/doctors/{doctor.id}", is_active=True)
    assert names(api, "/doctors") == [doctor.user.name]
    assert doctor.client.get("/users/me").status_code == 401


def test_other_users_are_not_found_as_doctors(admin: Person, nurse: Person, patient: Person, run: Run[Any]) -> None:
    other_admin = make_user(run, Role.ADMIN)
    for each in (nurse.id, patient.id, other_admin.id, NOWHERE):
        path = f"/doctors/{each}"
        answers = [
            admin.client.get(path),
            admin.client.patch(path, json={"name": "x"}),
            admin.client.delete(path),
        ]
        assert [code(answer) for answer in answers] == [(404, "DOCTOR_NOT_FOUND")] * 3


def test_only_administrators_create_doctors(
    nurse: Person, doctor: Person, patient: Person, clinic: Clinic, api: httpx.Client
) -> None:
    assert code(api.post("/doctors", json=new_doctor(clinic.id))) == (401, "NOT_AUTHENTICATED")
    for person in (nurse, doctor, patient):
        assert code(person.client.post("/doctors", json=new_doctor(clinic.id))) == (403, "NOT_ALLOWED")
