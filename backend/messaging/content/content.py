"""Decides what to do with a queued message: send it now, and with which text; skip it; or wait."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from beanie import PydanticObjectId
from phonenumbers.timezone import time_zones_for_geographical_number

from backend.accounts import repository as accounts
from backend.accounts.documents import Language
from backend.appointments import repository as appointments
from backend.appointments.documents import ACTIVE, MessageKind, Recipient, Status
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.reminders.timetable import deadline, silence_cancels
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.messaging.content.templates import AppointmentDetails, render_message
from backend.messaging.documents import ONE_TIME_CODES, CallReason, SmsKind
from backend.messaging.inbound.parse_reply import code_of

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

_DETAILS = ("doctor_name", "clinic_name", "patient_name", "time_zone", "start")
APPOINTMENT_FIELDS = (*_DETAILS, "status", "reschedule_count", "clinic_id", "confirmation_undelivered", "_id")
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
    """What a batch of messages depends on: users, appointments and clinics by id."""

    users: Mapping[PydanticObjectId, Row]
    appointments: Mapping[PydanticObjectId, Row]
    clinics: Mapping[PydanticObjectId, Clinic]
    patients_with_several: Collection[PydanticObjectId]
    """Patients with more than one open appointment ahead. Messages to them name each by its code."""

    @classmethod
    async def load(cls, messages: Sequence[Row], known: Sequence[Row] | None = None) -> "MessageContext":
        """Reads it with four queries, or three if the appointments are `known`, with `APPOINTMENT_FIELDS`."""

        async def read_appointments() -> Sequence[Row]:
            if known is not None:
                return known
            ids = _ids(messages, "appointment_id")
            return await appointments.find_rows_by_id(ids, fields=APPOINTMENT_FIELDS)

        users, rows, clinics, open_counts = await asyncio.gather(
            accounts.find_contacts(_ids(messages, "user_id")),
            read_appointments(),
            read_clinics(_ids(messages, "clinic_id")),
            appointments.count_open_by_patient(_ids(messages, "patient_id")),
        )
        return cls(
            {row["_id"]: row for row in users},
            {row["_id"]: row for row in rows},
            clinics,
            {patient_id for patient_id, count in open_counts.items() if count > 1},
        )


def _ids(messages: Sequence[Row], field: str) -> list[PydanticObjectId]:
    return list({message[field] for message in messages if message.get(field) is not None})


def decide(message: Row, context: MessageContext, *, now: datetime, is_real: bool) -> Decision:
    """Decides what to do with a message now. `is_real`: whether the carrier reaches real phones."""
    if skip := _skip(message, context, now=now, is_real=is_real):
        return skip
    user = context.users[message["user_id"]]
    if message["kind"] in {*ONE_TIME_CODES, SmsKind.ANSWER}:
        return Send(user["phone"], message["body"], language_of(user.get("language"), None))
    clinic = context.clinics[message["clinic_id"]]
    if message["recipient"] == Recipient.PATIENT:
        allowed = quiet_hours().after(now, clinic.zone)
        if allowed >= message["expires_at"]:
            needed = call_reason_if_needed(message, CallReason.TOO_LATE)
            return Skip("quiet hours until it is too late", needed)
        if allowed > now:
            return Wait(allowed)
    language = language_of(user.get("language"), clinic)
    appointment = context.appointments[message["appointment_id"]]
    minutes, requests_confirmation = silence_cancels(clinic.rules), message["requests_confirmation"]
    cancels_at = deadline(appointment["start"], confirmation_requested_at=now, auto_cancel_minutes=minutes)
    has_others = message["patient_id"] in context.patients_with_several
    details = replace(
        appointment_details(appointment, clinic, user["phone"], has_others=has_others),
        requests_confirmation=requests_confirmation,
        silence_cancels=cancels_at is not None and not appointment.get("confirmation_undelivered"),
    )
    body = render_message(MessageKind(message["kind"]), Recipient(message["recipient"]), language, details)
    return Send(user["phone"], body, language, minutes if requests_confirmation else None)


def _skip(message: Row, context: MessageContext, *, now: datetime, is_real: bool) -> Skip | None:
    """Returns why a message must not be sent at all, or None."""
    user = context.users.get(message["user_id"])
    reason, call_reason = None, None
    if outdated := _outdated(message, context):
        reason = outdated  # checked first: nobody needs a call about what is no longer true
    elif message["expires_at"] <= now:
        reason, call_reason = "too late", CallReason.TOO_LATE
    elif user is None or not user.get("phone"):
        reason, call_reason = "no phone", CallReason.NO_PHONE
    elif user.get("sms_opted_out"):
        reason, call_reason = "opted out", CallReason.OPTED_OUT
    elif is_real and user["phone"].startswith(_FICTIONAL):
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


def appointment_details(appointment: Row, clinic: Clinic, phone: str, *, has_others: bool) -> AppointmentDetails:
    """Returns what a text may say about an appointment: never the reason for the visit.

    The code is included only if the patient has other open appointments.
    """
    return AppointmentDetails(
        **{field: appointment[field] for field in _DETAILS},
        code=code_of(appointment["_id"]) if has_others else None,
        clinic_phone=clinic.phone,
        names_zone=_is_in_another_zone(phone, appointment["time_zone"], appointment["start"]),
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
