"""The timetable of timed work: which function, how often. Every process runs all of it; claims decide."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from pymongo.errors import PyMongoError

from backend.appointments.booking.fit_in import finish_fit_ins
from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core.clock import utc_now
from backend.job_runs import PERIOD_SECONDS, record_run
from backend.messaging.inbound.handle_reply import recover_replies
from backend.messaging.outbox.sender import Outbox
from backend.patients.merging.undo import finish_merges
from backend.patients.registration import finish_registrations
from backend.scheduling.directory_changes import finish_withdrawals, finish_zone_corrections
from backend.scheduling.slots.full_hint import repair_full_hints
from backend.scheduling.slots.horizon import extend_slots

log = logging.getLogger(__name__)

Scheduler: TypeAlias = AsyncIOScheduler
Job: TypeAlias = Callable[[], Awaitable[int]]
"""Returns how many items it did."""

TIMETABLE: dict[str, Job] = {
    "enqueue_due_reminders": enqueue_due_reminders,
    "cancel_unconfirmed": cancel_unconfirmed,
    "mark_no_shows": mark_no_shows,
    "recover_replies": recover_replies,
    "extend_slots": extend_slots,
    "finish_withdrawals": finish_withdrawals,
    "finish_fit_ins": finish_fit_ins,
    "repair_full_hints": repair_full_hints,
    "finish_zone_corrections": finish_zone_corrections,
    "finish_registrations": finish_registrations,
    "finish_merges": finish_merges,
}

RECONCILE_MESSAGES = "reconcile_messages"
"""The job that needs this process's outbox."""

NAMES = frozenset((*TIMETABLE, RECONCILE_MESSAGES))

_JITTER_SECONDS = 5
"""Several processes don't all begin at once."""


@contextmanager
def running_timetable(outbox: Outbox) -> Iterator[Scheduler]:
    """Runs the timetable until the block ends: each job at once, then every minute.

    What is under way then is cancelled with the loop, and another process takes it up.
    """
    scheduler = AsyncIOScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    for name, job in {**TIMETABLE, RECONCILE_MESSAGES: outbox.reconcile}.items():
        trigger = IntervalTrigger(seconds=PERIOD_SECONDS, jitter=_JITTER_SECONDS)
        scheduler.add_job(_run, trigger, args=[name, job], id=name, next_run_time=utc_now())
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.shutdown(wait=False)


async def _run(name: str, job: Job) -> None:
    """One run. A failure is logged and recorded, and the next run tries again: what is due stays due."""
    started, clock, done, failure = utc_now(), time.perf_counter(), 0, None
    try:
        done = await job()
    except Exception as error:  # the outermost edge: whatever failed is recorded, and tried again
        log.exception("job %s failed; it runs again at its next time", name)
        failure = type(error).__name__
    seconds = time.perf_counter() - clock
    with suppress(PyMongoError):  # often the database is what failed; or the job itself has succeeded
        await record_run(name, started=started, seconds=seconds, done=done, failure=failure)
    if done:
        log.info("job %s: %d done", name, done)
