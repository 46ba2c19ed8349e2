"""What this process may post: each message is claimed by one conditional write, however many processes try.

A queued message is claimed by an update. What an appointment owes becomes a document of the log, made one by a unique
index, and claimed from the first if it can go out at once. The exact text, an attempt id and the time are written
with the claim, before the post. So whoever finds the message later, its process dead, can look for it at the carrier.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import UpdateOne

from backend.appointments.reminders.timetable import silence_cancels
from backend.core.clock import EPOCH, utc_now
from backend.core.settings import settings
from backend.messaging.content.content import CODES, Decision, MessageContext, Skip, Text, Wait, decide
from backend.messaging.content.gsm import segments
from backend.messaging.documents import SmsLog, SmsStatus, call_list_entry
from backend.messaging.metrics import count
from backend.messaging.outbox import enqueue, rate_limit

log = logging.getLogger(__name__)

_CROWD = 2
"""How many times what one process can claim is read, to draw from."""

_FAULTY = timedelta(minutes=5)
"""When a message that could not be made is looked at again."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Messages that this process is to post now. `claimed` is added to each: the loop's time, in seconds."""

    to_post: Sequence[Row] = ()
    looked_at: int = 0
    is_paced: bool = False
    """Whether more are due, but not in this second."""


async def claim_queued(most: int, *, is_real: bool) -> Claimed:
    """Claims up to so many queued messages that are due. Those not to be sent are skipped with the reason."""
    # No more than there is to send: what is taken of a second's pace and not used delays the next message.
    due = await _count_due(most)
    granted = await rate_limit.take(due) if due else 0
    if granted == 0:
        return Claimed(is_paced=due > 0)
    # Before the reads, which may take long too: the lease runs from here.
    started, now = asyncio.get_running_loop().time(), utc_now()
    logs = SmsLog.get_pymongo_collection()
    found = await logs.find(_due(now), sort=[("not_before", 1)], limit=granted * _CROWD).to_list()
    rows = _draw(found, granted)
    around = await MessageContext.of(rows)
    writes, to_post = [], []
    for row in rows:
        as_read = {"_id": row["_id"], "status": SmsStatus.QUEUED, "not_before": row["not_before"]}
        match _decide(row, around, now=now, is_real=is_real):
            case Text() as text:
                fields = _claimed_fields(row, text, around, now)
                writes.append(
                    UpdateOne(
                        as_read, {"$set": fields, "$inc": {"attempts": 1}, "$unset": {"not_before": ""}}
                    )
                )
                to_post.append({**row, **fields, "attempts": row["attempts"] + 1, "claimed": started})
            case Skip() as skip:
                writes.append(UpdateOne(as_read, _skipped(row, skip, now)))
                count("skipped", row["kind"])
            case Wait() as wait:
                writes.append(UpdateOne(as_read, {"$set": {"not_before": wait.until}}))
    if not writes:
        return Claimed()
    result = await logs.bulk_write(writes, ordered=False)
    if result.matched_count < len(writes):
        to_post = await _won(to_post)
    return Claimed(to_post, looked_at=len(rows), is_paced=granted < due)


@dataclass(frozen=True, slots=True)
class TakenOver(Claimed):
    """Of these appointments, what they owed is on the log now: it is still to be struck there."""

    appointments: Sequence[Row] = ()


async def claim_pending(most: int, *, is_real: bool) -> TakenOver:
    """Takes some of what is owed over into the log, and claims up to so many at once. The others are queued."""
    started, now = asyncio.get_running_loop().time(), utc_now()
    appointments = await enqueue.owing(most)
    logs = [
        enqueue.log_of(row, pending_messages, now)
        for row in appointments
        for pending_messages in row["pending_messages"]
    ]
    if not logs:
        return TakenOver()
    ready = [row for row in logs if row["not_before"] <= now]
    wanted = min(most, len(ready))
    granted = await rate_limit.take(wanted) if wanted else 0
    if granted:
        around = await MessageContext.of(ready, appointments)
        for row in ready[:granted]:
            _decide_at_once(row, around, now=now, is_real=is_real)
    known = await enqueue.write_down(logs)
    ours = [row for row in logs if row["_id"] not in known]
    for row in ours:
        if row["status"] is SmsStatus.SKIPPED:
            count("skipped", row["kind"])
    to_post = [{**row, "claimed": started} for row in ours if row["status"] is SmsStatus.SENDING]
    return TakenOver(to_post, looked_at=len(logs), appointments=appointments)


def _decide_at_once(row: Row, around: MessageContext, *, now: datetime, is_real: bool) -> None:
    """Makes a document that was to be queued one that is claimed, or skipped."""
    match _decide(row, around, now=now, is_real=is_real):
        case Text() as text:
            row |= {**_claimed_fields(row, text, around, now), "attempts": 1}
        case Skip() as skip:
            row |= _skipped(row, skip, now)["$set"]
        case Wait() as wait:
            row["not_before"] = wait.until
            return
    del row["not_before"]


def _due(now: datetime) -> Row:
    return {"not_before": {"$gt": EPOCH, "$lte": now}}


async def _count_due(most: int) -> int:
    """How many messages are due, as far as to so many."""
    found: int = await SmsLog.get_pymongo_collection().count_documents(_due(utc_now()), limit=most)
    return found


def _decide(row: Row, around: MessageContext, *, now: datetime, is_real: bool) -> Decision:
    """What to do with a message; what can't be said of it for a fault of ours holds up no other message."""
    try:
        return decide(row, around, now=now, is_real=is_real)
    except Exception:
        log.exception("message %s can't be made", row["_id"])
        return Wait(now + _FAULTY)


def _draw(found: list[Row], most: int) -> list[Row]:
    """The first ones, which are urgent, and some of the others: so that not all processes try to claim the same."""
    first = max(1, most // 5)
    rest = found[first:]
    return found[:first] + random.sample(rest, min(most - first, len(rest)))


def _claimed_fields(row: Row, text: Text, around: MessageContext, now: datetime) -> Row:
    clinic = around.clinics.get(row.get("clinic_id"))  # type: ignore[arg-type]
    return {
        "status": SmsStatus.SENDING,
        "phone": text.phone,
        "body": text.body,
        "segments": segments(text.body),
        "language": text.language,
        "attempt_id": uuid4().hex,
        "sending_at": now,
        "claimed_until": now + timedelta(seconds=3 * settings.SMS_TIMEOUT_SECONDS),
        "updated_at": now,
        **(
            {"auto_cancel_minutes": silence_cancels(clinic.rules)}
            if clinic and row.get("requests_confirmation")
            else {}
        ),
    }


def _skipped(row: Row, skip: Skip, now: datetime) -> Row:
    return {
        "$set": {
            "status": SmsStatus.SKIPPED,
            "skipped_because": skip.because,
            "updated_at": now,
            **call_list_entry(skip.call_reason, now),
        },
        "$unset": {"not_before": "", **({"body": ""} if row["kind"] in CODES else {})},
    }


async def _won(rows: Sequence[Row]) -> list[Row]:
    """Of the messages that this process tried to claim, those that no other was faster to claim."""
    attempts = [row["attempt_id"] for row in rows]
    found = SmsLog.get_pymongo_collection().find({"attempt_id": {"$in": attempts}}, {"attempt_id": 1})
    ours = {row["attempt_id"] async for row in found}
    return [row for row in rows if row["attempt_id"] in ours]
