"""Logins on devices: renewing, stolen tokens, logging out; and that every end of one takes effect at once."""

from datetime import timedelta

import pytest

from backend.accounts.documents import MOST_SESSIONS
from backend.accounts.errors import InvalidCredentials
from backend.accounts.login import sessions
from backend.accounts.users import find_by_login
from backend.core import clock
from backend.core.settings import settings
from tests.accounts.helpers import PASSWORD, at_once, bearer, codes

NEW_PASSWORD = "staple in the stable"


def _refresh(api, token):
    return api.post("/auth/refresh", json={"refresh_token": token})


def _me(api, token):
    return api.get("/users/me", headers=bearer(token)).status_code


def test_a_refresh_token_returns_the_next_pair(api, ada):
    answer = _refresh(api, ada.refresh_token)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != ada.refresh_token
    assert _me(api, answer.json()["access_token"]) == 200
    assert _refresh(api, answer.json()["refresh_token"]).status_code == 200


def test_a_used_refresh_token_closes_its_session_only(api, ada, log_in, db):
    other = log_in().json()
    second = _refresh(api, ada.refresh_token).json()
    third = _refresh(api, second["refresh_token"]).json()

    stolen = _refresh(api, ada.refresh_token)
    assert (stolen.status_code, stolen.json()["error_code"]) == (401, "REFRESH_TOKEN_REUSED")
    assert _refresh(api, third["refresh_token"]).json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert [_me(api, pair["access_token"]) for pair in (second, third)] == [401, 401]
    assert _me(api, ada.access_token) == 401

    assert _me(api, other["access_token"]) == 200
    assert _refresh(api, other["refresh_token"]).status_code == 200
    assert db.sessions.count_documents({}) == 1


def test_two_refreshes_at_once_close_the_session(api, ada, db):
    """The winner is told so unless the other has ended the login before its answer was ready."""
    answers = at_once(*[lambda: _refresh(api, ada.refresh_token)] * 2)
    assert codes(answers) in (
        ["200", "REFRESH_TOKEN_REUSED"],
        ["REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED"],
    )
    tokens = [ada.access_token, *(a.json()["access_token"] for a in answers if a.is_success)]
    assert {_me(api, token) for token in tokens} == {401}
    assert db.sessions.count_documents({}) == 0


def test_an_unknown_token_of_a_known_session_closes_nothing(api, ada):
    session_id = ada.refresh_token.partition(".")[0]
    guess = _refresh(api, f"{session_id}.{'x' * 43}")
    assert (guess.status_code, guess.json()["error_code"]) == (401, "REFRESH_TOKEN_INVALID")
    assert _me(api, ada.access_token) == 200
    assert _refresh(api, ada.refresh_token).status_code == 200


@pytest.mark.parametrize("token", ["x", "x.y", ".", "a" * 200])
def test_an_unknown_refresh_token_is_invalid(api, token):
    answer = _refresh(api, token)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "REFRESH_TOKEN_INVALID")


@pytest.mark.parametrize("token", ["", "a" * 201, "a\x00b", "ä", 7, None])
def test_a_malformed_refresh_token_is_a_validation_error(api, token):
    assert _refresh(api, token).status_code == 422


def test_a_refresh_token_expires(api, ada, db):
    with clock.shifted(timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS, seconds=1)):
        assert db.sessions.count_documents({}) == 1
        assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"


def test_each_refresh_extends_the_session(api, ada):
    almost = timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS) - timedelta(minutes=1)
    with clock.shifted(almost):
        pair = _refresh(api, ada.refresh_token).json()
    with clock.shifted(almost * 2):
        assert _refresh(api, pair["refresh_token"]).status_code == 200


def test_the_database_stores_no_token(api, ada, db):
    _refresh(api, ada.refresh_token)
    stored = str(db.sessions.find_one())
    assert ada.refresh_token.partition(".")[2] not in stored


def test_logout_takes_effect_at_once_and_may_be_repeated(api, ada, log_in):
    other = log_in().json()
    assert ada.client.post("/auth/logout").status_code == 204
    assert ada.client.get("/users/me").status_code == 401
    assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert ada.client.post("/auth/logout").status_code == 204
    assert _me(api, other["access_token"]) == 200


