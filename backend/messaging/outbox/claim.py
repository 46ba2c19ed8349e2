"""Decides which messages this process sends now. Each is claimed by one conditional write, so one process gets it.

Queued messages are claimed by an update. An appointment's pending messages are first copied to the log, where a
unique index makes each of them one; those that may go out at once are claimed by the same insert. A claim stores
the exact text, an attempt id and the time before the message is posted. If the process dies, they tell what to look
for at the carrier.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from bson import ObjectId

from backend.appointments import repository as appointments
from backend.appointments.documents import MessageKind, Recipient
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.messaging.content.content import (
    APPOINTMENT_FIELDS,
    Decision,
    MessageContext,
    Send,
    Skip,
    Wait,
    decide,
)
from backend.messaging.content.gsm import segments
from backend.messaging.documents import APPOINTMENT_COPY, SmsStatus, call_list_entry, queued_message
from backend.messaging.metrics import count_outcome
from backend.messaging.outbox import rate_limit, repository

log = logging.getLogger(__name__)

_MAX_APPOINTMENTS = 50
"""Appointments whose pending messages are enqueued at a time: what is enqueued is sent before more is."""

_NEWS_LIFETIME = timedelta(days=1)
"""For how long a message about the past is worth sending."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Messages this process must post now. Each has the event loop's time of its claim as `claimed`, in seconds."""

    to_post: Sequence[Row] = ()
    examined: int = 0
    is_rate_limited: bool = False
    """Whether more messages are due than may be sent in this second."""
    appointments: Sequence[Row] = ()
    """Those whose pending messages are on the log now, and must be removed from them."""


async def claim_queued(limit: int, *, is_real: bool) -> Claimed:
    """Claims up to `limit` queued messages that are due. Messages that must not be sent are skipped.

    If nothing is due, this is one count on an index.
    """
    # Take no more of the rate limit than there is to send: what is taken and not used delays the next message.
    due = await repository.count_due(utc_now(), limit=limit)
    granted = await rate_limit.take(due) if due else 0
    if granted == 0:
        return Claimed(is_rate_limited=due > 0)
    # The lease begins before the reads, which may take long.
    started, now = asyncio.get_running_loop().time(), utc_now()
    rows = _sample(await repository.find_due(now, limit=2 * granted), granted)
    context = await MessageContext.load(rows)
    updates, to_post = [], []
    for row in rows:
        match _decide(row, context, now=now, is_real=is_real):
            case Send() as message:
                fields = _claim_fields(message, now)
                updates.append(repository.claim(row, fields))
                to_post.append({**row, **fields, "attempts": row["attempts"] + 1, "claimed": started})
            case Skip() as skip:
                updates.append(repository.skip(row, _skip_fields(skip, now)))
                count_outcome("skipped", row["kind"])
            case Wait() as wait:
                updates.append(repository.postpone(row, wait.until))
        await asyncio.sleep(0)  # requests of this process are answered between two messages
    if not updates:
        return Claimed()
    if not await repository.update_queued(updates):
        won = await repository.find_claimed([row["attempt_id"] for row in to_post])
        to_post = [row for row in to_post if row["attempt_id"] in won]
    return Claimed(to_post, examined=len(rows), is_rate_limited=granted < due)


async def claim_pending(limit: int, *, is_real: bool) -> Claimed:
    """Copies pending messages of some appointments to the log and claims up to `limit` of them. The rest is queued.

    If nothing is pending, this is one query on an index.
    """
    started, now = asyncio.get_running_loop().time(), utc_now()
    rows = await appointments.find_with_pending_messages(
        fields={*APPOINTMENT_FIELDS, "patient_id", "doctor_id", "pending_messages"},
        limit=min(limit, _MAX_APPOINTMENTS) or _MAX_APPOINTMENTS,
    )
    messages = [new_message(row, pending, now) for row in rows for pending in row["pending_messages"]]
    if not messages:
        return Claimed()
    ready = [message for message in messages if message["not_before"] <= now]
    wanted = min(limit, len(ready))
    granted = await rate_limit.take(wanted) if wanted else 0
    if granted:
        context = await MessageContext.load(ready, rows)
        for message in ready[:granted]:
            _claim_new(message, context, now=now, is_real=is_real)
            await asyncio.sleep(0)
    known = await repository.insert_all(messages)
    ours = [message for message in messages if message["_id"] not in known]
    for message in ours:
        if message["status"] is SmsStatus.SKIPPED:
            count_outcome("skipped", message["kind"])
    to_post = [{**message, "claimed": started} for message in ours if message["status"] is SmsStatus.SENDING]
    return Claimed(to_post, examined=len(messages), appointments=rows)


def new_message(row: Mapping[str, Any], pending: Mapping[str, Any], now: datetime) -> Row:
    """Returns the queued message for an appointment's pending message. It isn't on the log yet."""
    kind, recipient = MessageKind(pending["kind"]), Recipient(pending["to"])
    is_for_patient = recipient is Recipient.PATIENT
    ends_at_start = is_for_patient and kind is not MessageKind.NO_SHOW
    copied = ("occurrence", "reschedule_count", "requests_confirmation")
    return queued_message(
        now,
        _id=ObjectId(),
        kind=kind.value,
        recipient=recipient.value,
        appointment_id=row["_id"],
        **({} if is_for_patient else {"user_id": row["doctor_id"]}),
        **{field: row.get(field) for field in APPOINTMENT_COPY},
        **{field: pending[field] for field in copied},
        not_before=quiet_hours().after(now, ZoneInfo(row["time_zone"])) if is_for_patient else now,
        expires_at=row["start"] if ends_at_start else pending["pending_since"] + _NEWS_LIFETIME,
    )


def _claim_new(message: Row, context: MessageContext, *, now: datetime, is_real: bool) -> None:
    """Changes a queued message, not yet on the log, into one that is claimed, skipped or waits."""
    match _decide(message, context, now=now, is_real=is_real):
        case Send() as text:
            message |= {**_claim_fields(text, now), "attempts": 1}
        case Skip() as skip:
            message |= _skip_fields(skip, now)
        case Wait() as wait:
            message["not_before"] = wait.until
            return
    del message["not_before"]


def _decide(row: Row, context: MessageContext, *, now: datetime, is_real: bool) -> Decision:
    """Decides what to do with a message. A fault of ours delays this message only, by five minutes."""
    try:
        return decide(row, context, now=now, is_real=is_real)
    except Exception:
        log.exception("the text of message %s could not be made", row["_id"])
        return Wait(now + timedelta(minutes=5))


def _sample(found: list[Row], limit: int) -> list[Row]:
    """Returns the first messages, which are urgent, and some of the rest: processes should try different ones."""
    first = max(1, limit // 5)
    rest = found[first:]
    return found[:first] + random.sample(rest, min(limit - first, len(rest)))


def _claim_fields(message: Send, now: datetime) -> Row:
    minutes = message.auto_cancel_minutes
    return {
        "status": SmsStatus.SENDING,
        "phone": message.phone,
        "body": message.body,
        "segments": segments(message.body),
        "language": message.language,
        "attempt_id": uuid4().hex,
        "sending_at": now,
        "claimed_until": now + timedelta(seconds=3 * settings.SMS_TIMEOUT_SECONDS),
        "updated_at": now,
        **({} if minutes is None else {"auto_cancel_minutes": minutes}),
    }


def _skip_fields(skip: Skip, now: datetime) -> Row:
    return {
        "status": SmsStatus.SKIPPED,
        "skip_reason": skip.reason,
        "updated_at": now,
        **call_list_entry(skip.call_reason, now),
    }
