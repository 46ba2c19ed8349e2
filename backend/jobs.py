"""The timetable of timed work: which function, how often. Every process runs all of it; claims decide."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from pymongo.errors import PyMongoError

from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import metrics
from backend.core.clock import utc_now
from backend.job_runs import record_failure, record_success
from backend.messaging.inbound.handle_reply import recover_replies
from backend.messaging.outbox.sender import Outbox
from backend.scheduling.slots.full_hint import repair_full_hints
from backend.scheduling.slots.horizon import extend_slots

log = logging.getLogger(__name__)

Scheduler: TypeAlias = AsyncIOScheduler


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the timetable. `run` returns how many items it did."""

    name: str
    run: Callable[[], Awaitable[int]]
    period_seconds: int = 60


TIMETABLE = (
    Job("enqueue_due_reminders", enqueue_due_reminders),
    Job("cancel_unconfirmed", cancel_unconfirmed),
    Job("mark_no_shows", mark_no_shows),
    Job("recover_replies", recover_replies),
    Job("extend_slots", extend_slots),
    Job("repair_full_hints", repair_full_hints),
)

RECONCILE_MESSAGES = "reconcile_messages"
"""The job that needs this process's outbox."""

NAMES = frozenset((*(job.name for job in TIMETABLE), RECONCILE_MESSAGES))

_JITTER_SECONDS = 5
"""Several processes don't all begin at once."""


def start(outbox: Outbox) -> Scheduler:
    """Starts the timetable on the running loop: each job at once, then once in its period."""
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for job in (*TIMETABLE, Job(RECONCILE_MESSAGES, outbox.reconcile)):
        trigger = IntervalTrigger(seconds=job.period_seconds, jitter=_JITTER_SECONDS)
        scheduler.add_job(_run, trigger, args=[job], id=job.name, next_run_time=utc_now())
    scheduler.start()
    return scheduler


def stop(scheduler: Scheduler) -> None:
    """Stops the timetable. What is under way is cancelled with the loop, and another process takes it up."""
    scheduler.shutdown(wait=False)


def running(scheduler: Scheduler) -> bool:
    """Whether the timetable runs."""
    return bool(scheduler.running)


async def _run(job: Job) -> None:
    """One run. A failure is logged and recorded, and the next run tries again: what is due stays due."""
    started, clock = utc_now(), time.perf_counter()
    try:
        done = await job.run()
    except Exception as error:  # the outermost edge: whatever failed is recorded, and tried again
        log.exception("job %s failed; it runs again at its next time", job.name)
        seconds = time.perf_counter() - clock
        metrics.observe_job(job.name, seconds=seconds, succeeded=False)
        with suppress(PyMongoError):  # often the database is what failed
            await record_failure(
                job.name,
                period_seconds=job.period_seconds,
                started=started,
                seconds=seconds,
                error=type(error).__name__,
            )
        return
    seconds = time.perf_counter() - clock
    metrics.observe_job(job.name, seconds=seconds, succeeded=True)
    with suppress(PyMongoError):  # the job itself has succeeded
        await record_success(
            job.name, period_seconds=job.period_seconds, started=started, seconds=seconds, done=done
        )
    if done:
        log.info("job %s: %d done", job.name, done)
