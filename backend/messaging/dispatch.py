"""Sends what is queued. Every process may do so at once: each message is claimed by one conditional write.

The exact text, an attempt id and the time are written with the claim, before the post. So whoever finds the message
later, its process dead, can look for it at the carrier.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from backend.core.clock import EPOCH, utc_now
from backend.core.settings import settings
from backend.core.traffic import requests_first
from backend.messaging import outcomes, pacing
from backend.messaging.carrier import IN_FLIGHT, Carrier, Outcome
from backend.messaging.collecting import collect
from backend.messaging.composing import CODES, Decision, Skip, Surroundings, Text, Wait, decide
from backend.messaging.documents import SmsLog, SmsStatus, attention
from backend.messaging.figures import count
from backend.messaging.gsm import segments

log = logging.getLogger(__name__)

_CROWD = 2
"""How many times what one process can claim is read, to draw from."""

_AT_HAND = 3 * IN_FLIGHT
"""Messages claimed at one time, those included whose outcome is being written down. Were this process to die, the
outcome of all of them would be unknown."""

_FEWEST = IN_FLIGHT // 2
"""Messages that must be through before the next are claimed: one by one would cost a read for each."""

_FAULTY = timedelta(minutes=5)
"""When a message that could not be made is looked at again."""

Row = dict[str, Any]


class Dispatcher:
    """Sends messages through a carrier, so many at a time."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._posts: set[asyncio.Task[None]] = set()
        self._lines = asyncio.Semaphore(IN_FLIGHT)
        self._is_ending = False
        self.is_heard = True
        """Whether the carrier answered when it was last spoken to."""

    def end(self) -> None:
        """Claims nothing more."""
        self._is_ending = True

    async def dispatch(self) -> int:
        """Takes over what is owed, sends until nothing is due and waits for the answers. How many were posted."""
        posted = await self.begin()
        await self.finish()
        return posted

    async def begin(self) -> int:
        """Takes over what is owed and begins to post until nothing is due: a slow answer holds nobody else up."""
        posted = 0
        while not self._is_ending:
            await requests_first()
            # Some at a time: however much comes in, what was taken over is sent in between.
            taken = await collect()
            await self._wait_for_room()
            # No more than there is to send: what is taken of a second's pace and not used delays the next message.
            due = await _count_due(min(IN_FLIGHT, _AT_HAND - len(self._posts)))
            if due == 0:
                if taken:
                    continue
                break
            granted = await pacing.take(due)
            if granted == 0:
                if not taken:
                    await asyncio.sleep(1 - utc_now().timestamp() % 1)
                continue
            looked_at, claimed = await _claim(granted, is_real=self._carrier.is_real)
            for row in claimed:
                task = asyncio.create_task(self._post(row))
                self._posts.add(task)
                task.add_done_callback(self._posts.discard)
            posted += len(claimed)
            if looked_at == 0 and not taken:
                break
        return posted

    async def finish(self) -> None:
        """Waits for the posts under way."""
        if self._posts:
            await asyncio.wait(self._posts)

    async def _wait_for_room(self) -> None:
        while len(self._posts) > _AT_HAND - _FEWEST:
            await asyncio.wait(self._posts, return_when=asyncio.FIRST_COMPLETED)

    async def _post(self, row: Row) -> None:
        claimed = row.pop("claimed")
        try:
            async with self._lines:
                if asyncio.get_running_loop().time() - claimed > settings.SMS_TIMEOUT_SECONDS:
                    # This process was held up, and its lease may lapse while it posts. Nothing was sent yet.
                    await outcomes.put_back(row, at=utc_now())
                    return
                await requests_first()
                posted = await self._carrier.post(
                    to=row["phone"], body=row["body"], attempt_id=row["attempt_id"]
                )
            await requests_first()
            self.is_heard = posted.outcome is not Outcome.UNKNOWN and not posted.is_unheard
            await outcomes.record(row, posted)
        except PyMongoError:
            # The lease lapses, and the message is settled like one whose process has died.
            log.exception("message %s: its outcome could not be recorded", row["_id"])


async def _count_due(most: int) -> int:
    """How many messages are due, as far as to so many."""
    due = {"not_before": {"$gt": EPOCH, "$lte": utc_now()}}
    found: int = await SmsLog.get_pymongo_collection().count_documents(due, limit=most)
    return found


async def _claim(most: int, *, is_real: bool) -> tuple[int, list[Row]]:
    """Claims up to so many messages that are due; answers how many were looked at, and those to post.

    Those that are not to be sent are skipped with the reason.
    """
    # Before the reads, which may take long too: the lease runs from here.
    started, now = asyncio.get_running_loop().time(), utc_now()
    logs = SmsLog.get_pymongo_collection()
    due = {"not_before": {"$gt": EPOCH, "$lte": now}}
    found = await logs.find(due, sort=[("not_before", 1)], limit=most * _CROWD).to_list()
    rows = _draw(found, most)
    around = await Surroundings.of(rows)
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
        return 0, []
    result = await logs.bulk_write(writes, ordered=False)
    if result.matched_count < len(writes):
        to_post = await _won(to_post)
    return len(rows), to_post


def _decide(row: Row, around: Surroundings, *, now: datetime, is_real: bool) -> Decision:
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


def _claimed_fields(row: Row, text: Text, around: Surroundings, now: datetime) -> Row:
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
        **({"auto_cancel_minutes": clinic.rules.auto_cancel_minutes} if clinic and row.get("asks") else {}),
    }


def _skipped(row: Row, skip: Skip, now: datetime) -> Row:
    return {
        "$set": {
            "status": SmsStatus.SKIPPED,
            "skipped_because": skip.because,
            "updated_at": now,
            **attention(skip.trouble, now),
        },
        "$unset": {"not_before": "", **({"body": ""} if row["kind"] in CODES else {})},
    }


async def _won(rows: Sequence[Row]) -> list[Row]:
    """Of the messages that this process tried to claim, those that no other was faster to claim."""
    attempts = [row["attempt_id"] for row in rows]
    found = SmsLog.get_pymongo_collection().find({"attempt_id": {"$in": attempts}}, {"attempt_id": 1})
    ours = {row["attempt_id"] async for row in found}
    return [row for row in rows if row["attempt_id"] in ours]
