"""Handles patients' replies: each is acted on once, however often the carrier repeats it.

A reply is logged under the carrier's id before it is acted on. If the process dies over it, `recover_replies` acts
on it later and sends the answer as a message.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts import number_repository as numbers
from backend.appointments import repository as appointments
from backend.appointments.documents import Status
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.core.clock import utc_now
from backend.messaging.content.templates import render_answer
from backend.messaging.content.texts import AnswerText
from backend.messaging.documents import (
    CallReason,
    SmsDirection,
    SmsKind,
    SmsStatus,
    call_list_entry,
    queued_message,
)
from backend.messaging.inbound import repository
from backend.messaging.inbound.parse_reply import MAX_LENGTH, Reply, ReplyKind, parse
from backend.messaging.inbound.reply_actions import (
    ReplyResult,
    Sender,
    act_on_reply,
    answer_opt_in,
    find_asked_about,
)
from backend.messaging.inbound.reply_words import OPT_OUT_WORDS
from backend.messaging.metrics import count_reply
from backend.messaging.repository import find_one, insert
from backend.patients import repository as patients

OTHER_WORDS = "other words"
"""What is stored of an opt-out in words that aren't the carrier's."""

_LEASE = timedelta(seconds=20)

_MAX_UNKNOWN_PER_HOUR = 10
"""After so many messages from a number within an hour, those we don't understand get no answer. Otherwise two
machines could answer each other forever."""

_STILL_AWAKE = timedelta(minutes=10)
"""For so long after a reply its answer ignores quiet hours: the patient has just written."""

Row = dict[str, Any]


async def handle_reply(*, sid: str, phone: str, body: str) -> str:
    """Acts on an inbound message and returns the answer, or "" for none. `phone` is E.164.

    A repeated message gets the same answer and changes nothing.
    """
    now = utc_now()
    reply: Row = {
        "direction": SmsDirection.INBOUND,
        "kind": SmsKind.REPLY,
        "status": SmsStatus.RECEIVED,
        "phone": phone,
        "body": body.strip()[: MAX_LENGTH + 1],  # one more tells that it was longer: a cut text isn't acted on
        "twilio_sid": sid,
        "claimed_until": now + _LEASE,
        "created_at": now,
        "updated_at": now,
    }
    try:
        await insert(reply)
    except DuplicateKeyError:
        return await _answer_repeated(sid)
    return await _handle(reply)


async def _answer_repeated(sid: str) -> str:
    """Returns the answer given before. If the message is being handled just now, waits for it a moment."""
    for _ in range(50):  # five seconds
        reply = await find_one(twilio_sid=sid)
        if reply is None or reply.get("handled_at"):
            return str(reply.get("answer", "")) if reply else ""
        if (claimed := await repository.claim_lapsed(_LEASE, _id=reply["_id"])) is not None:
            return await _handle(claimed)
        await asyncio.sleep(0.1)
    return ""


async def recover_replies() -> int:
    """A job: acts on replies whose process died over them, and queues the answers. Returns how many."""
    recovered = 0
    while (reply := await repository.claim_lapsed(_LEASE)) is not None:
        await _handle(reply, sends_answer=True)
        recovered += 1
    return recovered


async def _handle(reply: Row, *, sends_answer: bool = False) -> str:
    """Acts on a reply and records the answer. Returns "" if another process has claimed the reply meanwhile."""
    parsed = parse(reply["body"])
    reached = await patients.find_active_by_phone(reply["phone"])
    sender = Sender(reply["phone"], reached) if reached else None
    result = await _act(sender, parsed, reply)
    if result.text and sends_answer and sender is not None:
        await _enqueue_answer(reply, sender, result)
    now = utc_now()
    fields = {
        "answer": result.text,
        **result.log_fields(sender),
        **call_list_entry(result.call_reason, now),
    }
    if not await repository.mark_handled(reply, fields, now=now):
        return ""
    count_reply(parsed.kind.value)
    return result.text


async def _act(sender: Sender | None, parsed: Reply, reply: Row) -> ReplyResult:
    number = reply["phone"]
    is_opt_out = parsed.kind is ReplyKind.OPT_OUT
    since = None
    if is_opt_out:
        word = parsed.word if parsed.word in OPT_OUT_WORDS else OTHER_WORDS
        since = await numbers.opt_out(number, word=word, at=reply["created_at"])
    elif parsed.opts_in:
        await numbers.opt_in(number)
    await numbers.mark_reachable(number)
    if sender is None:
        # Neither strangers nor staff confirm a patient's appointment. Twilio itself answers opt-out words.
        is_silent = parsed.kind in (ReplyKind.OPT_OUT, ReplyKind.HELP) or await _is_flood(reply)
        return ReplyResult("" if is_silent else render_answer(AnswerText.UNKNOWN_PHONE, "en"))
    if parsed.opts_in:
        for patient in sender.patients:
            await appointments.resume_auto_cancel_for(patient.patient_id)
        await repository.close_calls_about_replies(CallReason.OPTED_OUT, now=utc_now(), phone=number)
    match parsed.kind:
        case ReplyKind.HELP:
            return ReplyResult("")  # Twilio answers it
        case ReplyKind.OPT_IN:
            return await answer_opt_in(sender)
        case ReplyKind.OPT_OUT:
            return await _opt_out(sender, parsed, reply, is_first=since == reply["created_at"])
        case ReplyKind.UNKNOWN if await _is_flood(reply):
            return ReplyResult("")
    result = await act_on_reply(sender, parsed, reply)
    # Patients who opted out get no answer; the carrier wouldn't deliver it.
    return replace(result, text="") if number in await numbers.find_opted_out([number]) else result


async def _opt_out(sender: Sender, parsed: Reply, reply: Row, *, is_first: bool) -> ReplyResult:
    """Does what else an opt-out means. The patients get no answer; the staff call them from now on.

    They are on the call list for it once, unless they had been asked to confirm since.

    CANCEL is one of Twilio's opt-out words. A patient who was asked about one appointment means the appointment: it
    is cancelled too.
    """
    asked = await find_asked_about(sender, received_at=reply["created_at"])
    possible = asked or await appointments.find_open_of_patients(sender.patient_ids)
    unconfirmed = (each for each in possible if each.status is Status.SCHEDULED)
    appointment = next(unconfirmed, None) or await appointments.find_last_of_patients(sender.patient_ids)
    call_reason = CallReason.OPTED_OUT if is_first or asked else None
    if parsed.word == "CANCEL" and len(asked) <= 1:
        result = await act_on_reply(sender, Reply(ReplyKind.CANCEL, parsed.word), reply)
        if result.appointment and result.appointment.status is Status.CANCELLED:
            appointment, call_reason = result.appointment, CallReason.CANCELLED_AND_OPTED_OUT
    for patient in sender.patients:
        await appointments.stop_auto_cancel_for(patient.patient_id)
    return ReplyResult("", appointment=appointment, call_reason=call_reason)


async def _is_flood(reply: Row) -> bool:
    """Returns whether the number sent too many messages within the last hour."""
    since, most = reply["created_at"] - timedelta(hours=1), _MAX_UNKNOWN_PER_HOUR
    return await repository.count_from(reply["phone"], since=since, limit=most + 1) > most


async def _enqueue_answer(reply: Row, sender: Sender, result: ReplyResult) -> None:
    """Queues the answer as a message. Safe to repeat: its id is derived from the reply's."""
    now = utc_now()
    not_before = now
    if result.appointment and now - reply["created_at"] > _STILL_AWAKE:
        not_before = quiet_hours().after(now, ZoneInfo(result.appointment.time_zone))
    answer = queued_message(
        now,
        _id=ObjectId(sha256(reply["_id"].binary).digest()[:12]),
        kind=SmsKind.ANSWER,
        **{"patient_id": sender.patients[0].patient_id, **result.log_fields(sender)},
        body=result.text,
        not_before=not_before,
        expires_at=not_before + timedelta(hours=1),
    )
    with suppress(DuplicateKeyError):
        await insert(answer)
