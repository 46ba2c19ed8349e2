"""Search by words: what people type, folded so that case and accents don't matter."""

import re
import unicodedata
from typing import Any

_WORD = re.compile(r"[^\W_]+")
LONGEST = 30

_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i"})
"""Letters that Unicode doesn't take apart, as people without them on their keyboard write them."""


def fold(text: str) -> str:
    """Lower case without accents or outer spaces: the key by which names of things are compared."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())


def words_of(*texts: str | None) -> list[str]:
    """The distinct folded words of some texts, for a multikey index."""
    found = {word[:LONGEST] for text in texts if text for word in _WORD.findall(fold(text))}
    return sorted(found)


def starting_with(field: str, typed: str) -> dict[str, Any]:
    """A filter: each word typed is the beginning of one of the words in `field`. Served by an index on it."""
    wanted = words_of(typed)[:8]
    if not wanted:
        return {field: {"$in": []}}
    return {"$and": [beginning(field, word) for word in wanted]}


def beginning(field: str, text: str) -> dict[str, Any]:
    """A filter: a folded text is the beginning of `field`, or of one of its words. Served by an index on it."""
    return {field: {"$gte": text, "$regex": f"^{re.escape(text)}"}}
