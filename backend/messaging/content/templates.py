"""Fills in the texts, each in one GSM-7 segment (160 septets).

Names that don't fit are shortened, the longest first. Only the answer that lists several appointments, and a
confirmation with instructions, may take more segments. Dates and times are the clinic's local time, written as usual
in the language and the clinic's country.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from string import Formatter
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_datetime, format_skeleton, format_time

from backend.accounts.documents import Language, Purpose
from backend.accounts.phone_numbers import spoken
from backend.appointments.documents import MessageKind, Recipient
from backend.messaging.content import texts
from backend.messaging.content.gsm import SEGMENT_SEPTETS, plain, septets
from backend.messaging.content.texts import AnswerText

MAX_LISTED = 5
"""How many appointments one answer lists: it stays within four segments."""

TWO_SEGMENTS_SEPTETS = 2 * 153 - 1
"""The length of a message of two segments. One septet is spare: an escaped character isn't split."""

_LISTED_NAME_SEPTETS = 28
_NAMES = ("doctor", "clinic", "patient", "first")
_OTHER_COUNTRIES = {"en": "en_001", "es": "es"}


@dataclass(frozen=True, slots=True)
class AppointmentDetails:
    """What a text may say about an appointment. `start` and `opens` are UTC, `time_zone` is an IANA name.

    `code` (see `parse_reply.code_of`) is set if several open appointments are ahead for the reader's number,
    `names_patient` if several patients are reached by it, `names_zone` if the
    reader may be in another time zone than the clinic. `requests_confirmation` is true for the last reminder,
    `silence_cancels` if the appointment is cancelled without a reply. `can_cancel` is true until the visit type's
    notice for cancelling. `opens` is when it can first be confirmed.
    The confirmation of a time ends with the `instructions`: what the patient should know or bring, in their language.
    Texts to the doctor give only the patient's first name and an initial.
    """

    doctor_name: str
    clinic_name: str
    start: datetime
    time_zone: str
    code: str | None = None
    clinic_phone: str | None = None
    names_zone: bool = False
    requests_confirmation: bool = False
    silence_cancels: bool = False
    can_cancel: bool = True
    patient_name: str = ""
    names_patient: bool = False
    opens: datetime | None = None
    instructions: str | None = None


def render_message(kind: MessageKind, to: Recipient, language: Language, details: AppointmentDetails) -> str:
    """Returns the text of a message about an appointment. KeyError if the recipient gets no message of this kind."""
    if (kind, to) != (MessageKind.REMINDER, Recipient.PATIENT):
        text = _about(texts.MESSAGES[language][to][kind], language, details)
        says_time = kind in (MessageKind.BOOKED, MessageKind.RESCHEDULED) and to is Recipient.PATIENT
        return _with_instructions(text, details.instructions) if says_time else text
    call = "" if details.can_cancel else " {call}"
    if not details.requests_confirmation:
        earlier = texts.EARLIER_REMINDER if details.can_cancel else texts.EARLIER_REMINDER_PAST_NOTICE
        return _about(earlier[language] + call, language, details)
    last = texts.LAST_REMINDER if details.can_cancel else texts.LAST_REMINDER_PAST_NOTICE
    warning = texts.SILENCE_CANCELS[language] if details.silence_cancels else ""
    return _about(last[language] + warning + call, language, details)


def _with_instructions(text: str, instructions: str | None) -> str:
    """Adds the instructions, cut to what two segments have room for."""
    if not instructions or not (short := plain(instructions)):
        return text
    return f"{text} {_cut(short, TWO_SEGMENTS_SEPTETS - _width(text) - 1)}"


def render_answer(
    answer: AnswerText,
    language: Language,
    details: AppointmentDetails | None = None,
    *,
    phone: str | None = None,
) -> str:
    """Returns the text that answers a reply. If it is about no appointment, `phone` is the clinic's, if known.

    KeyError if the text needs details, or `details.opens`, and they are missing.
    """
    text = texts.ANSWERS[language][answer]
    if details is None:
        return _filled(text, _sentences(language, phone) | {"confirm": "1", "cancel": "2"}, {})
    if not details.can_cancel:
        text = texts.ANSWERS_PAST_NOTICE[language].get(answer, text)
    return _about(text, language, details)


def render_choices(language: Language, appointments: Sequence[AppointmentDetails]) -> str:
    """Returns the answer that lists the first `MAX_LISTED` appointments by their codes, which all must have."""
    lines = [plain(texts.CHOICES[language])]
    for details in appointments[:MAX_LISTED]:
        doctor = _cut(_names(language, details)["doctor"], _LISTED_NAME_SEPTETS)
        whose = f"{_cut(_names(language, details)['first'], _LISTED_NAME_SEPTETS)}, " if details.names_patient else ""
        lines.append(plain(f"{details.code}: {whose}{_when(language, details)}, {doctor}"))
    return "\n".join(lines)


def render_code(purpose: Purpose, language: Language, code: str) -> str:
    """Returns the text with a one-time code. It says that the code is valid for 10 minutes."""
    return _filled(texts.CODES[language][purpose], {"code": code}, {})


