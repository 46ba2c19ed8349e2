"""The timetable of timed work: which function, how often. Every process runs all of it; claims decide."""

import logging
from collections.abc import Awaitable, Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from pymongo.errors import PyMongoError

from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.auto_cancel import cancel_unconfirmed
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.messaging.inbound.handle_reply import recover_replies
from backend.messaging.outbox.sender import Outbox
from backend.scheduling.slots.full_hint import look_through
from backend.scheduling.slots.horizon import extend_slots

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[int]]

TIMETABLE: tuple[tuple[str, Job], ...] = (
    ("enqueue_due_reminders", enqueue_due_reminders),
    ("cancel_unconfirmed", cancel_unconfirmed),
    ("mark_no_shows", mark_no_shows),
    ("recover_replies", recover_replies),
    ("extend_slots", extend_slots),
    ("offer_slots_again", look_through),
)


def start(outbox: Outbox) -> AsyncIOScheduler:
    """Starts the timetable on the running loop: each job once a minute, for the first time at once."""
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for name, job in (*TIMETABLE, ("reconcile_messages", outbox.reconcile)):
        each_minute = IntervalTrigger(minutes=1, jitter=5)
        scheduler.add_job(_run, each_minute, args=[name, job], id=name, next_run_time=utc_now())
    scheduler.start()
    return scheduler


def stop(scheduler: AsyncIOScheduler) -> None:
    """Stops the timetable; what is under way is cancelled with the loop and picked up by another process."""
    scheduler.shutdown(wait=False)


def running(scheduler: AsyncIOScheduler | None) -> bool:
    """Whether timed work is being done."""
    return scheduler is not None and bool(scheduler.running)


async def _run(name: str, job: Job) -> None:
    """One run. A failure is logged and the next run tries again: what is due stays due."""
    try:
        done = await job()
    except (PyMongoError, DomainError):
        log.exception("job %s failed; it runs again at its next time", name)
    else:
        if done:
            log.info("job %s: %d done", name, done)
