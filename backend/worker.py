"""Timed work: the jobs of the timetable, and sending messages. In the API's process, or in one of its own."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from backend import jobs
from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.logging import configure_logging
from backend.core.settings import settings
from backend.documents import DOCUMENTS
from backend.job_runs import JobRun, list_job_runs
from backend.messaging.outbox.sender import Outbox, open_outbox
from backend.startup import connect

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TimedWork:
    """What does the timed work of this process."""

    scheduler: jobs.Scheduler
    outbox: Outbox


@asynccontextmanager
async def timed_work() -> AsyncIterator[TimedWork]:
    """Does all timed work until the block ends. Any number of processes may: claims decide who does what."""
    async with open_outbox() as outbox:
        with jobs.running_timetable(outbox) as scheduler:
            yield TimedWork(scheduler, outbox)


def work(*, beside_web: bool, metrics_port: int | None) -> int:
    """Does timed work until SIGTERM or Ctrl-C. Returns the exit code.

    Beside web processes it is niced, and leaves Ctrl-C to the parent, which ends it. Their `/metrics` includes its
    own; elsewhere `metrics_port` serves them. Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    configure_logging()
    if metrics_port:
        metrics.serve(metrics_port)
    if beside_web:
        os.nice(10)  # of 19: requests come first
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_work(ends_by=(signal.SIGTERM,) if beside_web else (signal.SIGTERM, signal.SIGINT)))
    return 0


async def _work(*, ends_by: tuple[signal.Signals, ...]) -> None:
    end = asyncio.Event()
    for number in ends_by:
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    try:
        async with connect(DOCUMENTS), timed_work():
            log.info("worker running")
            await end.wait()
    finally:
        metrics.forget_process()


def show_jobs() -> int:
    """Prints when each job last succeeded. Returns 1 if one is late or none has ever run; for health checks.

    Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    # An older version may have had other jobs: theirs stay where they were.
    runs = [run for run in asyncio.run(_read_job_runs()) if run.id in jobs.NAMES]
    now = utc_now()
    for run in runs:
        last = f"{run.last_success:%Y-%m-%d %H:%M:%SZ}" if run.last_success else "never"
        print(f"{run.id:<24} {last:<22} {'LATE' if run.is_late(now) else 'ok'}")
    return int(not runs or any(run.is_late(now) for run in runs))


async def _read_job_runs() -> Sequence[JobRun]:
    async with connect(DOCUMENTS):
        return await list_job_runs()
