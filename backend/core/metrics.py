"""What is measured for Prometheus, over all worker processes.

With several of them, PROMETHEUS_MULTIPROC_DIR must name an empty folder before this module is imported:
`serve --workers` sees to it.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

_requests = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request, by route template.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_cache_reads = Counter("response_cache_reads_total", "Reads through the response cache, by result.", ["result"])
count_cache_hit, count_cache_miss = (_cache_reads.labels(result).inc for result in ("hit", "miss"))

# Processes are counted, because one without a cache must not hide another's: the worker beside web processes.
cache_on = Gauge("response_cache_on", "Processes whose cache is switched on.", multiprocess_mode="livesum")
stream_up = Gauge(
    "change_stream_up", "Processes whose cache follows the database's changes.", multiprocess_mode="livesum"
)
stream_lag = Gauge(
    "change_stream_lag_seconds", "How old the last change was when it arrived.", multiprocess_mode="livemax"
)
batch_size = Histogram(
    "database_batch_size",
    "Requests answered by one database command, by kind: read, insert or update.",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)

slot_hints_on = Gauge(
    "slot_hints_on",
    "Processes whose searches set hints on slots and skip slots by them.",
    multiprocess_mode="livesum",
)
slot_hints_set = Counter("slot_hints_set_total", "Hints that searches set on slots, by kind.", ["hint"])
slot_hints_repaired = Counter("slot_hints_repaired_total", "Wrong hints on slots that were cleared.", ["hint"])


def observe_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Counts one answered request. `route` is a template, so that there are only so many."""
    method = method if method in _METHODS else "other"
    _requests.labels(method, route, str(status)).observe(seconds)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def serve(port: int) -> None:
    """Serves all metrics on a port of their own, for a process that serves nothing else."""
    start_http_server(port)


def forget_process() -> None:
    """Takes back what is true of this process only while it lives."""
    if FOLDER_VARIABLE in os.environ:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
