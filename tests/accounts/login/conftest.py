"""Ada with codes sent to her phone."""

import pytest

from backend.accounts.login.codes import code_issued
from tests.accounts.login.support import NEW_PASSWORD, VERIFICATION, Phones


@pytest.fixture
def phones(server):
    """Receives the codes in place of the sender of messages."""
    phones = Phones()
    code_issued.connect(phones.receive)
    yield phones
    code_issued.disconnect(phones.receive)


@pytest.fixture
def reset(api, ada):
    """Sets Ada's password anew."""

    def go(code, login=ada.email, new_password=NEW_PASSWORD):
        body = {"login": login, "code": code, "new_password": new_password}
        return api.post("/auth/password/reset", json=body)

    return go


@pytest.fixture
def forgot(api, ada):
    """Ada asks for a code."""

    def go(login=ada.email):
        return api.post("/auth/password/forgot", json={"login": login})

    return go


@pytest.fixture
def reset_code(forgot, phones):
    """The code that Ada was sent for her forgotten password."""
    assert forgot().status_code == 202
    return phones.wait_for(1)


@pytest.fixture
def verification_code(ada, phones):
    """The code that Ada was sent to verify her phone."""
    assert ada.client.post(VERIFICATION).status_code == 202
    return phones.wait_for(1)


@pytest.fixture
def change_phone(admin, ada):
    """Gives Ada another phone by each route that can."""

    def go(route, phone):
        client, path = {
            "own": (ada.client, "/users/me"),
            "users": (admin.client, f"/users/{ada.id}"),
        }[route]
        answer = client.patch(path, json={"phone": phone})
        assert answer.status_code == 200, answer.text

    return go
