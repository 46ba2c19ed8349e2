"""Real processes from the outside: workers, metrics, logs, the end, and a database that goes away."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest

from backend.devtools.mongod import Mongod
from backend.devtools.processes import command_line_of
from tests.support.servers import Program, free_port, launch

pytestmark = pytest.mark.long

SECRET_TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2VjcmV0"


def start(environment: dict[str, str], *command: str) -> Program:
    port = free_port()
    program = launch(*command, "--port", str(port), environment=environment)
    program.base_url = f"http://127.0.0.1:{port}"
    return program.wait_until_ready()


def mongod_of(environment: dict[str, str]) -> Mongod:
    return Mongod(Path(environment["DATA_DIR"]) / "mongodb")


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def log_of(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.lines if line]


@pytest.fixture
def two_workers(private_environment: dict[str, str]) -> Iterator[Program]:
    environment = {**private_environment, "LOG_FILE": f"{private_environment['DATA_DIR']}/logs/api.log"}
    program = start(environment, "-m", "backend", "serve", "--workers", "2")
    yield program
    program.stop()


def test_two_workers_count_together_log_in_json_and_end_together(
    two_workers: Program, private_environment: dict[str, str]
) -> None:
    program = two_workers
    assert not program.output.startswith("Traceback")
    asked = 40
    for number in range(asked):
        with httpx.Client(base_url=program.base_url) as client:  # a connection each, so that both are asked
            answer = client.get(
                "/api/v1/time/now",
                params={"secret_query": number},  # which it refuses
                headers={"Authorization": f"Bearer {SECRET_TOKEN}", "X-Request-ID": f"{number:032x}"},
            )
            assert answer.headers["X-Request-ID"] == f"{number:032x}"
    httpx.get(f"{program.base_url}/nobody/made/this")

    counted = httpx.get(f"{program.base_url}/metrics").text
    wanted = r'http_request_duration_seconds_count\{method="GET",route="/api/v1/time/now",status="422"\} (\S+)'
    assert [float(count) for count in re.findall(wanted, counted)] == [asked]
    assert 'route="unknown",status="404"' in counted
    assert "nobody" not in counted

    wait_until(lambda: program.output.count('"route": "/api/v1/time/now"') == asked, program.output)
    requests = [line for line in log_of(program) if line["logger"] == "backend.access"]
    logged = [line for line in requests if line["route"] == "/api/v1/time/now"]
    assert {line["request_id"] for line in logged} == {f"{number:032x}" for number in range(asked)}
    assert {(line["method"], line["status"]) for line in logged} == {("GET", 422)}
    for hidden in ("secret_query", "c2VjcmV0", "nobody/made", "127.0.0.1:5"):
        assert hidden not in json.dumps(requests)
    file = Path(private_environment["DATA_DIR"]) / "logs" / "api.log"
    in_file = [json.loads(line) for line in file.read_text().splitlines()]
    assert len([line for line in in_file if line.get("route") == "/api/v1/time/now"]) == asked

    program.interrupt()
    assert program.wait() == 0, program.output
    assert "Traceback" not in program.output
    assert mongod_of(private_environment).pid is None


def workers_of(program: Program) -> list[tuple[int, int]]:
    """Process id and niceness of the processes that do its timed work."""
    shown = subprocess.run(["ps", "-eo", "pid,ppid,ni,args"], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=3) for line in shown.stdout.splitlines()[1:]]
    own = [row for row in rows if int(row[1]) == program.process.pid]
    return [(int(pid), int(niceness)) for pid, _, niceness, command in own if " backend worker" in command]


def test_with_several_workers_one_more_process_does_timed_work(private_environment: dict[str, str]) -> None:
    environment = {**private_environment, "SCHEDULER_ENABLED": "true"}
    program = start(environment, "-m", "backend", "serve", "--workers", "2")
    try:
        program.wait_for_line("worker running")
        [(pid, niceness)] = workers_of(program)
        assert niceness == 10
        assert httpx.get(f"{program.base_url}/health/ready").json()["scheduler"] == "disabled"
        for shown in (
            "response_cache_on 2.0",
            "slot_hints_on 2.0",
            "job_last_success_timestamp_seconds{",
        ):  # the worker has no cache, and doesn't search
            wait_until(lambda shown=shown: shown in httpx.get(f"{program.base_url}/metrics").text, shown)
        switches = [line for line in log_of(program) if line["message"] == "mechanisms for speed"]
        assert [line["SLOT_HINTS_ENABLED"] for line in switches] == [True, True]
        os.kill(pid, signal.SIGKILL)
        program.wait_for_line("it is started again")
        wait_until(lambda: program.output.count("worker running") == 2, program.output)
        [(second, _)] = workers_of(program)
        assert second != pid
        program.interrupt()
        assert program.wait() == 0, program.output
        assert not command_line_of(second)
        assert "Traceback" not in program.output
    finally:
        program.kill()


def test_a_worker_alone_ends_when_it_is_told_to(private_environment: dict[str, str]) -> None:
    mongod = mongod_of(private_environment)
    environment = {**private_environment, "MONGODB_URL": mongod.start(), "SCHEDULER_ENABLED": "true"}
    try:
        program = launch("-m", "backend", "worker", environment=environment)
        program.wait_for_line("worker running")
        program.process.terminate()
        assert program.wait() == 0, program.output
        assert "Traceback" not in program.output
    finally:
        mongod.release()


def test_uvicorn_serves_it_with_several_workers_and_one_mongod(private_environment: dict[str, str]) -> None:
    program = start(private_environment, "-m", "uvicorn", "backend.app:app", "--workers", "2")
    wait_until(lambda: program.output.count("Application startup complete.") == 2, program.output)
    mongod = mongod_of(private_environment)
    assert mongod.pid is not None
    assert httpx.get(f"{program.base_url}/health/ready").json()["database"] == "ok"
    program.stop()
    assert mongod.pid is None
    assert "Traceback" not in program.output


def test_ctrl_c_while_demo_data_is_made_stops_everything(private_environment: dict[str, str]) -> None:
    program = launch("-m", "backend", "serve", "--demo", "--port", "0", environment=private_environment)
    program.wait_for_line("database connected")
    time.sleep(1)
    program.interrupt()
    assert program.wait() == 130, program.output
    assert "Traceback" not in program.output
    assert mongod_of(private_environment).pid is None


def test_a_database_that_goes_away_is_said_and_found_again(private_environment: dict[str, str]) -> None:
    database = Mongod(Path(private_environment["DATA_DIR"]) / "own")
    environment = {**private_environment, "MONGODB_URL": database.start(), "SCHEDULER_ENABLED": "true"}
    program = start(environment, "-m", "backend", "serve")
    try:
        with httpx.Client(base_url=program.base_url, timeout=30) as client:
            ready = client.get("/health/ready")
            assert (ready.status_code, ready.json()["scheduler"]) == (200, "running")

            assert database.pid
            os.kill(database.pid, signal.SIGSTOP)
            # The system may let it answer for a moment yet.
            wait_until(lambda: client.get("/health/ready").status_code == 503, "hung")
            _is_not_ready(client)
            os.kill(database.pid, signal.SIGCONT)
            wait_until(lambda: client.get("/health/ready").status_code == 200, "hung, then ready")

            os.kill(database.pid, signal.SIGKILL)
            wait_until(lambda: database.pid is None, "killed")
            _is_not_ready(client)
            _is_unavailable(client)
            database.release()
            database.start()
            wait_until(lambda: client.get("/health/ready").status_code == 200, "gone, then ready")
            assert client.get("/api/v1/slots").status_code == 200
        program.process.terminate()
        assert program.wait() == 0, program.output
    finally:
        program.kill()
    assert "Traceback" not in program.output


def _is_not_ready(client: httpx.Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["error_code"] == "NOT_READY"
    assert (answer.json()["database"], answer.json()["scheduler"]) == ("unreachable", "running")
    assert client.get("/health").status_code == 200, "it lives all the same"


def _is_unavailable(client: httpx.Client) -> None:
    started = time.monotonic()
    answer = client.get("/api/v1/slots")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "DATABASE_UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - started < 8


def test_everybody_killed_is_recovered_from_at_the_next_start(private_environment: dict[str, str]) -> None:
    program = start(private_environment, "-m", "backend", "serve")
    mongod = mongod_of(private_environment)
    first = mongod.pid
    with pymongo.MongoClient(_url(mongod)) as client:
        client.running.notes.insert_one({"_id": "kept"})
    program.kill()
    assert mongod.pid == first, "an orphan"
    second = start(private_environment, "-m", "backend", "serve")
    assert mongod.pid == first, "adopted"
    with pymongo.MongoClient(_url(mongod)) as client:
        assert client.running.notes.find_one({"_id": "kept"})
    second.interrupt()
    assert second.wait() == 0, second.output
    assert "Traceback" not in second.output
    assert mongod.pid is None, "stopped with its last user"


def _url(mongod: Mongod) -> str:
    port = (mongod.folder / "mongod.port").read_text()
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"
