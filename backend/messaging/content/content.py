"""Decides what to do with a queued message: send it now, and with which text; skip it; or wait."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from beanie import PydanticObjectId
from phonenumbers.timezone import time_zones_for_geographical_number

from backend.accounts import repository as accounts
from backend.accounts.documents import Language
from backend.accounts.number_repository import find_opted_out
from backend.accounts.phone_numbers import gets_sms
from backend.appointments import repository as appointments
from backend.appointments.documents import ACTIVE, MessageKind, Recipient, Status
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.reminders.timetable import deadline, silence_cancels
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.directory.visit_types.documents import in_language
from backend.messaging.content.templates import AppointmentDetails, render_message
from backend.messaging.documents import ONE_TIME_CODES, CallReason, SmsKind
from backend.messaging.inbound.parse_reply import code_of
from backend.patients import repository as patients
from backend.patients.documents import InactiveReason

_FICTIONAL = "+1555"
"""The beginning of fictional numbers, as the seed script makes them. They never reach the carrier."""

_NEEDS_A_CALL = frozenset({SmsKind.REMINDER, SmsKind.RESCHEDULED, SmsKind.CANCELLED, SmsKind.AUTO_CANCELLED})
"""Messages a patient must get: if one can't be sent, the staff should call."""

_VALID_FOR: Mapping[SmsKind, frozenset[Status]] = {
    **dict.fromkeys((SmsKind.BOOKED, SmsKind.RESCHEDULED, SmsKind.CONFIRMED), ACTIVE),
    SmsKind.REMINDER: frozenset({Status.SCHEDULED}),
    SmsKind.CANCELLED: frozenset({Status.CANCELLED}),
    SmsKind.AUTO_CANCELLED: frozenset({Status.CANCELLED}),
    SmsKind.CANCELLED_BY_PATIENT: frozenset({Status.CANCELLED}),
    SmsKind.NO_SHOW: frozenset({Status.NO_SHOW}),
}
"""The statuses of an appointment for which a message about it is still true."""

_DETAILS = ("doctor_name", "clinic_name", "patient_name", "start")
APPOINTMENT_FIELDS = (
    *_DETAILS,
    "time_zone",
    "status",
    "reschedule_count",
    "clinic_id",
    "confirmation_undelivered",
    "instructions",
    "cancellation_notice_minutes",
    "_id",
)
"""The fields of an appointment that its messages depend on."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text to this number now. A request to confirm has the clinic's `auto_cancel_minutes`."""

    phone: str
    body: str
    language: Language
    auto_cancel_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Don't send the message. With a `call_reason`, the staff should call instead."""

    reason: str
    call_reason: CallReason | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Don't send the message before this moment."""

    until: datetime


Decision = Send | Skip | Wait
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MessageContext:
    """What a batch of messages depends on, by id: recipients (accounts and patients), appointments and clinics."""

    recipients: Mapping[PydanticObjectId | None, Row]
    appointments: Mapping[PydanticObjectId, Row]
    clinics: Mapping[PydanticObjectId, Clinic]
    patients_with_several: Collection[PydanticObjectId]
    """Patients for whose number more than one open appointment is ahead. Messages to them name each by its code."""
    patients_sharing: Collection[PydanticObjectId]
    """Patients whose number is another patient's too. Messages to them name the patient."""
    opted_out: Collection[str]
    """Numbers that get no messages."""

    @classmethod
    async def load(cls, messages: Sequence[Row], known: Sequence[Row] | None = None) -> "MessageContext":
        """Reads it with seven queries, or six if the appointments are `known`, with `APPOINTMENT_FIELDS`."""

        async def read_appointments() -> Sequence[Row]:
            if known is not None:
                return known
            ids = _ids(messages, "appointment_id")
            return await appointments.find_rows_by_id(ids, fields=APPOINTMENT_FIELDS)

        users, patients_found, rows, clinics = await asyncio.gather(
            accounts.find_contacts(_ids(messages, "user_id")),
            patients.find_contacts(_ids(messages, "patient_id")),
            read_appointments(),
            read_clinics(_ids(messages, "clinic_id")),
        )
        by_phone = await patients.find_by_phones({row["phone"] for row in patients_found if row.get("phone")})
        reached = {each for ids in by_phone.values() for each in ids} | {row["_id"] for row in patients_found}
        open_counts = await appointments.count_open_by_patient(list(reached))

        def together(row: Row) -> Collection[PydanticObjectId]:
            return by_phone.get(row.get("phone") or "") or (row["_id"],)

        return cls(
            {row["_id"]: row for row in (*users, *patients_found)},
            {row["_id"]: row for row in rows},
            clinics,
            {row["_id"] for row in patients_found if sum(open_counts[each] for each in together(row)) > 1},
            {row["_id"] for row in patients_found if len(together(row)) > 1},
            await find_opted_out(row.get("phone") for row in (*users, *patients_found)),
        )


def _ids(messages: Sequence[Row], field: str) -> list[PydanticObjectId]:
    return list({message[field] for message in messages if message.get(field) is not None})


def _recipient(message: Row, context: MessageContext) -> Row | None:
    """Returns whom a message goes to: the account, or else the patient it is about."""
    return context.recipients.get(message.get("user_id") or message.get("patient_id"))


