"""HTTP as no browser speaks it: broken requests, strange methods and paths, headers that try to inject."""

import json
import socket
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.contract.hostile import is_refusal, nothing_changes, send_raw
from tests.contract.world import World
from tests.factories import Person

ENDS = b"Host: localhost\r\nConnection: close\r\n"
GET = b"GET /health HTTP/1.1\r\n" + ENDS
POST = b"POST /api/v1/auth/login HTTP/1.1\r\n" + ENDS + b"Content-Type: application/json\r\n"

BROKEN = {
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version of its own": b"GET /health HTTP/9.9\r\n" + ENDS + b"\r\n",
    "a method of its own": b"FOO /health HTTP/1.1\r\n" + ENDS + b"\r\n",
    "a method in lower case": b"get /health HTTP/1.1\r\n" + ENDS + b"\r\n",
    "a tunnel": b"CONNECT example.com:443 HTTP/1.1\r\n" + ENDS + b"\r\n",
    "a path of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + ENDS + b"\r\n",
    "a path in Latin-1": b"GET /\xff HTTP/1.1\r\n" + ENDS + b"\r\n",
    "a header without a colon": GET + b"nonsense\r\n\r\n",
    "a header with NUL": GET + b"X-A: a\x00b\r\n\r\n",
    "a header with a bare CR": GET + b"X-A: a\rSet-Cookie: b\r\n\r\n",
    "a space before the colon": GET + b"X-A : b\r\n\r\n",
    "a folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "a negative length": POST + b"Content-Length: -5\r\n\r\n{}",
    "a length in letters": POST + b"Content-Length: abc\r\n\r\n{}",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}xxx",
    "a length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another transfer encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n{}",
    "a chunk's size in letters": POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "a chunk larger than any": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", BROKEN.values(), ids=BROKEN)