def test_logging_out_needs_a_token(api):
    assert api.post("/auth/logout").status_code == 401


def test_a_new_password_closes_all_other_sessions(api, ada, log_in, db):
    other = log_in().json()
    answer = ada.client.post("/users/me/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    assert answer.status_code == 204
    assert ada.client.get("/users/me").status_code == 200
    assert _refresh(api, ada.refresh_token).status_code == 200
    assert _me(api, other["access_token"]) == 401
    assert _refresh(api, other["refresh_token"]).json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert log_in().status_code == 401
    assert log_in(password=NEW_PASSWORD).status_code == 200
    assert db.sessions.count_documents({}) == 2


def test_a_wrong_current_password_is_refused_and_limited(ada, log_in):
    body = {"current_password": "not the password", "new_password": NEW_PASSWORD}
    for _ in range(settings.LOGIN_ATTEMPTS):
        answer = ada.client.post("/users/me/password", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "WRONG_PASSWORD")
    assert ada.client.post("/users/me/password", json=body).status_code == 429
    right = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert ada.client.post("/users/me/password", json=right).status_code == 429


def test_of_two_new_passwords_at_once_one_is_set(api, ada, log_in):
    other = log_in().json()["access_token"]

    def change(token, new):
        return api.post(
            "/users/me/password",
            json={"current_password": PASSWORD, "new_password": new},
            headers=bearer(token),
        )

    first, second = "the first new one", "the second new one"
    answers = at_once(lambda: change(ada.access_token, first), lambda: change(other, second))
    assert codes(answers)[0] == "204"
    assert codes(answers)[1] in ("NOT_AUTHENTICATED", "WRONG_PASSWORD")
    tokens = [ada.access_token, other]
    won = [answer.is_success for answer in answers].index(True)
    assert _me(api, tokens[won]) == 200
    assert _me(api, tokens[1 - won]) == 401
    assert log_in(password=(first, second)[won]).status_code == 200


def test_a_login_with_a_just_changed_password_is_refused(run, ada, db):
    """The password is changed between the comparison and the opening of the session."""
    compared = run(find_by_login(ada.email))
    ada.client.post("/users/me/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    with pytest.raises(InvalidCredentials):
        run(sessions.open_session(compared))
    assert db.sessions.count_documents({}) == 1


def test_one_session_too_many_closes_the_oldest(run, api, ada, db):
    user = run(find_by_login(ada.email))
    for _ in range(MOST_SESSIONS):
        newest = run(sessions.open_session(user))
    assert _me(api, ada.access_token) == 401
    assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert _me(api, newest.access_token) == 200
    assert len(db.users.find_one({"email": ada.email, "is_active": True})["sessions"]) == MOST_SESSIONS


def test_all_sessions_but_one_can_be_closed(run, api, ada, log_in):
    other = log_in().json()["access_token"]
    user = run(find_by_login(ada.email))
    run(sessions.close_all_sessions(user.user_id, except_sid=ada.refresh_token.partition(".")[0]))
    assert (_me(api, ada.access_token), _me(api, other)) == (200, 401)
    run(sessions.close_all_sessions(user.user_id))
    assert _me(api, ada.access_token) == 401


def test_a_deactivated_user_is_logged_out_at_once(api, ada, admin, db):
    assert admin.client.delete(f"/users/{ada.id}").status_code == 204
    assert _me(api, ada.access_token) == 401
    assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"
    assert admin.client.patch(f"/users/{ada.id}", json={"is_active": True}).status_code == 200
    assert _me(api, ada.access_token) == 401
    assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"


def test_an_inactive_user_with_a_session_is_refused(api, ada, db):
    db.users.update_one({"email": ada.email, "is_active": True}, {"$set": {"is_active": False}})
    assert _me(api, ada.access_token) == 401
    assert _refresh(api, ada.refresh_token).json()["error_code"] == "REFRESH_TOKEN_INVALID"
