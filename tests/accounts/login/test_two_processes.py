"""The rules of accounts hold between processes: the database decides, and nothing is remembered beside it."""

import pytest

from backend.core.settings import settings
from tests.accounts.helpers import PASSWORD, at_once, codes, registration
from tests.factories import make_client

pytestmark = pytest.mark.races


@pytest.fixture
def both(two_servers):
    """A client of each process."""
    return [make_client(base_url=f"{url}/api/v1") for url in two_servers]


def test_one_email_is_registered_once(both, db):
    calls = [
        lambda n=n: both[n % 2].post("/auth/register", json=registration(phone=f"+1555014000{n}")) for n in range(4)
    ]
    assert codes(at_once(*calls)) == ["201", "EMAIL_TAKEN", "EMAIL_TAKEN", "EMAIL_TAKEN"]
    assert db.users.count_documents({"email": "ada@example.com", "is_active": True}) == 1


def test_one_refresh_token_is_exchanged_at_most_once(both, ada):
    calls = [
        lambda n=n: both[n % 2].post("/auth/refresh", json={"refresh_token": ada.refresh_token}) for n in range(8)
    ]
    answers = codes(at_once(*calls))
    assert answers.count("200") <= 1
    assert "REFRESH_TOKEN_REUSED" in answers
    assert set(answers) <= {"200", "REFRESH_TOKEN_REUSED", "REFRESH_TOKEN_INVALID"}
    headers = {"Authorization": f"Bearer {ada.access_token}"}
    assert [process.get("/users/me", headers=headers).status_code for process in both] == [401, 401]


def test_failures_are_counted_together(both, ada):
    wrong = {"email": ada.email, "password": "not the password"}
    calls = [lambda n=n: both[n % 2].post("/auth/login", json=wrong) for n in range(3 * settings.LOGIN_ATTEMPTS)]
    assert codes(at_once(*calls)).count("INVALID_CREDENTIALS") == settings.LOGIN_ATTEMPTS
    for process in both:
        refused = process.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert refused.status_code == 429


def test_logging_out_at_one_process_works_at_the_other(both, ada):
    headers = {"Authorization": f"Bearer {ada.access_token}"}
    assert both[0].get("/users/me", headers=headers).status_code == 200
    assert both[1].post("/auth/logout", headers=headers).status_code == 204
    assert both[0].get("/users/me", headers=headers).status_code == 401
