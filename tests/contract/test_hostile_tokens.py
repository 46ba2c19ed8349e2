"""Tokens that nobody was given: other algorithms, other keys, other people's sessions, other places."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from backend.accounts.login import sessions
from backend.core.clock import utc_now
from backend.core.settings import settings
from tests.contract.hostile import is_refusal
from tests.factories import Person, Run

Forged = Callable[[dict[str, Any]], str]


def _part(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _unsigned(name: str) -> Forged:
    return lambda claims: f"{_part({'alg': name, 'typ': 'JWT'})}.{_part(claims)}."


def _signed(key: Any = settings.SECRET_KEY, algorithm: str = "HS256", **headers: Any) -> Forged:
    return lambda claims: jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def _claiming(**claims: Any) -> Forged:
    """Signed with the right key, which nobody else has: what a fault of ours could have signed."""
    return lambda own: _signed()({name: value for name, value in {**own, **claims}.items() if value is not ...})


def _relabelled(claims: dict[str, Any]) -> str:
    """A good signature under a header that names another algorithm."""
    _, payload, signature = _signed()(claims).split(".")
    return f"{_part({'alg': 'none'})}.{payload}.{signature}"


def _stretched(claims: dict[str, Any]) -> str:
    """The good token with another payload under the old signature."""
    head, _, signature = _signed()(claims).split(".")
    return f"{head}.{_part({**claims, 'exp': claims['exp'] + 10**6})}.{signature}"


def _by_hand(digest: str = "sha256", **header: Any) -> Forged:
    """An HMAC with our secret under any header: PyJWT itself would refuse to make it."""

    def forge(claims: dict[str, Any]) -> str:
        signed = f"{_part(header)}.{_part(claims)}"
        return f"{signed}.{_part(hmac.digest(settings.SECRET_KEY.encode(), signed.encode(), digest))}"

    return forge


FORGED: dict[str, Forged] = {
    "no algorithm": _unsigned("none"),
    "no algorithm, in other letters": _unsigned("nOnE"),
    "no algorithm, an empty name": _unsigned(""),
    "another secret": _signed("another secret that is long enough to sign with"),
    "another secret of ours that isn't one": _signed(settings.DATABASE_NAME * 8),
    "another length of hash": _by_hand("sha512", alg="HS512"),
    "our secret as if it were a public key": _by_hand(alg="RS256"),
    "an algorithm as a list": _by_hand(alg=["HS256"]),
    "an algorithm as an operator": _by_hand(alg={"$ne": "none"}),
    "an algorithm in lower case": _by_hand(alg="hs256"),
    "a part that must be understood": _by_hand(alg="HS256", crit=["b64"], b64=False),
    "a key that the token brings along": _signed("x" * 32, jwk={"kty": "oct", "k": _part(b"x" * 32)}),
    "a key to be fetched": _signed("x" * 32, jku="http://127.0.0.1:1/keys", kid="../../../dev/null"),
    "a good signature under another algorithm": _relabelled,
    "another payload under a good signature": _stretched,
    "expired": _claiming(exp=1),
    "expired a second ago": _claiming(exp=int(utc_now().timestamp()) - 1),
    "no expiry": _claiming(exp=...),
    "no session": _claiming(sid=...),
    "no subject": _claiming(sub=...),
    "a session that nobody has": _claiming(sid="0" * 24),
    "a session as an operator": _claiming(sid={"$ne": None}),
    "a session as a list": _claiming(sid=["a", "b"]),
    "a session of null": _claiming(sid=None),
    "an empty session": _claiming(sid=""),
    "a subject as an operator": _claiming(sub={"$ne": None}),
    "a subject that is no id": _claiming(sub="admin"),
    "a subject of null": _claiming(sub=None),
    "an expiry in letters": _claiming(exp="never"),
    "an expiry beyond all years": _claiming(exp=10**30),
    "an expiry that is no number": _claiming(exp=float("nan")),
    "an endless expiry": _claiming(exp=float("inf")),
    "an issue beyond all years": _claiming(iat=10**30),
    "claims that are a list": lambda _: f"{_part({'alg': 'HS256'})}.{_part([])}.x",
    "claims that aren't JSON": lambda _: f"{_part({'alg': 'HS256'})}.{_part(b'{')}.x",
    "one part": lambda _: "a" * 100,
    "many parts": lambda _: ".".join("a" * 100),
    "nothing but dots": lambda _: "..",
}


def _claims(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})
    return claims


def _asked(api: httpx.Client, **headers: str) -> httpx.Response:
    return api.get("/users/me", headers=headers)


def _is_nobody(answer: httpx.Response) -> bool:
    """Whether the answer is the one that nobody gets."""
    return (
        is_refusal(answer)
        and (answer.status_code, answer.json()["error_code"]) == (401, "NOT_AUTHENTICATED")
        and answer.headers["www-authenticate"] == "Bearer"
    )


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_nobodys(forge: Forged, api: httpx.Client, patient: Person) -> None:
    token = forge(_claims(patient))
    assert _is_nobody(_asked(api, Authorization=f"Bearer {token}"))
    assert _is_nobody(api.get("/clinics", headers={"Authorization": f"Bearer {token}"}))
    assert patient.client.get("/users/me").status_code == 200


def test_ones_own_session_makes_nobody_another(api: httpx.Client, patient: Person, admin: Person) -> None:
    as_admin = _claiming(sub=admin.id)(_claims(patient))
    with_her_session = _claiming(sid=_claims(admin)["sid"])(_claims(patient))
    for token in (as_admin, with_her_session):
        assert _is_nobody(_asked(api, Authorization=f"Bearer {token}"))


def test_more_claims_than_ours_mean_nothing(api: httpx.Client, patient: Person) -> None:
    token = _claiming(role="admin", is_admin=True, scope="*")(_claims(patient))
    assert _asked(api, Authorization=f"Bearer {token}").json()["role"] == "patient"
    assert api.get("/users", headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_a_token_counts_in_its_header_only(api: httpx.Client, patient: Person) -> None:
    in_the_url = api.get("/users/me", params={"access_token": patient.token, "token": patient.token})
    assert is_refusal(in_the_url)
    assert patient.token not in in_the_url.text
    for elsewhere in (
        {"headers": {"Cookie": f"access_token={patient.token}; token={patient.token}"}},
        {"headers": {"X-Access-Token": patient.token, "Proxy-Authorization": f"Bearer {patient.token}"}},
    ):
        assert _is_nobody(api.get("/users/me", **elsewhere))


@pytest.mark.parametrize("scheme", ["Basic {}", "Token {}", "Bearer", "{}", "Bearer Bearer {}", "Bearer {} x"])
def test_only_bearer_tokens_count(scheme: str, api: httpx.Client, patient: Person) -> None:
    assert _is_nobody(_asked(api, Authorization=scheme.format(patient.token)))


def test_a_refresh_token_is_no_access_token_and_the_reverse(
    api: httpx.Client, patient: Person, run: Run[Any]
) -> None:
    pair = run(sessions.open_session(patient.user))
    assert _is_nobody(_asked(api, Authorization=f"Bearer {pair.refresh_token}"))
    answer = api.post("/auth/refresh", json={"refresh_token": pair.access_token})
    assert is_refusal(answer)
    assert _asked(api, Authorization=f"Bearer {pair.access_token}").status_code == 200


REFRESH_TOKENS: list[Any] = [
    *({"$ne": None}, {"$gt": ""}, ["a"], None, 1, "", "a" * 201, "a b", "é", "\x00", "\ud800", "." * 10),
]


@pytest.mark.parametrize("token", REFRESH_TOKENS, ids=ascii)
def test_no_trick_renews_a_login(token: Any, api: httpx.Client, patient: Person) -> None:
    body = json.dumps({"refresh_token": token}).encode()
    answer = api.post("/auth/refresh", content=body, headers={"Content-Type": "application/json"})
    assert is_refusal(answer)
    assert patient.client.get("/users/me").status_code == 200


def test_a_session_id_alone_renews_nothing_and_ends_nothing(api: httpx.Client, patient: Person) -> None:
    session_id = _claims(patient)["sid"]
    for secret in ("", ".", ".x", "." + "A" * 43):
        assert api.post("/auth/refresh", json={"refresh_token": session_id + secret}).status_code == 401
    assert patient.client.get("/users/me").status_code == 200


def test_a_token_issued_ahead_lives_no_longer_than_it_says(api: httpx.Client, patient: Person) -> None:
    later = int((utc_now() + timedelta(minutes=5)).timestamp())
    past = int((utc_now() - timedelta(minutes=5)).timestamp())
    token = _claiming(iat=later, exp=past)(_claims(patient))
    assert _is_nobody(_asked(api, Authorization=f"Bearer {token}"))
