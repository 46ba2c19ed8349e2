"""Traces of requests and of the database commands they cause. Imported only where OTEL_ENABLED.

Spans hold no personal data: of a request its method, route and status, of a command its name and its collection.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

_HIDDEN = ("url.path", "url.query", "server.address")
"""Attributes that FastAPI fills with what the client sent."""


@contextmanager
def tracing() -> Iterator[None]:
    """Sends spans to the collector that the standard OTEL_* variables name, until the block ends.

    Once in a process: neither OpenTelemetry's provider nor PyMongo's listeners can be taken back.
    """
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_HideRequest())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # FastAPI makes the spans of requests with it
    monitoring.register(_Commands(provider.get_tracer("backend")))
    try:
        yield
    finally:
        provider.shutdown()


def name_span(method: str, route: str) -> None:
    """Names the request's span by its route. FastAPI doesn't know it where the route index has found it."""
    span = trace.get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


class _HideRequest(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        span.set_attributes({name: "" for name in _HIDDEN if name in (span.attributes or {})})


class _Commands(monitoring.CommandListener):
    """Makes a span of each command that a request waits for.

    The instrumentation on PyPI exports the text of errors, which may hold a patient's data, and traces the change
    stream, which asks all the time.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[int, trace.Span] = {}

    def started(self, event: CommandStartedEvent) -> None:
        if not trace.get_current_span().is_recording():
            return
        attributes = {"db.system.name": "mongodb", "db.operation.name": event.command_name}
        if isinstance(collection := event.command.get(event.command_name), str):
            attributes["db.collection.name"] = collection
        self._spans[event.request_id] = self._tracer.start_span(
            event.command_name, kind=SpanKind.CLIENT, attributes=attributes
        )

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if span := self._spans.pop(event.request_id, None):
            span.end()

    def failed(self, event: CommandFailedEvent) -> None:
        if span := self._spans.pop(event.request_id, None):
            span.set_status(Status(StatusCode.ERROR))
            span.end()
