"""`ETag`, `If-Match` and `Location`: an edit with a version is made only if nobody has edited meanwhile."""

from functools import partial
from typing import Any

import httpx
import pytest

from backend.directory.documents import Clinic
from tests.directory.support import NOWHERE, at_once, code, made, new_clinic, new_doctor, read
from tests.factories import Person

CREATED = ["/patients", "/clinics", "/doctors", "/departments", "/users"]
EDITED = [*CREATED, "/users/me"]


@pytest.fixture
def new(clinic: Clinic) -> dict[str, dict[str, Any]]:
    """The body of a POST by path."""
    nurse = {"role": "nurse", "email": "florence@example.com", "password": "lamp and ledger"}
    return {
        "/patients": {"name": "Charles"},
        "/clinics": new_clinic(),
        "/doctors": new_doctor(clinic.clinic_id),
        "/departments": {"name": "Cardiology"},
        "/users": {"name": "Florence", **nurse},
    }


@pytest.fixture
def path(request: pytest.FixtureRequest, admin: Person, new: dict[str, dict[str, Any]]) -> str:
    """Where something lies that the administrator may edit."""
    kind: str = request.param
    return f"{kind}/{made(admin.client, kind, new[kind])['id']}" if kind in new else kind


def edit(client: httpx.Client, path: str, if_match: str | None, **fields: str) -> httpx.Response:
    return client.patch(path, json=fields, headers={"If-Match": if_match} if if_match else {})


@pytest.mark.parametrize("path", EDITED, indirect=True)
def test_an_edit_needs_the_present_version(admin: Person, path: str) -> None:
    first = admin.client.get(path).headers["ETag"]

    edited = edit(admin.client, path, first, name="Second")
    assert code(edited) == (200, None)
    assert edited.headers["ETag"] == admin.client.get(path).headers["ETag"] != first

    for outdated in (first, f"W/{first}", '"of another server"', "no etag"):
        assert code(edit(admin.client, path, outdated, name="Third")) == (412, "EDIT_CONFLICT")
    assert read(admin.client, path)["name"] == "Second"
    for unconditional in (None, "*"):
        assert code(edit(admin.client, path, unconditional, name="Third")) == (200, None)
    assert code(edit(admin.client, path, edited.headers["ETag"], name="Fourth")) == (412, "EDIT_CONFLICT")


@pytest.mark.parametrize("path", EDITED, indirect=True)
def test_of_two_edits_of_one_version_at_once_one_is_made(admin: Person, path: str) -> None:
    field = "description" if path.startswith("/departments") else "language"
    for _ in range(5):
        etag = admin.client.get(path).headers["ETag"]
        edits = [partial(edit, admin.client, path, etag, **{field: value}) for value in ("en", "es")]

        answers = at_once(*edits)

        assert sorted(map(code, answers), key=str) == [(200, None), (412, "EDIT_CONFLICT")]
        [winner] = [answer.json()[field] for answer in answers if answer.is_success]
        assert read(admin.client, path)[field] == winner


@pytest.mark.parametrize("kind", CREATED)
def test_what_is_not_there_has_no_version(admin: Person, kind: str) -> None:
    assert edit(admin.client, f"{kind}/{NOWHERE}", '"0"', name="Ada").status_code == 404


def test_logging_in_is_no_edit(admin: Person, nurse: Person, clinic: Clinic) -> None:
    body = new_doctor(clinic.clinic_id)
    path = f"/doctors/{made(admin.client, '/doctors', body)['id']}"
    etag = admin.client.get(path).headers["ETag"]

    login = {"email": body["email"], "password": body["password"]}
    assert nurse.client.post("/auth/login", json=login).status_code == 200

    assert admin.client.get(path).headers["ETag"] == etag


def test_deactivating_is_an_edit(admin: Person, nurse: Person, patient: Person) -> None:
    path = f"/patients/{patient.id}"
    etag = nurse.client.get(path).headers["ETag"]

    admin.client.delete(path)

    assert code(edit(nurse.client, path, etag, name="Ada")) == (412, "EDIT_CONFLICT")


@pytest.mark.parametrize("kind", CREATED)
def test_location_is_where_the_new_thing_is_read(admin: Person, kind: str, new: dict[str, dict[str, Any]]) -> None:
    answer = admin.client.post(kind, json=new[kind])

    location = httpx.URL(answer.headers["Location"])
    found = admin.client.get(admin.client.base_url.join(location))
    assert found.json()["id"] == answer.json()["id"]


def test_location_after_registering_is_the_own_account(api: httpx.Client) -> None:
    body = {"name": "Ada", "email": "ada@example.com", "phone": "+12125550180", "password": "correct horse"}
    answer = api.post("/auth/register", json=body)

    assert answer.headers["Location"] == "/api/v1/users/me"
