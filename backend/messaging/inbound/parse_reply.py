"""How a patient's reply reads. Pure: the body of an SMS in, what it asks for out."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product

from beanie import PydanticObjectId

_CONFIRM = frozenset({"1", "C", "CONFIRM", "YES", "SI"})
_CANCEL = frozenset({"2", "X", "NO"})

# Twilio acts on these by itself, if they are the whole body. See "Opt-out keywords" in its documentation.
_OPT_OUT = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_OPT_IN = frozenset({"START", "UNSTOP"})
_HELP = frozenset({"HELP", "INFO"})

_LONGEST = 1600
"""Characters that Twilio hands on of a message; nothing as long is one of our words."""

# Without vowels and always with a digit, a code is no word; without 0 1 2 5 8 and B G L Q S Y Z, no digit in it is
# taken for a letter, and "1" and "2" are never part of one.
_DIGITS = "34679"
_LETTERS = "CDFHJKMNPRTVWX"
_CODES = [
    "".join(code)
    for code in product(_DIGITS + _LETTERS, repeat=3)
    if any(c in _DIGITS for c in code) and any(c in _LETTERS for c in code)
]
_IS_CODE = frozenset(_CODES)
_RUN_TOGETHER = re.compile(r"([12])(\w{3})")


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
    """A reply as it was understood.

    `word` is its first word in capitals without accents, "" if there is none; of an unknown reply these are the
    patient's own words, and not for logs. `code` names the appointment that is meant.
    """

    kind: ReplyKind
    word: str
    code: str | None = None

    @property
    def opts_in(self) -> bool:
        """Whether Twilio takes it for the wish to get messages again. A YES confirms too."""
        return self.kind is ReplyKind.OPT_IN or self == _YES


_YES = Reply(ReplyKind.CONFIRM, "YES")


def parse(body: str) -> Reply:
    """Reads the whole body: case, accents, and punctuation, emoji or spaces around words don't matter.

    Any text is read, never an error. What is not exactly one of the words, or a word and a code, is unknown: it is
    better to ask again than to cancel what "no, I'll come" is about.
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
    together = _RUN_TOGETHER.fullmatch(word)  # "1K7M"
    if together and together[2] in _IS_CODE:
        return Reply(ReplyKind.CONFIRM if together[1] == "1" else ReplyKind.CANCEL, together[1], together[2])
    return Reply(ReplyKind.UNKNOWN, word)


def _words(body: str) -> list[str]:
    """Runs of letters and digits, in capitals; "１", "①" and the keycap are 1.

    Accents go because phones that write GSM-7, which has no Í, send "SÌ" or "SI" for "SÍ".
    """
    body = body.strip()
    if len(body) > _LONGEST:
        return []
    decomposed = unicodedata.normalize("NFKD", body).upper()
    letters = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    return "".join(c if c.isalnum() else " " for c in letters).split()


def code_of(appointment_id: PydanticObjectId) -> str:
    """A short name for an appointment: three characters, at least one letter and one digit; the same every time.

    There are some 4,000 of them, as if drawn at random: among a patient's few open appointments two alike are rare,
    but possible.
    """
    drawn = int.from_bytes(sha256(appointment_id.binary).digest()[:8])
    return _CODES[drawn % len(_CODES)]
