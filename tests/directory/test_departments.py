"""Departments: unique by name, taken out of use when nobody belongs to them."""

from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests.directory.support import (
    NOWHERE,
    at_once,
    changed,
    code,
    faults,
    made,
    names,
    new_doctor,
    pages,
    read,
)
from tests.factories import Person


def test_a_department_is_created_and_read_by_everybody(admin: Person, api: httpx.Client) -> None:
    made_one = made(admin.client, "/departments", {"name": " Cardiology ", "description": "Heart.\nVessels."})

    assert read(api, f"/departments/{made_one['id']}") == made_one
    assert made_one["name"] == "Cardiology"
    assert made_one["description"] == "Heart.\nVessels."
    assert made_one["is_active"] is True


@pytest.mark.parametrize("name", ["CARDIOLOGÍA", "cardiologia", " Cardiología ", "Cardiologi\u0301a"])
def test_names_differ_in_more_than_case_and_accents(admin: Person, name: str) -> None:
    made(admin.client, "/departments", {"name": "Cardiología"})
    other = made(admin.client, "/departments", {"name": "Surgery"})

    again = admin.client.post("/departments", json={"name": name})
    rename = admin.client.patch(f"/departments/{other['id']}", json={"name": name})

    assert code(again) == code(rename) == (409, "DEPARTMENT_TAKEN")


def test_of_equal_departments_at_once_one_is_created(admin: Person) -> None:
    answers = at_once(
        *(
            lambda name=name: admin.client.post("/departments", json={"name": name})
            for name in ("Pain", "pain", "PAIN", "Páin")
        )
    )

    assert sorted(map(code, answers), key=str) == [(201, None), *[(409, "DEPARTMENT_TAKEN")] * 3]


def test_fields_left_out_stay_and_null_removes(admin: Person, db: Any) -> None:
    one = made(admin.client, "/departments", {"name": "Surgery", "description": "Knives."})
    path = f"/departments/{one['id']}"

    assert changed(admin.client, path, name="SURGERY")["description"] == "Knives."
    assert changed(admin.client, path, description=None)["name"] == "SURGERY"
    assert "description" not in db.departments.find_one({"name_key": "surgery"}, hint="_id_")
    assert faults(admin.client.patch(path, json={"name": None})) == ["name"]
    assert faults(admin.client.patch(path, json={"is_active": False})) == ["is_active"]


def test_a_department_with_active_doctors_stays_active(admin: Person, clinic: Clinic) -> None:
    one = made(admin.client, "/departments", {"name": "Surgery"})
    doctor = made(admin.client, "/doctors", new_doctor(clinic.id, department_id=one["id"]))

    assert code(admin.client.delete(f"/departments/{one['id']}")) == (409, "DEPARTMENT_IN_USE")
    assert read(admin.client, f"/departments/{one['id']}")["is_active"] is True

    assert admin.client.delete(f"/doctors/{doctor['id']}").status_code == 200
    assert code(admin.client.delete(f"/departments/{one['id']}")) == (204, None)


def test_a_department_is_deactivated_and_reactivated(admin: Person, api: httpx.Client) -> None:
    one = made(admin.client, "/departments", {"name": "Surgery"})
    path = f"/departments/{one['id']}"

    assert [admin.client.delete(path).status_code for _ in range(2)] == [204, 204]

    assert code(api.get(path)) == (404, "DEPARTMENT_NOT_FOUND")
    assert code(admin.client.post("/departments", json={"name": "surgery"})) == (409, "DEPARTMENT_TAKEN")
    assert changed(admin.client, path, is_active=True)["is_active"] is True
    assert read(api, path)["name"] == "Surgery"


def test_pages_are_stable_while_departments_are_created(admin: Person, api: httpx.Client) -> None:
    for name in ("b", "d", "f"):
        made(admin.client, "/departments", {"name": name})
    first = read(api, "/departments", limit=1)
    for name in ("a", "c", "e"):
        made(admin.client, "/departments", {"name": name})

    second = read(api, "/departments", limit=100, cursor=first["next_cursor"])

    assert [d["name"] for d in first["items"] + second["items"]] == ["b", "c", "d", "e", "f"]
    assert second["next_cursor"] is None
    assert [len(page) for page in pages(api, "/departments", limit=4)] == [4, 2]


def test_an_unknown_department_is_not_found(admin: Person, api: httpx.Client) -> None:
    path = f"/departments/{NOWHERE}"
    answers = [api.get(path), admin.client.patch(path, json={"name": "x"}), admin.client.delete(path)]

    assert [code(answer) for answer in answers] == [(404, "DEPARTMENT_NOT_FOUND")] * 3


def test_only_administrators_change_departments(
    admin: Person, nurse: Person, doctor: Person, patient: Person, api: httpx.Client
) -> None:
    one = made(admin.client, "/departments", {"name": "Surgery"})
    path = f"/departments/{one['id']}"
    for client, refusal in (
        (api, (401, "NOT_AUTHENTICATED")),
        *((person.client, (403, "NOT_ALLOWED")) for person in (nurse, doctor, patient)),
    ):
        assert code(client.post("/departments", json={"name": "x"})) == refusal
        assert code(client.patch(path, json={"name": "x"})) == refusal
        assert code(client.delete(path)) == refusal
    assert names(api, "/departments") == ["Surgery"]
