"""Finding patients as callers put it: a name in any spelling, a date of birth, last digits of a number, any mix."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from backend.accounts.user_search import search_filter
from backend.core.mongo.text_search import LONGEST, beginning, fold, starting_with, words_of

KEY_FIELDS = ("name", "email", "phone")
"""The fields that a patient's keys are derived from."""

FEWEST_DIGITS = 4
"""Of the end of a phone number. With fewer, half of all patients would be found."""

_MOST_WORDS = 6
_WORD = re.compile(r"[^\W_]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")


def patient_keys(*, name: str, email: str | None, phone: str | None) -> dict[str, Any]:
    """Returns the keys by which a patient is listed and found.

    Neighbouring parts of a name are one word too: `OConnor` finds O'Connor, and `VanKirk` Van Kirk.
    """
    parts = _WORD.findall(fold(name))
    joined = ["".join(pair)[:LONGEST] for pair in pairwise(parts)]
    return {
        "name_key": fold(name),
        "search_words": sorted({*words_of(name, email, phone), *joined}),
        "phone_reversed": None if phone is None else phone.removeprefix("+")[::-1],
    }


def ending_with(digits: str) -> Mapping[str, Any]:
    """Returns the filter for patients whose phone ends with these digits."""
    return beginning("phone_reversed", digits[::-1])


def patient_filter(typed: str) -> Mapping[str, Any]:
    """Returns the filter for what a caller typed: all parts must be met. Indexes serve it."""
    if _NUMBER.fullmatch(typed) and not _DATE.fullmatch(typed):
        digits = re.sub("[^0-9]", "", typed)
        ends = [ending_with(digits)] if len(digits) >= FEWEST_DIGITS and not typed.startswith("+") else []
        return {"$or": [search_filter(typed), *ends]}
    conditions: list[Mapping[str, Any]] = []
    names: list[str] = []
    for part in typed.split():
        if _DATE.fullmatch(part):
            conditions.append({"date_of_birth": part})
        elif part.isascii() and part.isdigit() and len(part) >= FEWEST_DIGITS:
            conditions.append({"$or": [starting_with("search_words", part), ending_with(part)]})
        else:
            names.append(part)
    if names or not conditions:
        conditions.append({"$or": [_all_begin(words) for words in _spellings(" ".join(names))]})
    return {"$and": conditions}


def _spellings(name: str) -> Iterator[Sequence[str]]:
    """Yields the words typed, and the same with each two neighbours as one: `Mac Donald` finds MacDonald."""
    words = _WORD.findall(fold(name))[:_MOST_WORDS]
    yield words
    for place in range(len(words) - 1):
        yield [*words[:place], words[place] + words[place + 1], *words[place + 2 :]]


def _all_begin(words: Sequence[str]) -> Mapping[str, Any]:
    if not words:
        return {"search_words": {"$in": []}}
    return {"$and": [beginning("search_words", word[:LONGEST]) for word in words]}
