import os
import pty
import subprocess
import sys
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from tests.support.servers import ROOT, Program, launch

pytestmark = pytest.mark.long

PASSWORD = "correct horse battery staple"
GRACE = ("--name", "Grace Hopper", "--email", "Grace@Example.com", "--phone", "+1 555 010 0042")


def create_admin(*arguments: str, password: str = PASSWORD) -> Program:
    program = launch("-m", "backend", "create-admin", *arguments, environment={"ADMIN_PASSWORD": password})
    program.wait()
    assert "Traceback" not in program.output
    assert password not in program.output
    return program


def test_the_first_administrator_can_log_in(api: httpx.Client, db: Database[dict[str, Any]]) -> None:
    program = create_admin(*GRACE)
    assert program.process.returncode == 0, program.output
    stored = db.users.find_one({"email": "grace@example.com"}, hint=[("_id", 1)])
    assert stored
    assert (stored["role"], stored["phone"]) == ("admin", "+15550100042")
    answer = api.post("/auth/login", json={"email": "grace@example.com", "password": PASSWORD})
    assert answer.status_code == 200

    again = create_admin(*GRACE)
    assert again.process.returncode == 1
    assert again.output == "There is an account with this e-mail already."


def test_it_takes_what_the_api_takes() -> None:
    program = create_admin("--name", "Grace", "--email", "nonsense", "--phone", "12", password="short")
    assert program.process.returncode == 2
    assert [line.partition(":")[0] for line in program.lines] == ["email", "phone", "password"]


def test_without_anybody_to_ask_it_says_what_is_missing() -> None:
    program = create_admin("--name", "Grace")
    assert program.process.returncode == 2
    assert "--email" in program.output


@pytest.mark.timeout(60)
def test_it_asks_for_what_is_missing(db: Database[dict[str, Any]]) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "backend", "create-admin"],
        cwd=ROOT,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    shown = ""
    for question, answer in (
        ("Name:", "Ada"),
        ("E-mail:", "ada@example.com"),
        ("Phone:", "+15550100043"),
        ("Password", PASSWORD),
    ):
        while question not in shown:
            shown += os.read(terminal, 1000).decode()
        os.write(terminal, f"{answer}\n".encode())
    try:
        while text := os.read(terminal, 1000).decode():
            shown += text
    except OSError:  # the terminal is closed with its program
        pass
    assert process.wait(10) == 0, shown
    assert PASSWORD not in shown
    assert db.users.find_one({"email": "ada@example.com"}, hint=[("_id", 1)])
