"""Finding patients as callers put it: a name in any spelling, a date of birth, last digits of a number, any mix."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backend.accounts.user_search import number_beginnings
from backend.core.mongo.text_search import LONGEST, beginning, fold, starting_with, words_of

KEY_FIELDS = ("name", "email", "phone")
"""The fields that a patient's keys are derived from."""

FEWEST_DIGITS = 4
"""Of the end of a phone number. With fewer, half of all patients would be found."""

SEARCH_INDEX = [("search_words", 1), ("is_active", 1), ("name_key", 1), ("_id", 1)]
"""Serves a search for one word whole: the database finds and sorts on it, and reads only what it returns."""

PHONE_INDEX = [("phone_reversed", 1)]
BIRTH_INDEX = [("date_of_birth", 1), ("name_key", 1), ("_id", 1)]

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
class Way:
    """A filter for patients, and the index for it; None where the database has to choose."""

    where: Mapping[str, Any]
    index: Sequence[tuple[str, int]] | None = None


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """How to find what a caller typed: patients whom any of the `ways` finds, or, if they find nobody, `otherwise`.

    Each is a query for itself. With several in one filter the database would read whole books in the order of names.
    """

    ways: Sequence[Way]
    otherwise: Way | None = None


def patient_search(typed: str) -> PatientSearch:
    """Returns how to find what a caller typed: all parts must be met."""
    if _NUMBER.fullmatch(typed) and not _DATE.fullmatch(typed):
        digits = re.sub("[^0-9]", "", typed)
        is_end = len(digits) >= FEWEST_DIGITS and not typed.startswith("+")
        words = [starting_with("search_words", part) for part in dict.fromkeys([typed, *number_beginnings(typed)])]
        return PatientSearch([*([Way(ending_with(digits), PHONE_INDEX)] if is_end else []), *map(Way, words)])
    dates: list[Mapping[str, Any]] = []
    numbers: list[str] = []
    names: list[str] = []
    for part in typed.split():
        if _DATE.fullmatch(part):
            dates.append({"date_of_birth": part})
        elif part.isascii() and part.isdigit() and len(part) >= FEWEST_DIGITS:
            numbers.append(part)
        else:
            names.append(part)
    spellings = list(_spellings(" ".join(names)))
    if dates or numbers:  # these are few, whatever their names
        named = [{"$or": [_all_begin(words) for words in spellings]}] if names else []
        if dates:
            return PatientSearch([Way({"$and": [*dates, *map(_has_number, numbers), *named]}, BIRTH_INDEX)])
        first, rest = numbers[0], [*map(_has_number, numbers[1:]), *named]
        ends = Way({"$and": [ending_with(first), *rest]}, PHONE_INDEX)
        return PatientSearch([ends, Way({"$and": [starting_with("search_words", first), *rest]})])
    longest = max((len(word) for words in spellings for word in words), default=0)
    index = SEARCH_INDEX if longest >= _SELECTIVE else None
    anywhere = Way({"$or": [_all_begin(words) for words in spellings]}, index)
    if len(spellings[0]) < 2:
        return PatientSearch([anywhere])
    return PatientSearch([Way(_name_begins(words), index) for words in spellings], otherwise=anywhere)


def _has_number(digits: str) -> Mapping[str, Any]:
    return {"$or": [starting_with("search_words", digits), ending_with(digits)]}


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
    """The longest word by the index on words, as few patients have it; all of them as they stand in the name."""
    return {"$and": [_begins(max(words, key=len)), *({"name_key": {"$regex": _in_name(word)}} for word in words)]}


def _in_name(word: str) -> str:
    """A word of the name begins with this one, or several as one do: `oconnor` finds O'Connor."""
    return r"(^|[\W_])" + r"[\W_]*".join(map(re.escape, word[:LONGEST]))
