"""What becomes of a queued message: its text, for a number, now; or why it is not sent."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

import phonenumbers
from beanie import PydanticObjectId
from phonenumbers.timezone import time_zones_for_geographical_number

from backend.accounts.documents import Language, User
from backend.appointments.documents import ACTIVE, Appointment, MessageKind, Recipient, Status
from backend.appointments.reminders.quiet_hours import quiet_hours
from backend.appointments.reminders.timetable import deadline, silence_cancels
from backend.core.clock import utc_now
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.messaging.content.templates import MessageDetails, render
from backend.messaging.documents import CallReason, SmsKind
from backend.messaging.inbound.parse_reply import code_of

FICTIONAL = "+1555"
"""Numbers that nobody has, as the seed script makes them."""

_ZONE_DIGITS = 10
"""How much of a number, its plus included, tells the zone: the longest of the prefixes that are known."""

CODES = frozenset({SmsKind.VERIFICATION_CODE, SmsKind.PASSWORD_CODE})
"""Asked for at this moment by their reader: quiet hours don't hold them back, and their text isn't kept."""

NEEDS_A_CALL = frozenset({SmsKind.REMINDER, SmsKind.RESCHEDULED, SmsKind.CANCELLED, SmsKind.AUTO_CANCELLED})
"""What a patient has to know: if it can't be sent, a person should call."""

OPEN = frozenset({Status.SCHEDULED, Status.CONFIRMED})
"""What a patient may still confirm or cancel, if it lies ahead."""

_STILL_TRUE: Mapping[SmsKind, frozenset[Status]] = {
    SmsKind.BOOKED: ACTIVE,
    SmsKind.RESCHEDULED: ACTIVE,
    SmsKind.REMINDER: frozenset({Status.SCHEDULED}),
    SmsKind.CANCELLED: frozenset({Status.CANCELLED}),
    SmsKind.AUTO_CANCELLED: frozenset({Status.CANCELLED}),
    SmsKind.CANCELLED_BY_PATIENT: frozenset({Status.CANCELLED}),
    SmsKind.NO_SHOW: frozenset({Status.NO_SHOW}),
    SmsKind.CONFIRMED: ACTIVE,
}
"""Where an appointment must stand for a message about it to be worth sending."""

ABOUT_AN_APPOINTMENT = (
    *("doctor_name", "clinic_name", "patient_name", "time_zone", "start"),
    *("status", "reschedule_count", "clinic_id", "confirmation_undelivered", "_id"),
)
"""What must be known of it to write about it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message as it is to be posted."""

    phone: str
    body: str
    language: Language


@dataclass(frozen=True, slots=True)
class Skip:
    """Not to be sent, for a reason, and whether a person should call instead."""

    because: str
    call_reason: CallReason | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now."""

    until: datetime


Decision = Text | Skip | Wait
Row = Mapping[str, Any]


class MessageContext:
    """What a batch of messages speaks of: four reads for all of them."""

    def __init__(
        self,
        users: Mapping[PydanticObjectId, Row],
        appointments: Mapping[PydanticObjectId, Row],
        clinics: Mapping[PydanticObjectId, Clinic],
        with_several: Collection[PydanticObjectId],
    ) -> None:
        self.users, self.appointments, self.clinics = users, appointments, clinics
        self.with_several = with_several

    @classmethod
    async def of(cls, logs: Sequence[Row], appointments: Sequence[Row] | None = None) -> "MessageContext":
        """Reads it as it is now, but for appointments that were just read, `ABOUT_AN_APPOINTMENT` at the least."""
        fields = ("phone", "language", "sms_opted_out", "is_active")
        users = User.get_pymongo_collection().find(
            {"_id": {"$in": _ids(logs, "user_id")}}, dict.fromkeys(fields, 1)
        )
        found_users, found_appointments, clinics, with_several = await asyncio.gather(
            users.to_list(),
            _appointments(logs) if appointments is None else _known(appointments),
            read_clinics(_ids(logs, "clinic_id")),
            _with_several_open(_ids(logs, "patient_id")),
        )
        return cls(
            {row["_id"]: row for row in found_users},
            {row["_id"]: row for row in found_appointments},
            clinics,
            with_several,
        )


async def _appointments(logs: Sequence[Row]) -> Sequence[Row]:
    where = {"_id": {"$in": _ids(logs, "appointment_id")}}
    found = Appointment.get_pymongo_collection().find(where, dict.fromkeys(ABOUT_AN_APPOINTMENT, 1))
    return cast(Sequence[Row], await found.to_list())


async def _known(appointments: Sequence[Row]) -> Sequence[Row]:
    return appointments


async def _with_several_open(patient_ids: list[PydanticObjectId]) -> set[PydanticObjectId]:
    """The patients who have more than one appointment to come: theirs are told apart by codes."""
    coming = {"patient_id": {"$in": patient_ids}, "start": {"$gt": utc_now()}, "status": {"$in": list(OPEN)}}
    found = Appointment.get_pymongo_collection().find(coming, {"_id": 0, "patient_id": 1})
    counted = Counter([row["patient_id"] async for row in found])
    return {patient_id for patient_id, number in counted.items() if number > 1}


def _ids(logs: Sequence[Row], field: str) -> list[PydanticObjectId]:
    return list({log[field] for log in logs if log.get(field) is not None})


def decide(log: Row, around: MessageContext, *, now: datetime, is_real: bool) -> Decision:
    """What to do with a queued message now. `is_real`: whether it would go to real people's phones."""
    kind = SmsKind(log["kind"])
    if obstacle := _obstacle(log, kind, around, now=now, is_real=is_real):
        return obstacle
    user = around.users[log["user_id"]]
    if kind in CODES or kind is SmsKind.ANSWER:
        return Text(user["phone"], log["body"], language_of(user, None))
    clinic = around.clinics[log["clinic_id"]]
    if log["recipient"] == Recipient.PATIENT:
        allowed = quiet_hours().after(now, clinic.zone)
        if allowed >= log["expires_at"]:
            return Skip("quiet hours until it is too late", if_needed(log, kind, CallReason.TOO_LATE))
        if allowed > now:
            return Wait(allowed)
    language = language_of(user, clinic)
    appointment = around.appointments[log["appointment_id"]]
    facts = message_details(
        appointment,
        clinic,
        user["phone"],
        requests_confirmation=log["requests_confirmation"],
        silence_cancels=_silence_cancels(appointment, clinic, now),
        has_others=log["patient_id"] in around.with_several,
    )
    body = render(MessageKind(kind.value), Recipient(log["recipient"]), language, facts)
    return Text(user["phone"], body, language)


