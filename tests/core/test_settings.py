"""Settings, their description, and the files that containers are made from."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.__main__ import _parser
from backend.core.settings import Settings
from tests.support.servers import ROOT

EXAMPLE = (ROOT / ".env.example").read_text()
SHOWN = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    assert sorted(SHOWN) == sorted(Settings.model_fields)


def test_the_example_shows_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "env").write_text(EXAMPLE)
    assert Settings(_env_file=tmp_path / "env") == Settings(_env_file=None)


def test_every_setting_is_explained() -> None:
    """By a comment right above it, or above the setting right above it."""
    for block in EXAMPLE.split("\n\n"):
        if re.search(r"^[A-Z_]+=", block, re.MULTILINE):
            assert block.lstrip("\n").startswith("#"), block


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOT_MINUTES", "")
    monkeypatch.setenv("LOG_FILE", "")
    settings = Settings(_env_file=None)
    assert (settings.SLOT_MINUTES, settings.LOG_FILE) == (30, None)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return parsed


def test_compose_waits_for_a_primary_of_the_set_that_the_url_names(compose: dict[str, Any]) -> None:
    mongo = compose["services"]["mongo"]
    for name in ("api", "worker"):
        service = compose["services"][name]
        assert service["depends_on"]["mongo"]["condition"] == "service_healthy"
        assert service["environment"]["MONGODB_URL"] == "mongodb://mongo:27017/?replicaSet=rs0"
        assert set(service["environment"]) - set(Settings.model_fields) <= {"PORT"}
    assert mongo["command"][:2] == ["--replSet", "rs0"]
    check = " ".join(mongo["healthcheck"]["test"])
    assert 'rs.initiate({_id: "rs0"' in check
    assert "isWritablePrimary" in check
    assert "ports" not in mongo, "no password: nobody outside may reach it"


def test_compose_leaves_timed_work_to_a_worker_that_is_checked(compose: dict[str, Any]) -> None:
    api, worker = compose["services"]["api"], compose["services"]["worker"]
    assert api["environment"]["SCHEDULER_ENABLED"] == "false"
    assert "SCHEDULER_ENABLED" not in worker["environment"]
    assert worker["healthcheck"]["test"] == ["CMD", "python", "-m", "backend", "jobs"]
    assert "ports" not in worker, "its metrics are for this network only"
    for service in (api, worker):
        module, *arguments = service["command"][2:]
        assert module == "backend"
        assert _parser().parse_args(arguments)


def test_the_image_runs_as_nobody_special_and_checks_its_health() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER clinic$", dockerfile, re.MULTILINE)
    assert "/health" in dockerfile
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (ROOT / source).exists()
        assert f"!{source}" in (ROOT / ".dockerignore").read_text()


def test_the_image_leaves_out_what_only_tests_need() -> None:
    """The Dockerfile cuts requirements.txt at this line."""
    needed, cut, tools = (ROOT / "requirements.txt").read_text().partition("# Tests and checks")
    assert cut
    assert "pytest" in tools
    assert "pytest" not in needed
    assert "/^# Tests and checks/,$d" in (ROOT / "Dockerfile").read_text()


def test_every_requirement_is_pinned() -> None:
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.match(r"[A-Za-z0-9-]+==[0-9][^ ;]*( *;.*)?$", line), line
