"""Finding patients as callers put it: a name in any spelling, a date of birth, last digits of a number, any mix."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backend.accounts.user_search import search_filter
from backend.core.mongo.text_search import LONGEST, beginning, fold, starting_with, words_of

KEY_FIELDS = ("name", "email", "phone")
"""The fields that a patient's keys are derived from."""

FEWEST_DIGITS = 4
"""Of the end of a phone number. With fewer, half of all patients would be found."""

SEARCH_INDEX = [("search_words", 1), ("is_active", 1), ("name_key", 1), ("_id", 1)]
"""Serves a search for one word whole: the database finds and sorts on it, and reads only what it returns."""

_SELECTIVE = 4
"""Letters. What begins with fewer is so frequent that the database had better look in the order of the names."""

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


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """The filters for what a caller typed, and the index for them; None where the database has to choose.

    Each of `by_name` finds those whose name has all the words in one spelling: the longest word by the index on
    words, or all of them on that of names, without reading those who don't match. With both spellings in one filter
    it would read all of them. `anywhere` looks at e-mail addresses, too, and is for where `by_name` finds nobody.
    """

    anywhere: Mapping[str, Any]
    by_name: Sequence[Mapping[str, Any]] = ()
    index: Sequence[tuple[str, int]] | None = None


def patient_search(typed: str) -> PatientSearch:
    """Returns how to find what a caller typed: all parts must be met."""
    if _NUMBER.fullmatch(typed) and not _DATE.fullmatch(typed):
        digits = re.sub("[^0-9]", "", typed)
        ends = [ending_with(digits)] if len(digits) >= FEWEST_DIGITS and not typed.startswith("+") else []
        return PatientSearch({"$or": [search_filter(typed), *ends]})
    conditions: list[Mapping[str, Any]] = []
    names: list[str] = []
    for part in typed.split():
        if _DATE.fullmatch(part):
            conditions.append({"date_of_birth": part})
        elif part.isascii() and part.isdigit() and len(part) >= FEWEST_DIGITS:
            conditions.append({"$or": [starting_with("search_words", part), ending_with(part)]})
        else:
            names.append(part)
    spellings = list(_spellings(" ".join(names)))
    if conditions:  # these are few, whatever their names
        named = [{"$or": [_all_begin(words) for words in spellings]}] if names else []
        return PatientSearch({"$and": [*conditions, *named]})
    longest = max((len(word) for words in spellings for word in words), default=0)
    index = SEARCH_INDEX if longest >= _SELECTIVE else None
    anywhere = {"$or": [_all_begin(words) for words in spellings]}
    if len(spellings[0]) < 2:
        return PatientSearch(anywhere, index=index)
    return PatientSearch(anywhere, [_name_begins(words) for words in spellings], index)


def _spellings(name: str) -> Iterator[Sequence[str]]:
    """Yields the words typed, and the same with each two neighbours as one: `Mac Donald` finds MacDonald."""
    words = _WORD.findall(fold(name))[:_MOST_WORDS]
    yield words
    for place in range(len(words) - 1):
        yield [*words[:place], words[place] + words[place + 1], *words[place + 2 :]]


def _all_begin(words: Sequence[str]) -> Mapping[str, Any]:
    if not words:
        return {"search_words": {"$in": []}}
    return {"$and": [_begins(word) for word in words]}


def _begins(word: str) -> Mapping[str, Any]:
    # The expression alone: with a second bound, the database would read each patient, and not the index only.
    return {"search_words": {"$regex": f"^{re.escape(word[:LONGEST])}"}}


def _name_begins(words: Sequence[str]) -> Mapping[str, Any]:
    """The longest word by the index, as few patients have it; the others as they stand in the name."""
    longest = max(words, key=len)
    others = list(words)
    others.remove(longest)
    return {"$and": [_begins(longest), *({"name_key": {"$regex": _in_name(word)}} for word in others)]}


def _in_name(word: str) -> str:
    """A word of the name begins with this one, or several as one do: `oconnor` finds O'Connor."""
    return r"(^|[\W_])" + r"[\W_]*".join(map(re.escape, word[:LONGEST]))