def decide(message: Row, context: MessageContext, *, now: datetime, is_real: bool) -> Decision:
    """Decides what to do with a message now. `is_real`: whether the carrier reaches real phones."""
    if skip := _skip(message, context, now=now, is_real=is_real):
        return skip
    recipient = _recipient(message, context) or {}
    if message["kind"] in {*ONE_TIME_CODES, SmsKind.ANSWER}:
        return Send(recipient["phone"], message["body"], language_of(recipient.get("language"), None))
    clinic = context.clinics[message["clinic_id"]]
    is_for_patient = message["recipient"] == Recipient.PATIENT
    if is_for_patient:
        allowed = quiet_hours().after(now, clinic.zone)
        if allowed >= message["expires_at"]:
            needed = call_reason_if_needed(message, CallReason.TOO_LATE)
            return Skip("quiet hours until it is too late", needed)
        if allowed > now:
            return Wait(allowed)
    language = language_of(recipient.get("language"), clinic)
    appointment = context.appointments[message["appointment_id"]]
    minutes, requests_confirmation = silence_cancels(clinic.rules), message["requests_confirmation"]
    cancels_at = deadline(appointment["start"], confirmation_requested_at=now, auto_cancel_minutes=minutes)
    has_others = message["patient_id"] in context.patients_with_several
    details = replace(
        appointment_details(appointment, clinic, recipient["phone"], has_others=has_others, now=now),
        requests_confirmation=requests_confirmation,
        names_patient=is_for_patient and message["patient_id"] in context.patients_sharing,
        silence_cancels=cancels_at is not None and not appointment.get("confirmation_undelivered"),
        instructions=in_language(appointment.get("instructions") or {}, language),
    )
    body = render_message(MessageKind(message["kind"]), Recipient(message["recipient"]), language, details)
    return Send(recipient["phone"], body, language, minutes if requests_confirmation else None)


def _skip(message: Row, context: MessageContext, *, now: datetime, is_real: bool) -> Skip | None:
    """Returns why a message must not be sent at all, or None."""
    recipient = _recipient(message, context)
    reason, call_reason = None, None
    if outdated := _outdated(message, context):
        reason = outdated  # checked first: nobody needs a call about what is no longer true
    elif message["expires_at"] <= now:
        reason, call_reason = "too late", CallReason.TOO_LATE
    elif recipient is not None and recipient.get("inactive_reason") == InactiveReason.DECEASED:
        reason = "the patient has died"
    elif recipient is None or not recipient.get("phone"):
        reason, call_reason = "no phone", CallReason.NO_PHONE
    elif not gets_sms(recipient["phone"]):
        reason, call_reason = "a phone with an extension", CallReason.EXTENSION
    elif recipient["phone"] in context.opted_out:
        reason, call_reason = "opted out", CallReason.OPTED_OUT
    elif is_real and recipient["phone"].startswith(_FICTIONAL):
        reason = "fictional number"
    return Skip(reason, call_reason_if_needed(message, call_reason)) if reason else None


def call_reason_if_needed(message: Row, call_reason: CallReason | None) -> CallReason | None:
    """Returns the reason if the staff should call the patient about such a message, else None."""
    is_for_patient = message.get("recipient") == Recipient.PATIENT
    return call_reason if message["kind"] in _NEEDS_A_CALL and is_for_patient else None


def _outdated(message: Row, context: MessageContext) -> str | None:
    """Returns why a message about an appointment is no longer true, or None."""
    if (valid_for := _VALID_FOR.get(message["kind"])) is None:
        return None
    appointment = context.appointments.get(message["appointment_id"])
    if appointment is None or appointment["status"] not in valid_for:
        return "the appointment's status has changed"
    if appointment["reschedule_count"] != message["reschedule_count"]:
        return "the appointment was rescheduled"
    return None


def language_of(chosen: Language | None, clinic: Clinic | None) -> Language:
    """Returns the language that a user has chosen, else the clinic's, else English."""
    return chosen or (clinic.language if clinic else "en")


def appointment_details(
    appointment: Row, clinic: Clinic, phone: str, *, has_others: bool, now: datetime
) -> AppointmentDetails:
    """Returns what a text may say now (UTC) about an appointment: never the reason for the visit.

    Times are those of the clinic's clock as it is now. The code is included only if the patient has other open
    appointments.
    """
    notice = timedelta(minutes=appointment.get("cancellation_notice_minutes") or 0)
    return AppointmentDetails(
        **{field: appointment[field] for field in _DETAILS},
        time_zone=clinic.time_zone,
        code=code_of(appointment["_id"]) if has_others else None,
        clinic_phone=clinic.phone,
        can_cancel=not notice or now < appointment["start"] - notice,
        names_zone=_is_in_another_zone(phone, clinic.time_zone, appointment["start"]),
    )


def _is_in_another_zone(phone: str, time_zone: str, moment: datetime) -> bool:
    """Returns whether a phone is registered where the local time differs from the clinic's."""
    here = moment.astimezone(ZoneInfo(time_zone)).utcoffset()
    zones = _zones_of(phone[:10])  # the longest prefix that has a time zone, with the plus
    return bool(zones) and all(moment.astimezone(ZoneInfo(zone)).utcoffset() != here for zone in zones)


@lru_cache(maxsize=4096)
def _zones_of(beginning: str) -> tuple[str, ...]:
    """Returns the time zones of numbers that begin like this, if they are known."""
    try:
        zones = time_zones_for_geographical_number(phonenumbers.parse(beginning))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(zone for zone in zones if zone != phonenumbers.timezone.UNKNOWN_TIMEZONE)
