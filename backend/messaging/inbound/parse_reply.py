"""Reads a patient's reply: the text of an SMS in, what it asks for out. Pure functions. Words: `reply_words`."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product

from beanie import PydanticObjectId

from backend.messaging.inbound.reply_words import (
    DENIALS,
    DOUBTS,
    LONGEST_PHRASE,
    LONGEST_WISH,
    MEANING_OF,
    OPT_OUT_WORDS,
    SMALL_WORDS,
    WISHES_FOR_SILENCE,
    Meaning,
)

MAX_LENGTH = 1600
"""Twilio passes on so many characters of a message. No reply as long is understood."""

# A code has no vowels and at least one digit, so it is no word. It has none of 0 1 2 5 8 and B G L Q S Y Z, so nobody
# takes a digit for a letter, and "1" and "2" are never part of a code. "3PM" and "4TH" are no codes: they are a wish.
_DIGITS = "34679"
_LETTERS = "CDFHJKMNPRTVWX"
_CODES = [
    "".join(code)
    for code in product(_DIGITS + _LETTERS, repeat=3)
    if any(c in _DIGITS for c in code)
    and any(c in _LETTERS for c in code)
    and "".join(code[1:]) not in ("PM", "TH", "RD")
]
_IS_CODE = frozenset(_CODES)
_APOSTROPHES = dict.fromkeys(map(ord, "'’‘`´ʼ＇"))


class ReplyKind(StrEnum):
    """What a reply asks for."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    UNKNOWN = "unknown"


_WHOLE_TEXT = {
    **dict.fromkeys(OPT_OUT_WORDS, ReplyKind.OPT_OUT),
    **dict.fromkeys(("START", "UNSTOP"), ReplyKind.OPT_IN),
    **dict.fromkeys(("HELP", "INFO"), ReplyKind.HELP),
}
"""What Twilio acts on itself, if it is the whole text."""

_ALONE = {
    "C": ReplyKind.CONFIRM,
    **dict.fromkeys(("X", "NO"), ReplyKind.CANCEL),
}
"""Words that mean this with nothing but a code beside them: "No" may begin "no problem", and "thanks x" is a kiss."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply asks for.

    `word` is the whole text in capitals, without accents, if it is one word; else "". It may be the patient's own and
    must not be logged. `code` names the appointment the patient means.
    """

    kind: ReplyKind
    word: str = ""
    code: str | None = None

    @property
    def opts_in(self) -> bool:
        """Whether Twilio takes the reply as opting in again. YES does that and also confirms."""
        return self.kind is ReplyKind.OPT_IN or self == _YES


_YES = Reply(ReplyKind.CONFIRM, "YES")


def parse(body: str) -> Reply:
    """Reads the whole text. Case, accents, and punctuation, emoji or spaces around the words don't matter.

    Every text can be read. A reply confirms or cancels only if every word of it is known and none says otherwise:
    asking again is better than confirming "yes but can we do 3pm?" or cancelling because of "no, I'll come".
    """
    words = _words(body)
    word = words[0] if len(words) == 1 else ""
    if kind := _WHOLE_TEXT.get(word):
        return Reply(kind, word)
    if _wants_silence(words) or any(Meaning.OPT_OUT in _meanings(_words(each)) for each in _sentences(body)):
        return Reply(ReplyKind.OPT_OUT, word)
    if not DOUBTS.isdisjoint(unicodedata.normalize("NFKD", body)):
        return Reply(ReplyKind.UNKNOWN, word)
    codes = {each for each in words if each in _IS_CODE}
    others = [each for each in words if each not in _IS_CODE]
    meanings = set(_meanings(words)) - {Meaning.POLITE}
    if len(others) == 1 and others[0] in _ALONE:
        kind = _ALONE[others[0]]
    elif meanings == {Meaning.YES}:
        kind = ReplyKind.CONFIRM
    elif meanings == {Meaning.CANCEL}:
        kind = ReplyKind.CANCEL
    else:
        kind = ReplyKind.UNKNOWN
    if kind is ReplyKind.UNKNOWN or len(codes) > 1:
        return Reply(ReplyKind.UNKNOWN, word)
    return Reply(kind, word, *codes)


def _meanings(words: Sequence[str]) -> list[Meaning]:
    """Returns what the words but codes say, the longest phrase first; nothing if one of them isn't known."""
    words, found, at = [each for each in words if each not in _IS_CODE], [], 0
    while at < len(words):
        for length in range(min(LONGEST_PHRASE, len(words) - at), 0, -1):
            if meaning := MEANING_OF.get(" ".join(words[at : at + length])):
                found.append(meaning)
                at += length
                break
        else:
            return []
    return found


def _wants_silence(words: Sequence[str]) -> bool:
    """Returns whether somewhere in the text the sender wishes for no more messages."""
    for text in (words, [each for each in words if each not in SMALL_WORDS]):
        for start in range(len(text)):
            before = f" {' '.join(text[:start])}"
            for end in range(start + 1, min(start + LONGEST_WISH, len(text)) + 1):
                wish = " ".join(text[start:end])
                is_denied = before.endswith(DENIALS) or (wish.startswith("DEJ") and before.endswith(" NO"))
                if wish in WISHES_FOR_SILENCE and not is_denied:
                    return True
    return False


def _sentences(body: str) -> list[str]:
    """Returns the parts between full stops, commas and line breaks: "Stop. Wrong number" asks for one thing, too."""
    return "".join("\n" if c in ".,;:!?¡¿" else c for c in body).splitlines()


def _words(body: str) -> list[str]:
    """Returns the runs of letters and digits, in capitals; none of a text that is too long.

    "１", "①", "۱" and the keycap emoji are 1. Accents are removed: phones that write GSM-7, which has no Í, send "SÌ"
    or "SI" for "SÍ". Apostrophes are too: "don't" is DONT. "1K7M" and "1ok" are two words.
    """
    if len(body) > MAX_LENGTH:
        return []
    decomposed = unicodedata.normalize("NFKD", body.translate(_APOSTROPHES)).upper()
    letters = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    digits = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in letters)
    words = []
    for word in "".join(c if c.isalnum() else " " for c in digits).split():
        choice, rest = word[0], word[1:]
        is_joined = choice in "12" and (rest.isalpha() or rest in _IS_CODE)
        words += [choice, rest] if is_joined else [word]
    return words


def code_of(appointment_id: PydanticObjectId) -> str:
    """Returns an appointment's code: always the same three characters, at least one letter and one digit.

    There are some 4,000 codes. A patient's few open appointments rarely share one, but they may.
    """
    drawn = int.from_bytes(sha256(appointment_id.binary).digest()[:8])
    return _CODES[drawn % len(_CODES)]
