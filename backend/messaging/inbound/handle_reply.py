"""What patients reply, and what it does: once each, however often the carrier repeats it.

A reply is written down before it is acted on, under the carrier's id. Whoever finds it unhandled after a while, its
process dead, acts on it and sends the answer as a message.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment, Status
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.repository import resume_auto_cancel_for, stop_auto_cancel_for
from backend.core.clock import EPOCH, utc_now
from backend.messaging.content.templates import answer
from backend.messaging.content.texts import ReplyText
from backend.messaging.documents import CallReason, SmsDirection, SmsKind, SmsLog, SmsStatus, call_list_entry
from backend.messaging.inbound.parse_reply import Reply, ReplyKind, parse
from backend.messaging.inbound.questions import open_to_come, waiting_for_answer
from backend.messaging.inbound.reply_actions import Answered, act, opted_in
from backend.messaging.metrics import count_reply

_CLAIM = timedelta(seconds=20)
_LONGEST_KEPT = 1600
_PATIENCE_SECONDS = 5

_CHATTER = 10
"""Messages of a number within the hour from which on what can't be made out is not answered any more: two machines
that answer each other would never end."""

_PROMPT = timedelta(minutes=10)
"""How long after a reply its answer may still disturb: who has just written is awake."""

_ANSWER_OF_USE = timedelta(hours=1)

Row = dict[str, Any]


async def take_reply(*, sid: str, phone: str, body: str) -> str:
    """Acts on an inbound message and answers with the text to reply, "" for none.

    A repeated one gets the same answer and does nothing. `phone` is E.164.
    """
    now = utc_now()
    row: Row = {
        "direction": SmsDirection.INBOUND,
        "kind": SmsKind.REPLY,
        "status": SmsStatus.RECEIVED,
        "phone": phone,
        "body": body[:_LONGEST_KEPT],
        "twilio_sid": sid,
        "claimed_until": now + _CLAIM,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await _logs().insert_one(row)
    except DuplicateKeyError:
        return await _answer_again(sid)
    return await _handle(row)


async def _answer_again(sid: str) -> str:
    """The answer that was given before; waits for it a moment if it is being worked out just now."""
    for _ in range(_PATIENCE_SECONDS * 10):
        row = await _logs().find_one({"twilio_sid": sid})
        if row is None or row.get("handled_at"):
            return str(row.get("answer", "")) if row else ""
        if (claimed := await _claim({"_id": row["_id"]})) is not None:
            return await _handle(claimed)
        await asyncio.sleep(0.1)
    return ""


async def recover_replies() -> int:
    """Acts on replies whose process has died over them, and owes the answers as messages. Answers how many."""
    handled = 0
    while (row := await _claim({})) is not None:
        await _handle(row, owes_answer=True)
        handled += 1
    return handled


async def _claim(query: dict[str, Any]) -> Row | None:
    """An unhandled reply whose claim has lapsed."""
    now = utc_now()
    lapsed = {"claimed_until": {"$gt": EPOCH, "$lte": now}, "status": SmsStatus.RECEIVED}
    found: Row | None = await _logs().find_one_and_update(
        {**query, **lapsed},
        {"$set": {"claimed_until": now + _CLAIM}},
        return_document=ReturnDocument.AFTER,
    )
    return found


async def _handle(row: Row, *, owes_answer: bool = False) -> str:
    """Does what the reply asks for, and writes down what was answered. "" if another process has taken it over."""
    reply = parse(row["body"])
    user = await User.find_one({"phone": row["phone"], "is_active": True})
    done = await _act(user, reply, row)
    if done.text and owes_answer and user is not None:
        await _owe_answer(row, user, done)
    now = utc_now()
    result = await _logs().update_one(
        {"_id": row["_id"], "claimed_until": row["claimed_until"]},
        {
            "$set": {
                "handled_at": now,
                "updated_at": now,
                "answer": done.text,
                **({"user_id": user.user_id} if user else {}),
                **done.about(user),
                **call_list_entry(done.call_reason, now),
            },
            "$unset": {"claimed_until": ""},
        },
    )
    if result.modified_count == 0:
        return ""
    count_reply(reply.kind.value)
    return done.text


async def _act(user: User | None, reply: Reply, row: Row) -> Answered:
    if user is None or user.role is not Role.PATIENT:
        # Neither a stranger nor a colleague confirms a patient's appointment. Opt-out words are Twilio's to answer.
        if user is not None and (reply.kind is ReplyKind.OPT_OUT or reply.opts_in):
            await _set_opted_out(user, reply.kind is ReplyKind.OPT_OUT)
        is_silent = reply.kind in (ReplyKind.OPT_OUT, ReplyKind.HELP) or await _is_chatter(row)
        return Answered("" if is_silent else answer(ReplyText.UNKNOWN_PHONE, "en"))
    if reply.opts_in:
        await _set_opted_out(user, False)
        await resume_auto_cancel_for(user.user_id)
    match reply.kind:
        case ReplyKind.HELP:
            return Answered("")  # answered by Twilio
        case ReplyKind.OPT_IN:
            return await opted_in(user)
        case ReplyKind.OPT_OUT:
            return await _opt_out(user, reply, row)
        case ReplyKind.UNKNOWN if await _is_chatter(row):
            return Answered("")
    done = await act(user, reply, at=row["created_at"])
    # Who has opted out is not written to, and no answer would be delivered.
    return replace(done, text="") if user.sms_opted_out and not reply.opts_in else done


async def _opt_out(user: User, reply: Reply, row: Row) -> Answered:
    """No more messages. An answer could not be delivered either; who was being asked something is called.

    CANCEL is one of Twilio's words for it, but a patient who was asked about an appointment means that: it is
    cancelled.
    """
    await _set_opted_out(user, True)
    about = await waiting_for_answer(user, at=row["created_at"])
    call_reason = CallReason.OPTED_OUT if about else None
    if reply.word == "CANCEL":
        meant = await act(user, Reply(ReplyKind.CANCEL, reply.word), at=row["created_at"])
        if meant.is_done or (meant.appointment and meant.appointment.status is Status.CANCELLED):
            about, call_reason = meant.appointment, CallReason.CANCELLED_AND_OPTED_OUT
        elif about := about or await _next_open(user):
            call_reason = CallReason.OPTED_OUT
    await stop_auto_cancel_for(user.user_id)
    return Answered("", appointment=about, call_reason=call_reason)


async def _next_open(user: User) -> Appointment | None:
    return next(iter(await open_to_come(user)), None)


async def _is_chatter(row: Row) -> bool:
    within = {"phone": row["phone"], "created_at": {"$gt": row["created_at"] - timedelta(hours=1)}}
    inbound = {**within, "direction": SmsDirection.INBOUND}
    return bool(await _logs().count_documents(inbound, limit=_CHATTER + 1) > _CHATTER)


async def _set_opted_out(user: User, opted_out: bool) -> None:
    await User.get_pymongo_collection().update_one(
        {"_id": user.user_id}, {"$set": {"sms_opted_out": opted_out, "updated_at": utc_now()}}
    )


async def _owe_answer(row: Row, user: User, done: Answered) -> None:
    """Queues the answer as a message of its own; once, for whoever does it may die before it is noted as done."""
    now = utc_now()
    not_before = now
    if done.appointment and now - row["created_at"] > _PROMPT:
        not_before = quiet_hours().after(now, ZoneInfo(done.appointment.time_zone))
    with suppress(DuplicateKeyError):
        await _logs().insert_one(
            {
                "_id": _answer_id(row["_id"]),
                "direction": SmsDirection.OUTBOUND,
                "kind": SmsKind.ANSWER,
                "status": SmsStatus.QUEUED,
                "user_id": user.user_id,
                **done.about(user),
                "body": done.text,
                "not_before": not_before,
                "expires_at": not_before + _ANSWER_OF_USE,
                "attempts": 0,
                "created_at": now,
                "updated_at": now,
            }
        )


def _answer_id(reply_id: ObjectId) -> ObjectId:
    return ObjectId(sha256(reply_id.binary).digest()[:12])


def _logs() -> Any:
    return SmsLog.get_pymongo_collection()
