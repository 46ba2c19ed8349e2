"""What patients reply, and what it does: once each, however often the carrier repeats it.

A reply is written down before it is acted on, under the carrier's id. Whoever finds it unhandled after a while, its
process dead, acts on it and sends the answer as a message.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments.asking import never_cancel_silent
from backend.core.clock import EPOCH, utc_now
from backend.messaging.answering import Answered, act
from backend.messaging.composing import language_of
from backend.messaging.documents import Direction, Kind, SmsLog, SmsStatus, Trouble, attention
from backend.messaging.figures import count_reply
from backend.messaging.replies import Reply, ReplyKind, parse
from backend.messaging.templates import answer
from backend.messaging.texts import Answer

log = logging.getLogger(__name__)

_CLAIM = timedelta(seconds=20)
_LONGEST_KEPT = 1600
_PATIENCE_SECONDS = 5

Row = dict[str, Any]


async def take_reply(*, sid: str, phone: str, body: str) -> str:
    """Acts on an inbound message and answers with the text to reply, "" for none.

    A repeated one gets the same answer and does nothing. `phone` is E.164.
    """
    now = utc_now()
    row: Row = {
        "direction": Direction.INBOUND,
        "kind": Kind.REPLY,
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


async def handle_forgotten() -> int:
    """Acts on replies whose process has died over them, and owes the answers as messages. Answers how many."""
    handled = 0
    while (row := await _claim({})) is not None:
        text = await _handle(row)
        if text and row.get("user_id"):
            await _owe_answer(row, text)
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


async def _handle(row: Row) -> str:
    """Does what the reply asks for, and writes down what was answered."""
    reply = parse(row["body"])
    user = await User.find_one({"phone": row["phone"], "is_active": True})
    if user is not None:
        row["user_id"] = user.user_id
    done = await _act(user, reply, row)
    now = utc_now()
    await _logs().update_one(
        {"_id": row["_id"]},
        {
            "$set": {
                "handled_at": now,
                "updated_at": now,
                "answer": done.text,
                **done.about(user),
                **attention(done.trouble, now),
            },
            "$unset": {"claimed_until": ""},
        },
    )
    count_reply(reply.kind.value)
    return done.text


async def _act(user: User | None, reply: Reply, row: Row) -> Answered:
    if user is None or user.role is not Role.PATIENT:
        # Neither a stranger nor a colleague confirms a patient's appointment. Opt-out words are Twilio's to answer.
        if user is not None and (reply.kind is ReplyKind.OPT_OUT or reply.opts_in):
            await _set_opted_out(user, reply.kind is ReplyKind.OPT_OUT)
        is_silent = reply.kind in (ReplyKind.OPT_OUT, ReplyKind.HELP)
        return Answered("" if is_silent else answer(Answer.UNKNOWN_PHONE, "en"))
    language = language_of(user.model_dump(), None)
    match reply.kind:
        case ReplyKind.HELP:
            return Answered("")  # answered by Twilio
        case ReplyKind.OPT_IN:
            await _set_opted_out(user, False)
            return Answered(answer(Answer.OPTED_IN, language))
        case ReplyKind.OPT_OUT:
            return await _opt_out(user, reply, row)
    if reply.opts_in:
        await _set_opted_out(user, False)
    return await act(user, reply, at=row["created_at"])


async def _opt_out(user: User, reply: Reply, row: Row) -> Answered:
    """No more messages. An answer could not be delivered either.

    CANCEL is one of Twilio's words for it, but a patient who was asked about an appointment means that: it is
    cancelled, and the staff call.
    """
    await _set_opted_out(user, True)
    done = Answered("")
    if reply.word == "CANCEL":
        meant = await act(user, Reply(ReplyKind.CANCEL, reply.word), at=row["created_at"])
        trouble = Trouble.CANCELLED_AND_OPTED_OUT if meant.is_done else Trouble.OPTED_OUT
        done = Answered("", appointment=meant.appointment, trouble=trouble)
    await never_cancel_silent(user.user_id)
    return done


async def _set_opted_out(user: User, opted_out: bool) -> None:
    await User.get_pymongo_collection().update_one(
        {"_id": user.user_id}, {"$set": {"sms_opted_out": opted_out, "updated_at": utc_now()}}
    )


async def _owe_answer(row: Row, text: str) -> None:
    now = utc_now()
    await _logs().insert_one(
        {
            "direction": Direction.OUTBOUND,
            "kind": Kind.ANSWER,
            "status": SmsStatus.QUEUED,
            "user_id": row["user_id"],
            "body": text,
            "not_before": now,
            "useless_after": now + timedelta(hours=1),
            "attempts": 0,
            "created_at": now,
            "updated_at": now,
        }
    )


def _logs() -> Any:
    return SmsLog.get_pymongo_collection()