def test_a_broken_request_is_400_and_the_server_lives_on(request_: bytes, base_url: str) -> None:
    assert send_raw(base_url, request_).status == 400
    assert send_raw(base_url, GET + b"\r\n").status == 200


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/appointments/x/confirm"])
def test_a_client_that_hangs_up_while_sending_is_no_fault_of_ours(kind: str, path: str, base_url: str) -> None:
    host, port = base_url.removeprefix("http://").split(":")
    head = f"POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 50\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"{")
    assert send_raw(base_url, GET + b"\r\n").status == 200  # and the log holds no error: see conftest


def test_a_second_request_hidden_in_the_first_ones_body_is_not_carried_out(base_url: str) -> None:
    hidden = b"DELETE /api/v1/users/me HTTP/1.1\r\n" + ENDS + b"\r\n"
    answer = send_raw(base_url, POST + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
    assert answer.status == 422
    assert answer.body.count(b"HTTP/1.1") == 0


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_huge_headers_hurt_nobody(size: int, base_url: str) -> None:
    assert send_raw(base_url, GET + b"X-A: " + b"a" * size + b"\r\n\r\n").status < 500
    assert send_raw(base_url, GET + b"X-A: b\r\n" * (size // 100) + b"\r\n").status < 500
    token = b"Authorization: Bearer " + b"a." * (size // 2)
    asked = b"GET /api/v1/users/me HTTP/1.1\r\n" + ENDS + token + b"\r\n\r\n"
    assert send_raw(base_url, asked).status == 401


@pytest.mark.parametrize("sent", [b'"><script>', b"\xff\xfe", b"a" * 5000, b"%0d%0aSet-Cookie: a=b", b""])
def test_a_request_id_that_is_none_is_replaced_by_one_of_ours(sent: bytes, base_url: str) -> None:
    answer = send_raw(base_url, GET + b"X-Request-ID: " + sent + b"\r\n\r\n")
    assert answer.status == 200
    assert answer.headers["x-request-id"].encode() != sent
    assert len(bytes.fromhex(answer.headers["x-request-id"])) == 16
    assert "set-cookie" not in answer.headers


KEYS = [b"\xff\xfe", b"", b"a b", b"\t", b"a" * 201, b"\xd9\xa3", b"a\xc2\xa0"]


@pytest.mark.parametrize("key", KEYS)
def test_an_idempotency_key_is_plain_text(
    key: bytes, base_url: str, world: World, db: Database[dict[str, Any]]
) -> None:
    body = json.dumps({"slot_id": world.slot(60)}).encode()
    request = (
        b"POST /api/v1/appointments HTTP/1.1\r\n"
        + ENDS
        + b"Authorization: Bearer %s\r\n" % world.patient.token.encode()
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        + b"Idempotency-Key: %s\r\n\r\n" % key
    )
    with nothing_changes(db):
        answer = send_raw(base_url, request + body)
        assert (answer.status, json.loads(answer.body)["error_code"]) == (422, "VALIDATION_ERROR")


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]


@pytest.mark.parametrize("header", OVERRIDES)
def test_no_header_makes_another_method_of_a_request(header: str, world: World, db: Database[dict[str, Any]]) -> None:
    path = f"/departments/{world.department().department_id}"
    with nothing_changes(db):
        assert world.admin.client.get(path, headers={header: "DELETE"}).status_code == 200
        assert is_refusal(world.admin.client.get(path, params={"_method": "DELETE"}))
        assert is_refusal(world.admin.client.post(path, headers={header: "DELETE"}))


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "HEAD", "QUERY", "POST", "PUT", "PROPFIND", "LOCK"])
def test_a_method_that_a_path_doesnt_have_is_405_and_says_what_it_has(
    method: str, api: httpx.Client, doctor: Person
) -> None:
    answer = api.request(method, f"/doctors/{doctor.id}")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, PATCH"
    assert method == "HEAD" or is_refusal(answer)


PATHS = [
    *("/api/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/docs/../.env"),
    *("/.env", "/.git/config", "/backend/core/settings.py", "//api//v1//clinics", "/api/v1\\clinics"),
    *("/api/v1/%252e%252e/clinics", "/api/v1/clinics;a=b", "/api/v1/clinics%20", "/API/V1/CLINICS"),
    *("/api/v1/clinics/%2e%2e/users/me", "/api/v1/clinics/%2e%2e%2fusers%2fme", "/api/v1/users/%6d%65/../x"),
    *("/api/v1/clinics/%00", "/api/v1/clinics/%ff%fe", "/api/v1/clinics/%zz", "/api/v1/clinics/%25%30%30"),
    *(
        "/api/v1/clinics/" + "a" * 60_000,
        "/api/v1/" + "a/" * 20_000,
        "/api/v1/clinics/" + "%F0%9F%92%A9" * 500,
    ),
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_a_path_that_leads_nowhere_is_refused_as_everything_is(path: str, base_url: str) -> None:
    answer = send_raw(base_url, b"GET " + path.encode() + b" HTTP/1.1\r\n" + ENDS + b"\r\n")
    assert answer.status in (404, 422)
    assert json.loads(answer.body)["error_code"] in ("NOT_FOUND", "VALIDATION_ERROR")


@pytest.mark.parametrize("path", ["/api/v1/clinics/", "/api/v1/users/me/", "/health/", "/docs/"])
def test_a_slash_too_many_is_not_redirected_to_wherever_the_host_header_says(path: str, base_url: str) -> None:
    answer = httpx.get(base_url + path, headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 404
    assert "evil" not in str(answer.headers) + answer.text


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3000.evil.example",
        "http://[::1]:3000",
    ],
)
def test_other_origins_are_given_nothing_by_cors(origin: str, api: httpx.Client) -> None:
    answer = api.get("/clinics", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
    preflight = api.options("/clinics", headers=asked)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers


def test_a_body_of_megabytes_is_refused_however_it_comes(world: World, db: Database[dict[str, Any]]) -> None:
    chunk = b" " * 65_536
    client = world.admin.client
    kind = {"Content-Type": "application/json"}
    with nothing_changes(db):
        for content in (chunk * 64, iter([chunk] * 64)):
            answer = client.post("/departments", content=content, headers=kind)
            assert (answer.status_code, answer.json()["error_code"]) == (413, "BODY_TOO_LARGE")
