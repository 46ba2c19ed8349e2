"""JSON that two readers would read differently: equal keys, other encodings; and roles that nobody may choose."""

import json
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.contract.hostile.support import is_refusal, nothing_changes

JSON = {"Content-Type": "application/json"}
ADA = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+15550140001",
    "password": "correct horse battery",
}


def _text(**more: Any) -> str:
    return json.dumps({**ADA, **more})


def _register(api: httpx.Client, content: str | bytes, **headers: str) -> httpx.Response:
    return api.post("/auth/register", content=content, headers={**JSON, **headers})


@pytest.mark.parametrize(
    "role",
    ["admin", "nurse", "doctor", "ADMIN", "patient ", "", None, ["patient"], {"$ne": "patient"}, 0],
    ids=ascii,
)
def test_who_registers_doesnt_choose_a_role(role: Any, api: httpx.Client, db: Database[dict[str, Any]]) -> None:
    with nothing_changes(db):
        answer = _register(api, _text(role=role))
        assert is_refusal(answer)
        assert answer.status_code in (403, 422)


def test_of_two_equal_keys_the_one_that_is_checked_is_the_one_that_counts(
    api: httpx.Client, db: Database[dict[str, Any]]
) -> None:
    rest = json.dumps(ADA)[1:]
    with nothing_changes(db):
        answer = _register(api, '{"role": "patient", "role": "admin", ' + rest)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "ROLE_NOT_ALLOWED")
    assert _register(api, '{"role": "admin", "role": "patient", ' + rest).status_code == 201
    assert [user["role"] for user in db["users"].find({"email": ADA["email"], "is_active": True})] == ["patient"]


def test_an_escaped_key_is_the_same_key(api: httpx.Client, db: Database[dict[str, Any]]) -> None:
    with nothing_changes(db):
        answer = _register(api, _text(role="admin").replace('"role"', '"\\u0072ole"'))
        assert (answer.status_code, answer.json()["error_code"]) == (403, "ROLE_NOT_ALLOWED")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037", "latin-1"])
@pytest.mark.parametrize("is_told", [True, False])
def test_another_encoding_is_refused_or_means_the_same(
    encoding: str, is_told: bool, api: httpx.Client, db: Database[dict[str, Any]]
) -> None:
    kind = f"application/json; charset={encoding}" if is_told else "application/json"
    content = json.dumps({**ADA, "name": "Zoë"}, ensure_ascii=False).encode(encoding)
    answer = _register(api, content, **{"Content-Type": kind})
    assert answer.status_code == 201 or is_refusal(answer)
    stored = [user["name"] for user in db["users"].find({"email": ADA["email"], "is_active": True})]
    assert stored == (["Zoë"] if answer.status_code == 201 else [])


@pytest.mark.parametrize("kind", ["APPLICATION/JSON", "application/json;charset=UTF-8", "application/json; a=b"])
def test_json_by_its_other_names_is_read(kind: str, api: httpx.Client) -> None:
    assert _register(api, _text(), **{"Content-Type": kind}).status_code == 201


FORMS = [
    "username[$ne]=x&password[$ne]=x",
    "username[]=ada@example.com&password[]=x",
    "username=ada@example.com&username=admin@example.com&password=x",
    "username=%00&password=x",
    "username=ada@example.com%0d%0a&password=x",
    "username=ada@example.com&password=" + "x" * 129,
    "username=" + "x" * 255 + "&password=x",
    'username={"$gt":""}&password={"$gt":""}',
    "email=ada@example.com&password=correct horse battery",
    "&&&",
    "username",
    "=",
    "a=1&" * 2000,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[:30])
def test_no_form_logs_in_without_the_password(form: str, api: httpx.Client) -> None:
    assert _register(api, _text()).status_code == 201
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.post("/auth/login", content=form, headers=kind)
    assert is_refusal(answer)
    assert answer.status_code in (400, 401, 422)
    assert "correct horse" not in answer.text
