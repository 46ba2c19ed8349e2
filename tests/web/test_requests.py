"""What every request goes through: limits, origins, ids, faults, and bodies that nobody sends by mistake."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from backend.app import create_app
from backend.core.logging import log_file
from tests.support.servers import ServerThread

MEGABYTES = 3 * 1024 * 1024


def error_of(answer: httpx.Response) -> str:
    body = answer.json()
    assert isinstance(body["detail"], str)
    return str(body["error_code"])


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/appointments", "/time/now", "/nowhere"])
def test_a_body_of_megabytes_is_refused_everywhere(api: httpx.Client, path: str) -> None:
    answer = api.post(path, content=b"x" * MEGABYTES, headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
def test_a_body_of_megabytes_that_does_not_say_so_is_refused(api: httpx.Client, path: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MEGABYTES // 65_536):
            yield b" " * 65_536

    answer = api.post(path, content=pieces(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, error_of(answer)) == (413, "BODY_TOO_LARGE")


def test_the_connection_survives_a_refused_body(base_url: str) -> None:
    with httpx.Client(base_url=base_url) as client:
        for _ in range(2):
            refused = client.post("/api/v1/auth/login", content=b"x" * MEGABYTES)
            assert refused.status_code == 413
            assert client.get("/health").status_code == 200


REGISTRATION = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+15550100001",
    "password": "correct horse battery",
}


def registration(**over: str) -> bytes:
    """A registration as JSON, with raw JSON texts for some fields."""
    fields = {name: json.dumps(value) for name, value in REGISTRATION.items()} | over
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


HOSTILE = {
    "NaN": registration(name="NaN"),
    "NaN for a date": registration(date_of_birth="NaN"),
    "infinity": registration(name="-Infinity"),
    "a huge number": registration(name="1e999"),
    "a huge integer": registration(date_of_birth="9" * 400),
    "an integer of too many digits": registration(date_of_birth="9" * 5000),
    "deep nesting": registration(name="[" * 100_000 + "]" * 100_000),
    "half a surrogate pair": registration(name=r'"Ada \ud800"'),
    "half a surrogate pair in the password": registration(password=r'"correct horse \udfff"'),
    "half a surrogate pair as a name": registration(**{r"\ud800": "1"}),
    "NUL in text": registration(name=r'"Ada \u0000"'),
    "NUL in the password": registration(password=r'"correct \u0000 horse"'),
    "NUL in the e-mail": registration(email=r'"ada\u0000@example.com"'),
    "bytes that are no text": b'{"name": "\xff\xfe"}',
    "no object": b"[]",
    "nothing": b"",
    "broken": b'{"name": ',
    "null": b"null",
    "a bare NaN": b"NaN",
}


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/auth/refresh"])
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_no_client_sends_by_mistake_is_answered_as_a_mistake(api: httpx.Client, path: str, body: bytes) -> None:
    answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 401, 422), answer.text
    assert error_of(answer)
    assert "correct" not in answer.text, "a password comes back"


def test_urls_that_no_client_sends_by_mistake_are_answered_as_mistakes(api: httpx.Client) -> None:
    for path in (
        "/slots/%00",
        "/slots/%ff",
        "/slots?limit=" + "9" * 500,
        "/slots?cursor=%ed%a0%80",
        "/%2e%2e/x",
    ):
        answer = api.get(path)
        assert answer.status_code in (400, 404, 422), f"{path}: {answer.status_code}"
        assert error_of(answer)


def test_unknown_paths_and_methods_have_the_shape_of_errors(api: httpx.Client) -> None:
    assert error_of(api.get("/nowhere")) == "NOT_FOUND"
    answer = api.delete("/time/now")
    assert (answer.status_code, error_of(answer)) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET"


def test_each_answer_has_an_id_of_its_own_or_the_one_it_was_sent_with(api: httpx.Client) -> None:
    first, second = (api.get("/time/now").headers["X-Request-ID"] for _ in range(2))
    assert first != second
    sent = "0123456789abcdef0123456789abcdef"
    assert api.get("/time/now", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent
    forged = api.get("/time/now", headers={"X-Request-ID": 'x", "level": "forged'}).headers["X-Request-ID"]
    assert "forged" not in forged


def test_answers_are_not_to_be_guessed_at_or_kept(api: httpx.Client) -> None:
    headers = api.get("/time/now").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


@pytest.fixture
def faulty() -> Iterator[tuple[ServerThread, FastAPI]]:
    """The application with two routes that fail."""
    app = create_app()

    @app.get("/faulty")
    async def faulty() -> None:
        secret = "-".join(["what", "a", "patient", "said"])
        try:
            int(secret)
        except ValueError as error:
            raise RuntimeError(secret) from error

    server = ServerThread(app, lifespan="off")
    server.start()
    yield server, app
    server.stop()


def test_a_fault_of_ours_has_the_shape_of_errors_and_is_logged_without_data(
    faulty: tuple[ServerThread, FastAPI],
    expected_errors: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, _ = faulty
    answer = httpx.get(
        f"{server.base_url}/faulty", params={"q": "secret"}, headers={"Origin": "http://localhost:3000"}
    )
    assert answer.status_code == 500
    assert error_of(answer) == "INTERNAL_ERROR"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000", "or the browser hides it"
    assert "what-a-patient-said" not in answer.text

    assert len(expected_errors()) == 1, "logged once"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["level"] == "ERROR"]
    assert line["request_id"] == answer.json()["request_id"]
    assert "RuntimeError" in line["exc_info"]
    assert "in faulty" in line["exc_info"]
    assert "ValueError" in line["exc_info"]
    assert "what-a-patient-said" not in json.dumps(line)


def test_a_log_file_that_several_processes_write_is_rotated_by_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "api.log"
    writers = [log_file(path, largest=1000, older=50) for _ in range(3)]
    for number in range(300):
        record = logging.LogRecord("test", logging.INFO, "", 0, f"line {number:04}", None, None)
        writers[number % 3].emit(record)
    for writer in writers:
        writer.close()
    files = sorted(path.parent.glob("api.log*"))
    written = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(written) == [f"line {number:04}" for number in range(300)]
    assert len(files) >= 3
    assert all(file.stat().st_size <= 1000 for file in files)


@pytest.mark.long
def test_logging_is_set_up_once_however_often_the_application_is_built() -> None:
    create_app()
    before = list(logging.getLogger().handlers)
    create_app()
    assert len(logging.getLogger().handlers) == len(before)


def test_a_refused_parameter_is_counted_at_its_route(api: httpx.Client, base_url: str) -> None:
    assert api.get("/slots?doctor=x").status_code == 422
    counted = 'http_request_duration_seconds_count{method="GET",route="/api/v1/slots",status="422"}'
    assert counted in httpx.get(f"{base_url}/metrics").text
