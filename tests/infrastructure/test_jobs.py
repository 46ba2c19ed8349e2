"""Timed jobs: what each run leaves behind, and what readiness says of it."""

import os
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from backend.core.clock import utc_now
from backend.jobs import NAMES
from tests.support.servers import free_port, launch, serving

Db = Database[dict[str, Any]]
LONG_AGO = timedelta(minutes=10)
TIMED = {"SCHEDULER_ENABLED": "true"}


def a_run(name: str, **more: Any) -> dict[str, Any]:
    started = utc_now() - LONG_AGO
    return {
        "_id": name,
        "period_seconds": 60,
        "first_started": started,
        "last_started": started,
        "last_success": started,
        **more,
    }


def readiness(base_url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{base_url}/health/ready").json()
    return answer


@pytest.mark.long
def test_every_job_records_its_success_and_is_counted(base_url: str, db: Db) -> None:
    with serving(environment=TIMED) as program:
        deadline = time.monotonic() + 20
        while {job["name"] for job in readiness(program.base_url)["jobs"]} != NAMES:
            assert time.monotonic() < deadline, readiness(program.base_url)
            time.sleep(0.1)
        assert not any(job["is_late"] for job in readiness(program.base_url)["jobs"])
        counted = httpx.get(f"{program.base_url}/metrics").text
    for name in NAMES:
        assert f'job_runs_total{{job="{name}",result="success"}}' in counted
        assert f'job_last_success_timestamp_seconds{{job="{name}"}}' in counted
    assert all(run["duration_ms"] >= 0 and run["failures_in_a_row"] == 0 for run in db["job_runs"].find())


@pytest.mark.long
def test_a_worker_of_its_own_serves_its_metrics(base_url: str, db: Db) -> None:
    port = free_port()
    program = launch("-m", "backend", "worker", "--metrics-port", str(port))
    try:
        deadline = time.monotonic() + 20
        while {run["_id"] for run in db["job_runs"].find({}, hint=[("_id", 1)])} != NAMES:
            assert time.monotonic() < deadline, program.output
            time.sleep(0.1)
        counted = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        program.stop()
    for name in NAMES:
        assert f'job_last_success_timestamp_seconds{{job="{name}"}}' in counted
    assert 'sms_waiting{status="queued"}' in counted


@pytest.mark.long
def test_a_job_that_keeps_failing_makes_its_process_unready(base_url: str, db: Db) -> None:
    db["job_runs"].insert_one(a_run("cancel_unconfirmed"))
    db["appointments"].insert_one({"auto_cancel_at": utc_now() - LONG_AGO, "active": False})  # unreadable
    with serving(environment=TIMED) as program:
        deadline = time.monotonic() + 20
        while "late_jobs" not in (found := readiness(program.base_url)):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert (found["error_code"], found["late_jobs"]) == ("NOT_READY", ["cancel_unconfirmed"])
    stored = db["job_runs"].find_one({"_id": "cancel_unconfirmed"})
    assert stored
    assert (stored["last_error"], stored["failures_in_a_row"]) == ("ValidationError", 1)


def test_a_web_process_names_a_late_job_of_the_worker_and_stays(base_url: str, db: Db) -> None:
    db["job_runs"].insert_many([a_run("mark_no_shows"), a_run("a job of an older version")])
    found = readiness(base_url)
    assert found["status"] == "ready"
    assert [(job["name"], job["is_late"]) for job in found["jobs"]] == [("mark_no_shows", True)]


@pytest.mark.long
@pytest.mark.parametrize(("age", "code"), [(timedelta(minutes=4), 0), (timedelta(minutes=6), 1)])
def test_the_command_line_fails_while_a_job_is_late(base_url: str, db: Db, age: timedelta, code: int) -> None:
    run = a_run("mark_no_shows", last_success=utc_now() - age)
    db["job_runs"].insert_many([run, a_run("a job of an older version")])
    program = launch("-m", "backend", "jobs", environment=dict(os.environ))
    assert program.wait() == code, program.output
    assert ("LATE" in program.output) == bool(code)
