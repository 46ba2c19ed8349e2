"""Reads a patient's reply: the text of an SMS in, what it asks for out. Pure functions."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product

from beanie import PydanticObjectId

_CONFIRM = frozenset({"1", "C", "CONFIRM", "YES", "SI"})
_CANCEL = frozenset({"2", "X", "NO"})

# Twilio acts on these itself if they are the whole text. See "Opt-out keywords" in its documentation.
_OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_OPT_IN = frozenset({"START", "UNSTOP"})
_HELP = frozenset({"HELP", "INFO"})

_MAX_LENGTH = 1600
"""Twilio passes on so many characters of a message. No text as long is one of our words."""

# A code has no vowels and at least one digit, so it is no word. It has none of 0 1 2 5 8 and B G L Q S Y Z, so nobody
# takes a digit for a letter, and "1" and "2" are never part of a code.
_DIGITS = "34679"
_LETTERS = "CDFHJKMNPRTVWX"
_CODES = [
    "".join(code)
    for code in product(_DIGITS + _LETTERS, repeat=3)
    if any(c in _DIGITS for c in code) and any(c in _LETTERS for c in code)
]
_IS_CODE = frozenset(_CODES)
_WITHOUT_SPACE = re.compile(r"([12])(\w{3})")


class ReplyKind(StrEnum):
    """What a reply asks for."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply asks for.

    `word` is its first word in capitals, without accents, or "". In an unknown reply it is the patient's own word and
    must not be logged. `code` names the appointment the patient means.
    """

    kind: ReplyKind
    word: str
    code: str | None = None

    @property
    def opts_in(self) -> bool:
        """Whether Twilio takes the reply as opting in again. YES does that and also confirms."""
        return self.kind is ReplyKind.OPT_IN or self == _YES


_YES = Reply(ReplyKind.CONFIRM, "YES")


def parse(body: str) -> Reply:
    """Reads the whole text. Case, accents, and punctuation, emoji or spaces around the words don't matter.

    Every text can be read. A text that isn't exactly one of the words, or a word and a code, is unknown: asking
    again is better than cancelling because of "no, I'll come".
    """
    words = _words(body)
    if not words:
        return Reply(ReplyKind.UNKNOWN, "")
    if len(words) == 1:
        return _one_word(words[0])
    word, code, *more = words
    if code in _IS_CODE and not more:
        if word in _CONFIRM:
            return Reply(ReplyKind.CONFIRM, word, code)
        if word in _CANCEL:
            return Reply(ReplyKind.CANCEL, word, code)
    return Reply(ReplyKind.UNKNOWN, word)


def _one_word(word: str) -> Reply:
    kinds = {
        ReplyKind.CONFIRM: _CONFIRM,
        ReplyKind.CANCEL: _CANCEL,
        ReplyKind.OPT_OUT: _OPT_OUT,
        ReplyKind.OPT_IN: _OPT_IN,
        ReplyKind.HELP: _HELP,
    }
    for kind, words in kinds.items():
        if word in words:
            return Reply(kind, word)
    match = _WITHOUT_SPACE.fullmatch(word)  # "1K7M"
    if match and match[2] in _IS_CODE:
        return Reply(ReplyKind.CONFIRM if match[1] == "1" else ReplyKind.CANCEL, match[1], match[2])
    return Reply(ReplyKind.UNKNOWN, word)


def _words(body: str) -> list[str]:
    """Returns the runs of letters and digits, in capitals. "１", "①" and the keycap emoji are 1.

    Accents are removed: phones that write GSM-7, which has no Í, send "SÌ" or "SI" for "SÍ".
    """
    body = body.strip()
    if len(body) > _MAX_LENGTH:
        return []
    decomposed = unicodedata.normalize("NFKD", body).upper()
    letters = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    return "".join(c if c.isalnum() else " " for c in letters).split()


def code_of(appointment_id: PydanticObjectId) -> str:
    """Returns an appointment's code: always the same three characters, at least one letter and one digit.

    There are some 4,000 codes. A patient's few open appointments rarely share one, but they may.
    """
    drawn = int.from_bytes(sha256(appointment_id.binary).digest()[:8])
    return _CODES[drawn % len(_CODES)]
