"""The SMS alphabet (GSM-7, 3GPP TS 23.038): the length of a text, and how to write a text in it."""

import unicodedata

from anyascii import anyascii

SEGMENT_SEPTETS = 160
"""The length of a message of one segment."""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = frozenset("\f^{}\\[~]|€")
_CARRIED = _BASIC | _ESCAPED

# GSM-7 has some Greek capitals only. If they were kept, "Σοφία" would become "Σofia".
_KEPT = frozenset(c for c in _CARRIED if c.isprintable() and not "Ͱ" <= c <= "Ͽ")

_PICTURES = range(0x1F000, 0x1FC00)


def septets(text: str) -> int | None:
    """Returns the length in GSM-7, where escaped characters count two; None if a character isn't in GSM-7."""
    if not _CARRIED.issuperset(text):
        return None
    return len(text) + sum(c in _ESCAPED for c in text)


def segments(text: str) -> int:
    """Returns how many segments a carrier sends, and bills, for a text.

    One of 160 septets, or parts of 153; for a text that isn't GSM-7, one of 70 UTF-16 units, or parts of 67. An
    escape and its character, or the two halves of a surrogate pair, stay in one part. An empty text has no segment.
    """
    if septets(text) is None:
        widths, single, part = [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67
    else:
        widths, single, part = [2 if c in _ESCAPED else 1 for c in text], SEGMENT_SEPTETS, 153
    if sum(widths) <= single:
        return 1 if text else 0
    count, used = 1, 0
    for width in widths:
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count


def plain(text: str) -> str:
    """Returns the text as one line of GSM-7. Only this function decides on a message's encoding.

    Letters that GSM-7 has stay (é ñ ü à, but not á í ó ú); other letters are transliterated; characters without
    letters, such as emoji, are dropped. Control characters and line breaks become spaces, and runs of spaces one
    space.
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(map(_carried, composed)).split())


def _carried(c: str) -> str:
    if c in _KEPT:
        return c
    if c.isspace() or unicodedata.category(c) == "Cc":
        return " "
    if c == "\N{REPLACEMENT CHARACTER}" or ord(c) in _PICTURES:
        return ""
    letters = anyascii(c)
    is_name_of_picture = len(letters) > 2 and letters[0] == letters[-1] == ":"
    return "" if is_name_of_picture else letters.replace("`", "'")
