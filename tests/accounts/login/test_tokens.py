"""Nothing but a token of our own, in time and of an open login, lets anybody in."""

import base64
import json
from datetime import timedelta

import jwt
import pytest

from backend.core import clock
from backend.core.settings import settings
from tests.accounts.helpers import bearer


def _me(api, token):
    return api.get("/users/me", headers=bearer(token))


def _segment(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_token_is_needed(api):
    answer = api.get("/users/me")
    assert (answer.status_code, answer.json()["error_code"]) == (401, "NOT_AUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_expires_by_our_clock(api, ada):
    life = timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)
    with clock.shifted(life - timedelta(seconds=5)):
        assert _me(api, ada.access_token).status_code == 200
    with clock.shifted(life + timedelta(seconds=1)):
        assert _me(api, ada.access_token).status_code == 401


def test_a_token_from_the_future_works_until_it_expires(api, ada):
    with clock.shifted(timedelta(days=1)):
        answer = api.post("/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert _me(api, answer.json()["access_token"]).status_code == 200


def test_expiry_does_not_depend_on_the_systems_clock(api, ada):
    with clock.shifted(timedelta(days=-2)):
        answer = api.post("/auth/refresh", json={"refresh_token": ada.refresh_token})
        assert _me(api, answer.json()["access_token"]).status_code == 200


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_changed_anywhere_is_refused(api, ada, part):
    parts = ada.access_token.split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    assert _me(api, ".".join(parts)).status_code == 401


def test_unsigned_and_wrongly_signed_tokens_are_refused(api, ada):
    claims = jwt.decode(ada.access_token, options={"verify_signature": False})
    none = f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{_segment(claims)}."
    forged = [
        none,
        none + ada.access_token.split(".")[2],
        jwt.encode(claims, "another-key-of-a-length-that-would-be-accepted", algorithm="HS256"),
        jwt.encode(claims, settings.SECRET_KEY, algorithm="HS384"),
        jwt.encode(claims, settings.SECRET_KEY * 2, algorithm="HS512"),
    ]
    assert [_me(api, token).status_code for token in forged] == [401] * len(forged)
    assert _me(api, jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"sid": None},
        {"iat": None},
        {"exp": None},
        {"sub": "nobody"},
        {"sub": "671f0c0e9b1d8a0001a1b2c3"},
        {"sub": 7},
        {"sid": ""},
        {"sid": "0" * 24},
        {"sid": {"$ne": ""}},
        {"sid": ["x"]},
        {"exp": "soon"},
        {"exp": 10**30},
        {"exp": -(10**30)},
        {"exp": {}},
    ],
)
def test_a_signed_token_with_invalid_claims_is_refused(api, ada, change):
    """Nobody but we can sign; still no content may end in a 500 or pass for more than it is."""
    claims = {**jwt.decode(ada.access_token, options={"verify_signature": False}), **change}
    claims = {name: value for name, value in claims.items() if value is not None}
    header, payload = _segment({"alg": "HS256", "typ": "JWT"}), _segment(claims)
    signature = jwt.PyJWS().encode(
        json.dumps(claims).encode(), settings.SECRET_KEY, algorithm="HS256", headers={"typ": "JWT"}
    )
    assert header
    assert payload
    assert _me(api, signature).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer a.b.c",
        "Bearer ....",
        "Bearer " + "[" * 9000,
        "Bearer " + base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.x",
        "Bearer \xe4\xf6.\xfc.\xdf",
        "Basic YWRhOnB3",
        "Token x",
        "Bearer null",
    ],
)
def test_any_other_header_is_refused(api, header):
    answer = api.get("/users/me", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401, answer.text


def test_a_refresh_token_is_no_access_token(api, ada):
    assert _me(api, ada.refresh_token).status_code == 401


def test_an_access_token_is_no_refresh_token(api, ada):
    answer = api.post("/auth/refresh", json={"refresh_token": ada.access_token[:200]})
    assert answer.status_code == 401


def test_a_token_with_another_users_session_is_refused(api, ada, patient):
    theirs = jwt.decode(patient.token, options={"verify_signature": False})
    mine = jwt.decode(ada.access_token, options={"verify_signature": False})
    mixed = jwt.encode({**mine, "sub": theirs["sub"]}, settings.SECRET_KEY, algorithm="HS256")
    assert _me(api, mixed).status_code == 401
