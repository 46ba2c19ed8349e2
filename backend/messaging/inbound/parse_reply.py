"""Reads a patient's reply: the text of an SMS in, what it asks for out. Pure functions."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product

from beanie import PydanticObjectId

MAX_LENGTH = 1600
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


_WORDS_OF = {
    ReplyKind.CONFIRM: ("1", "C", "CONFIRM", "YES", "SI"),
    ReplyKind.CANCEL: ("2", "X", "NO"),
    # Twilio acts on these itself if they are the whole text. See "Opt-out keywords" in its documentation.
    ReplyKind.OPT_OUT: ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
    ReplyKind.OPT_IN: ("START", "UNSTOP"),
    ReplyKind.HELP: ("HELP", "INFO"),
}
_KIND_OF = {word: kind for kind, words in _WORDS_OF.items() for word in words}


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
    first = words[0] if words else ""
    if len(words) == 1 and (joined := _WITHOUT_SPACE.fullmatch(first)):  # "1K7M"
        words = list(joined.groups())
    kind = _KIND_OF.get(words[0]) if words else None
    if kind and len(words) == 1:
        return Reply(kind, first)
    if kind in (ReplyKind.CONFIRM, ReplyKind.CANCEL) and len(words) == 2 and words[1] in _IS_CODE:
        return Reply(kind, *words)
    return Reply(ReplyKind.UNKNOWN, first)


def _words(body: str) -> list[str]:
    """Returns the runs of letters and digits, in capitals. "１", "①" and the keycap emoji are 1.

    Accents are removed: phones that write GSM-7, which has no Í, send "SÌ" or "SI" for "SÍ".
    """
    body = body.strip()
    if len(body) > MAX_LENGTH:
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
