"""Traces: a real collector receives what a real server sends, and nothing about a patient."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.factories import Person
from tests.support.servers import ROOT, serving


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP and keeps them, as bytes too."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Receive)

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables that lead here, without waiting for full batches."""
        return {
            "OTEL_ENABLED": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_SERVICE_NAME": "the-clinic",
            "NO_PROXY": "*",
        }

    @property
    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.received]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, name: str, seconds: float = 30) -> Span:
        """The first span of this name."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for span in self.spans:
                if span.name == name:
                    return span
            time.sleep(0.05)
        raise AssertionError(f"no span {name} among {sorted({span.name for span in self.spans})}")


class _Receive(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.received.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def attributes_of(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}


@pytest.mark.long
@pytest.mark.parametrize("indexed", ["true", "false"])
def test_a_request_is_traced_to_its_commands_and_no_patient(base_url: str, admin: Person, indexed: str) -> None:
    with collecting() as collector:
        environment = {**collector.environment, "ROUTE_INDEX_ENABLED": indexed}
        with serving(environment=environment) as program:
            _use(program.base_url, admin)
            request = collector.wait_for("GET /api/v1/patients")
            collector.wait_for("POST /api/v1/auth/register")
        assert program.wait() == 0, program.output
        spans, sent = collector.spans, b"".join(collector.received)
    assert (request.kind, attributes_of(request)["http.route"]) == (
        Span.SPAN_KIND_SERVER,
        "/api/v1/patients",
    )
    assert attributes_of(request)["http.response.status_code"] == "200"
    children = [span for span in spans if span.parent_span_id == request.span_id]
    assert {attributes_of(child)["db.collection.name"] for child in children} >= {"users"}
    assert all(child.kind == Span.SPAN_KIND_CLIENT for child in children)
    assert all(child.trace_id == request.trace_id for child in children)
    assert not [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT and not span.parent_span_id]
    for hidden in (
        "Lovelace",
        "ada.l@",
        "5550142",
        "somebody",
        "wrong-token",
        "hidden-path",
        "a-secret-host",
    ):
        assert hidden.encode() not in sent, hidden
    assert b"the-clinic" in sent


def _use(base_url: str, admin: Person) -> None:
    """Asks with personal data in every place that a request has."""
    ada = {
        "name": "Ada Lovelace",
        "email": "ada.l@example.com",
        "phone": "+15555550142",
        "password": "somebody knows it",
    }
    headers = {"User-Agent": "somebody", "Host": "a-secret-host"}
    login = {"Authorization": f"Bearer {admin.token}"}
    with httpx.Client(base_url=base_url, headers=headers) as client:
        assert client.post("/api/v1/auth/register", json=ada).status_code == 201
        assert client.post("/api/v1/auth/register", json=ada).status_code == 409
        found = client.get("/api/v1/patients", params={"q": "Lovelace"}, headers=login)
        assert found.status_code == 200, found.text
        client.get("/api/v1/patients?token=wrong-token")
        client.get("/hidden-path/5550142?phone=5550142")


@pytest.mark.long
def test_a_collector_that_is_away_disturbs_nobody(base_url: str) -> None:
    with Collector() as unheard:
        environment = {**unheard.environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with serving(environment=environment) as program:
        assert httpx.get(f"{program.base_url}/api/v1/time/now").status_code == 200
        time.sleep(0.5)
    assert program.wait() == 0, "it ends by itself, in time"


@pytest.mark.long
def test_where_it_is_off_nothing_of_it_is_loaded() -> None:
    """FastAPI itself imports OpenTelemetry's interface, and nothing behind it."""
    code = "import sys, backend.app, backend.worker; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "backend.app" in loaded
    behind = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf")
    assert not [name for name in loaded if name.startswith(behind) or name == "backend.web.tracing"]