def _silence_cancels(appointment: Row, clinic: Clinic, now: datetime) -> bool:
    """Whether the appointment is cancelled if it is asked about now and nobody answers."""
    minutes = silence_cancels(clinic.rules)
    auto_cancel_at = deadline(
        appointment["start"], confirmation_requested_at=now, auto_cancel_minutes=minutes
    )
    return auto_cancel_at is not None and not appointment.get("confirmation_undelivered")


def _obstacle(
    log: Row, kind: SmsKind, around: MessageContext, *, now: datetime, is_real: bool
) -> Skip | None:
    """Why a message is not to be sent at all, if so."""
    user = around.users.get(log["user_id"])
    because, call_reason = None, None
    if superseded := _superseded(log, kind, around):
        because = superseded  # first of all: what is no longer true is nothing to call about
    elif log["expires_at"] <= now:
        because, call_reason = "too late", CallReason.TOO_LATE
    elif user is None or not user.get("phone"):
        because, call_reason = "no phone", CallReason.NO_PHONE
    elif user.get("sms_opted_out"):
        because, call_reason = "opted out", CallReason.OPTED_OUT
    elif is_real and user["phone"].startswith(FICTIONAL):
        because = "fictional number"
    return Skip(because, if_needed(log, kind, call_reason)) if because else None


def if_needed(log: Row, kind: SmsKind, call_reason: CallReason | None) -> CallReason | None:
    """The trouble, if somebody should call about it."""
    return call_reason if kind in NEEDS_A_CALL and log.get("recipient") == Recipient.PATIENT else None


def _superseded(log: Row, kind: SmsKind, around: MessageContext) -> str | None:
    """Why a message about an appointment is no longer true, if so."""
    if kind not in _STILL_TRUE:
        return None
    appointment = around.appointments.get(log["appointment_id"])
    if appointment is None or appointment["status"] not in _STILL_TRUE[kind]:
        return "the appointment's status has changed"
    if appointment["reschedule_count"] != log["reschedule_count"]:
        return "the appointment was moved"
    return None


def language_of(user: Row, clinic: Clinic | None) -> Language:
    """The person's language, else the clinic's."""
    return cast(Language, user.get("language") or (clinic.language if clinic else "en"))


def message_details(
    appointment: Row,
    clinic: Clinic,
    phone: str,
    *,
    requests_confirmation: bool = False,
    silence_cancels: bool = False,
    has_others: bool = False,
    opens: datetime | None = None,
) -> MessageDetails:
    """What a text about an appointment may say: nothing of why the patient comes. Its code only among others."""
    start: datetime = appointment["start"]
    return MessageDetails(
        doctor_name=appointment["doctor_name"],
        clinic_name=appointment["clinic_name"],
        patient_name=appointment["patient_name"],
        start=start,
        time_zone=appointment["time_zone"],
        code=code_of(appointment["_id"]) if has_others else None,
        clinic_phone=clinic.phone,
        zone_matters=_is_elsewhere(phone, appointment["time_zone"], start),
        requests_confirmation=requests_confirmation,
        silence_cancels=silence_cancels,
        opens=opens,
    )


def _is_elsewhere(phone: str, time_zone: str, moment: datetime) -> bool:
    """Whether a phone is registered where clocks show another time than at the clinic."""
    here = moment.astimezone(ZoneInfo(time_zone)).utcoffset()
    zones = _zones_of(phone[:_ZONE_DIGITS])
    return bool(zones) and all(moment.astimezone(ZoneInfo(zone)).utcoffset() != here for zone in zones)


@lru_cache(maxsize=4096)
def _zones_of(beginning: str) -> tuple[str, ...]:
    """The zones of the numbers that begin like this, as far as they are known."""
    try:
        zones = time_zones_for_geographical_number(phonenumbers.parse(beginning))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(zone for zone in zones if zone != phonenumbers.timezone.UNKNOWN_TIMEZONE)
