"""The alarms and the runbook name what a real server measures."""

import re
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.servers import ROOT, serving

pytestmark = pytest.mark.long

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
NOT_OURS = {"up"}
"""Prometheus sets it itself."""
OPERATORS = {"and", "or", "on", "unless"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
NOT_THE_APPLICATIONS = ("python_", "process_")
MADE_BESIDE = "_created"
"""The client adds one for each counter: when it began."""


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "docs" / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def measured(server: object) -> dict[str, str]:
    """The metrics of a process that serves and does timed work: name and type."""
    with serving(environment={"SCHEDULER_ENABLED": "true"}) as program:
        text = httpx.get(f"{program.base_url}/metrics").text
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    return {
        name: kind
        for name, kind in families.items()
        if not name.startswith(NOT_THE_APPLICATIONS) and not name.endswith(MADE_BESIDE)
    }


def series_of(measured: dict[str, str]) -> set[str]:
    """The names by which Prometheus stores them."""
    return {name + suffix for name, kind in measured.items() for suffix in SUFFIXES[kind]}


def metrics_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    for other_words in (r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(by|on|without) \([^)]*\)"):
        expression = re.sub(other_words, " ", expression)
    return set(re.findall(r"\b[a-z][a-z0-9_]*\b(?! *\()", expression)) - OPERATORS


def test_every_metric_of_an_alarm_is_measured(alarms: dict[str, dict[str, Any]], measured: dict[str, str]) -> None:
    known = series_of(measured) | NOT_OURS
    for name, alarm in alarms.items():
        found = metrics_in(alarm["expr"])
        assert found, name
        assert found <= known, f"{name}: {found - known}"


def test_the_runbook_explains_the_ten_alarms(alarms: dict[str, dict[str, Any]]) -> None:
    runbook = re.search(r"^## Runbook$(.*?)^## ", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert runbook
    _, *sections = re.split(r"^### ", runbook.group(1), flags=re.MULTILINE)
    assert [section.partition("\n")[0] for section in sections] == list(alarms)
    assert len(alarms) == 10
    for section in sections:
        for part in ("**Means:**", "**See:**", "**Do:**"):
            assert part in section, section


def test_every_alarm_says_how_urgent_it_is(alarms: dict[str, dict[str, Any]]) -> None:
    for name, alarm in alarms.items():
        assert alarm["labels"]["severity"] in ("page", "ticket"), name
        assert alarm["annotations"]["summary"], name


def test_every_metric_is_explained_and_no_other(measured: dict[str, str]) -> None:
    table = re.search(r"^\| metric \|.*?\n\n", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert table
    explained = re.findall(r"^\| `(\w+)`", table.group(), re.MULTILINE)
    shown = {name + ("_total" if kind == "counter" else "") for name, kind in measured.items()}
    assert sorted(explained) == sorted(shown)