def _about(text: str, language: Language, details: AppointmentDetails) -> str:
    if details.names_patient:
        text = f"{{first}}: {text}"
    known = {
        "when": _when(language, details),
        "confirm": f"1 {details.code}" if details.code else "1",
        "cancel": f"2 {details.code}" if details.code else "2",
    } | _sentences(language, details.clinic_phone)
    if opens := details.opens:
        zone = ZoneInfo(details.time_zone)
        if opens.astimezone(zone).date() == details.start.astimezone(zone).date():
            time = _clock_time(opens, details.time_zone, language)
            known["opens"] = texts.SAME_DAY[language].format(time=time)
        else:
            time = _day_and_time(opens, details.time_zone, language)
            known["opens"] = texts.OTHER_DAY[language].format(time=time)
    return _filled(text, known, _names(language, details))


def _when(language: Language, details: AppointmentDetails) -> str:
    return _day_and_time(details.start, details.time_zone, language, with_zone=details.names_zone)


def _sentences(language: Language, phone: str | None) -> dict[str, str]:
    without_phone = 0 if phone else 1
    phone = spoken(phone or "")
    return {
        "call": texts.CALL[language][without_phone].format(phone=phone),
        "again": texts.AGAIN[language][without_phone].format(phone=phone),
    }


def _names(language: Language, details: AppointmentDetails) -> dict[str, str]:
    names = {
        "doctor": plain(details.doctor_name),
        "clinic": plain(details.clinic_name),
        "patient": _first_name_and_initial(plain(details.patient_name)),
        "first": next(iter(plain(details.patient_name).split()), ""),
    }
    nameless = texts.NAMELESS[language]
    return {who: name if any(map(str.isalnum, name)) else plain(nameless[who]) for who, name in names.items()}


def _first_name_and_initial(name: str) -> str:
    first, *others = name.split() or [""]
    initial = next((c for word in reversed(others) for c in word if c.isalnum()), "")
    return f"{first} {initial}." if initial else first


def _filled(text: str, known: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Fills in a text. Names are cut to the room that the rest leaves in one segment."""
    text = plain(text)
    fields = {field for _, field, _, _ in Formatter().parse(text) if field}
    rest = _put(text, {**known, **dict.fromkeys(_NAMES, "")})
    room = SEGMENT_SEPTETS - _width(rest)
    return _put(text, {**known, **_fitting({who: names[who] for who in _NAMES if who in fields}, room)})


def _put(text: str, values: Mapping[str, str]) -> str:
    """Inserts the values. Names and times may end in a full stop: two in a row become one."""
    return re.sub(r"\.{2,}", ".", plain(text.format(**values)))


def _fitting(names: dict[str, str], room: int) -> dict[str, str]:
    """Cuts the longest names until all of them fit into `room` septets."""
    widths = [_width(name) for name in names.values()]
    limit = max(widths, default=0)
    while limit > 0 and sum(min(width, limit) for width in widths) > room:
        limit -= 1
    return {who: _cut(name, limit) for who, name in names.items()}


def _cut(name: str, limit: int) -> str:
    """Cuts a name to at most so many septets. A name that was cut ends in a full stop."""
    if _width(name) <= limit:
        return name
    name = name[:limit]
    while name and _width(name) >= limit:
        name = name[:-1]
    return name.rstrip(" .,-") + "."


def _width(text: str) -> int:
    width = septets(text)
    assert width is not None  # noqa: S101 - all texts are GSM-7 here
    return width


@lru_cache(maxsize=4096)
def _day_and_time(at: datetime, time_zone: str, language: Language, *, with_zone: bool = False) -> str:
    """Returns a date such as "Tue, Mar 10, 2:05 PM" or "mar 10 de marzo, 14:05".

    It has no year: nothing is booked so far ahead. It may have characters that GSM-7 lacks.
    """
    zone, locale = ZoneInfo(time_zone), _locale(language, time_zone)
    if language == "es":  # if both were abbreviated, a Tuesday in March would be "mar, 10 mar"
        day = format_datetime(at, "EEE d 'de' MMMM", tzinfo=zone, locale=locale)
    else:
        day = format_skeleton("MMMEd", at, tzinfo=zone, locale=locale)
    return f"{day}, {_clock_time(at, time_zone, language, with_zone=with_zone)}"


def _clock_time(at: datetime, time_zone: str, language: Language, *, with_zone: bool = False) -> str:
    """Returns a time such as "2:05 PM" or "14:05 GMT-03:00"."""
    zone = ZoneInfo(time_zone)
    written = format_time(at, "short", tzinfo=zone, locale=_locale(language, time_zone))
    if not with_zone:
        return written
    # CLDR abbreviates only the zones of the language's own country; the zone database has the local abbreviations.
    short = at.astimezone(zone).tzname() or ""
    return f"{written} {short if short.isalpha() else format_datetime(at, 'OOOO', tzinfo=zone, locale='en')}"


@cache
def _locale(language: Language, time_zone: str) -> Locale:
    """Returns the locale of the language in the zone's country: 12 or 24 hours, month before or after the day."""
    name = get_global("zone_aliases").get(time_zone, time_zone)
    country = get_global("zone_territories").get(name, "")
    try:
        return Locale.parse(f"{language}_{country}")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(_OTHER_COUNTRIES[language])
