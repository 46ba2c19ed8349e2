"""What messages say: the texts filled in with an appointment's facts, in GSM-7 and within one segment.

Names that are too long for one segment (160 septets) are shortened, the longest first. Only the answer that lists
several appointments may take more.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Formatter

from backend.accounts.documents import Language
from backend.appointments.documents import MessageKind, Recipient
from backend.messaging.content import texts
from backend.messaging.content.dates import clock_time, day_and_time, same_day
from backend.messaging.content.gsm import SEGMENT_SEPTETS, plain, septets
from backend.messaging.content.texts import CodeText, ReplyText

MOST_LISTED = 5
"""Appointments in one answer; it stays within four segments."""

_LISTED_NAME_SEPTETS = 28
_NAMES = ("doctor", "clinic", "patient")


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """What a message about an appointment may tell. `start` and `opens` are UTC, `time_zone` is an IANA name.

    `code` (see `replies.code_of`) is given where the patient has several open appointments; `zone_matters` where
    the reader may be in another zone than the clinic. `requests_confirmation` is true of the last reminder;
    `silence_cancels` where no answer then ends the appointment. `opens` is the time from which it can be
    confirmed. Of the patient's name, in texts to the doctor, only the first name and an initial are told.
    """

    doctor_name: str
    clinic_name: str
    start: datetime
    time_zone: str
    code: str | None = None
    clinic_phone: str | None = None
    zone_matters: bool = False
    requests_confirmation: bool = False
    silence_cancels: bool = False
    patient_name: str = ""
    opens: datetime | None = None


def render(kind: MessageKind, to: Recipient, language: Language, facts: MessageDetails) -> str:
    """The text of a message that an appointment owes: one GSM-7 segment. KeyError if nobody owes such a one."""
    if (kind, to) == (MessageKind.REMINDER, Recipient.PATIENT):
        reminder = texts.LAST_REMINDER if facts.requests_confirmation else texts.EARLIER_REMINDER
        warning = (
            texts.SILENCE_CANCELS[language] if facts.requests_confirmation and facts.silence_cancels else ""
        )
        return _about(reminder[language] + warning, language, facts)
    return _about(texts.MESSAGES[language][kind, to], language, facts)


def answer(
    what: ReplyText, language: Language, facts: MessageDetails | None = None, *, phone: str | None = None
) -> str:
    """The text that answers a reply: one GSM-7 segment.

    Without `facts` where no appointment is meant (nothing open, no such code, not understood, try again, opted in,
    unknown phone); `phone` is then the clinic's, if one is known. KeyError if the answer tells of an appointment,
    or of `facts.opens` (too early), that is not given.
    """
    text = texts.ANSWERS[language][what]
    if facts is None:
        return _filled(text, _sentences(language, phone) | {"confirm": "1", "cancel": "2"}, {})
    return _about(text, language, facts)


def several_open(language: Language, appointments: Sequence[MessageDetails]) -> str:
    """The answer that lists the open appointments by their codes, the first `MOST_LISTED` of them, each on a line.

    Every one of them has a code. GSM-7, at most four segments.
    """
    lines = [plain(texts.SEVERAL_OPEN[language])]
    for facts in appointments[:MOST_LISTED]:
        doctor = _cut(_names(language, facts)["doctor"], _LISTED_NAME_SEPTETS)
        lines.append(plain(f"{facts.code}: {_when(language, facts)}, {doctor}"))
    return "\n".join(lines)


def one_time_code(what: CodeText, language: Language, code: str) -> str:
    """The text that brings a one-time code, valid for 10 minutes: one GSM-7 segment."""
    return _filled(texts.CODES[language][what], {"code": code}, {})


def _about(text: str, language: Language, facts: MessageDetails) -> str:
    """A text about one appointment."""
    known = {
        "when": _when(language, facts),
        "confirm": f"1 {facts.code}" if facts.code else "1",
        "cancel": f"2 {facts.code}" if facts.code else "2",
    } | _sentences(language, facts.clinic_phone)
    if facts.opens:
        known["opens"] = _opens(language, facts, facts.opens)
    return _filled(text, known, _names(language, facts))


def _when(language: Language, facts: MessageDetails) -> str:
    return day_and_time(facts.start, facts.time_zone, language, with_zone=facts.zone_matters)


def _opens(language: Language, facts: MessageDetails, opens: datetime) -> str:
    if same_day(opens, facts.start, facts.time_zone):
        return texts.SAME_DAY[language].format(time=clock_time(opens, facts.time_zone, language))
    return texts.OTHER_DAY[language].format(time=day_and_time(opens, facts.time_zone, language))


def _sentences(language: Language, phone: str | None) -> dict[str, str]:
    without_phone = 0 if phone else 1
    return {
        "call": texts.CALL[language][without_phone].format(phone=phone),
        "again": texts.AGAIN[language][without_phone].format(phone=phone),
    }


def _names(language: Language, facts: MessageDetails) -> dict[str, str]:
    names = {
        "doctor": plain(facts.doctor_name),
        "clinic": plain(facts.clinic_name),
        "patient": _first_name_and_initial(plain(facts.patient_name)),
    }
    nameless = texts.NAMELESS[language]
    return {who: name if any(map(str.isalnum, name)) else plain(nameless[who]) for who, name in names.items()}


def _first_name_and_initial(name: str) -> str:
    first, *others = name.split() or [""]
    initial = next((c for word in reversed(others) for c in word if c.isalnum()), "")
    return f"{first} {initial}." if initial else first


def _filled(text: str, known: Mapping[str, str], names: Mapping[str, str]) -> str:
    """The text with everything in its place, the names cut to what one segment leaves for them."""
    text = plain(text)
    fields = {field for _, field, _, _ in Formatter().parse(text) if field}
    rest = _put(text, {**known, **dict.fromkeys(_NAMES, "")})
    room = SEGMENT_SEPTETS - _width(rest)
    return _put(text, {**known, **_fitting({who: names[who] for who in _NAMES if who in fields}, room)})


def _put(text: str, values: Mapping[str, str]) -> str:
    """Never two full stops in a row: names and times of day may end in one, too."""
    return re.sub(r"\.{2,}", ".", plain(text.format(**values)))


def _fitting(names: dict[str, str], room: int) -> dict[str, str]:
    """The names in no more septets than `room` altogether: the longest are cut until they fit."""
    widths = [_width(name) for name in names.values()]
    most = max(widths, default=0)
    while most > 0 and sum(min(width, most) for width in widths) > room:
        most -= 1
    return {who: _cut(name, most) for who, name in names.items()}


def _cut(name: str, most: int) -> str:
    """A name in at most so many septets, ending in a full stop if something is missing."""
    if _width(name) <= most:
        return name
    name = name[:most]
    while name and _width(name) >= most:
        name = name[:-1]
    return name.rstrip(" .,-") + "."


def _width(text: str) -> int:
    width = septets(text)
    assert width is not None  # noqa: S101 - only plain texts are measured
    return width
