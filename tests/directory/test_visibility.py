"""What is out of use is there for the staff only."""

from typing import Any

import httpx
import pytest

from tests.directory.support import code, made, names, new_clinic, new_doctor, read
from tests.factories import Person, Run, make_clinic

STAFF = ("admin", "nurse", "doctor")


def test_only_staff_see_deactivated_clinics_and_departments(everybody: dict[str, httpx.Client]) -> None:
    admin = everybody["admin"]
    location = {"longitude": 1, "latitude": 1}
    paths = []
    for kind, body in (
        ("clinics", new_clinic(name="Gone", city="Lost", location=location, opening_hours=[])),
        ("departments", {"name": "Gone"}),
    ):
        paths.append((f"/{kind}", f"/{kind}/{made(admin, f'/{kind}', body)['id']}"))
        assert admin.delete(paths[-1][1]).is_success

    for who, client in everybody.items():
        for listing, path in paths:
            assert "Gone" not in names(client, listing)
            assert names(client, listing, is_active=False) == (["Gone"] if who in STAFF else [])
            assert client.get(path).status_code == (200 if who in STAFF else 404)
        clinic = paths[0][1]
        for filters in ({"city": "lost"}, {"q": "gone"}, {"near": "1,1"}, {"near": "1,1", "city": "lost"}):
            assert names(client, "/clinics", **filters) == []
            expected = ["Gone"] if who in STAFF else []
            assert names(client, "/clinics", is_active=False, **filters) == expected
        assert client.get(f"{clinic}/doctors").status_code == (200 if who in STAFF else 404)


def test_the_public_sees_no_inactive_clinics_of_a_doctor(everybody: dict[str, httpx.Client], run: Run[Any]) -> None:
    admin = everybody["admin"]
    department = made(admin, "/departments", {"name": "Heart"})
    here, gone = (make_clinic(run, name=name, city=name, opening_hours=[]) for name in ("Here", "Gone"))
    one = made(admin, "/doctors", new_doctor(gone.id, here.id, name="One", department_id=department["id"]))
    assert admin.delete(f"/clinics/{gone.id}").is_success

    for who, client in everybody.items():
        shown = read(client, f"/doctors/{one['id']}")
        assert [c["name"] for c in shown["clinics"]] == (["Gone", "Here"] if who in STAFF else ["Here"])
        assert shown["department"]["name"] == "Heart"
        assert names(client, "/doctors", city="gone") == []
        assert names(client, "/doctors", city="here") == ["One"]


def test_a_nurse_is_assigned_active_clinics_only(admin: Person, nurse: Person, run: Run[Any]) -> None:
    clinic = make_clinic(run, is_active=False)
    body = {
        "role": "nurse",
        "name": "N",
        "email": "n@example.com",
        "password": "correct horse battery",
        "clinic_ids": [str(clinic.id)],
    }

    assert code(admin.client.post("/users", json=body)) == (422, "UNKNOWN_CLINIC")
    answer = admin.client.patch(f"/users/{nurse.id}", json={"clinic_ids": [str(clinic.id)]})
    assert code(answer) == (422, "UNKNOWN_CLINIC")


@pytest.mark.parametrize("path", ["/clinics", "/departments", "/doctors"])
def test_an_invalid_token_is_refused_on_public_routes_too(api: httpx.Client, path: str) -> None:
    answer = api.get(path, headers={"Authorization": "Bearer nonsense"})

    assert code(answer) == (401, "NOT_AUTHENTICATED")
