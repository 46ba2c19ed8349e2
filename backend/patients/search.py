"""Finding patients as callers put it: a name in any spelling, a date of birth, last digits of a number, any mix.

Three kinds of words are stored for each patient, all in `search_words`, so that one index serves them all:

- words of the name, of the e-mail before its `@`, the whole e-mail, and the number: `connor`, `meg@example.com`;
- each part of the name with all that follows it, for those who write them as one word: `OConnor`, `VanKirk`;
- the first letters of each part of the name, and of each two: `gar ` and `gar mar` for María García. Callers who give
  two names, or the beginnings of both, are found among these few, and not among all whose name begins like one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any

from backend.accounts.user_search import number_beginnings
from backend.core.mongo.text_search import LONGEST, beginning, fold, starting_with, words_of

KEY_FIELDS = ("name", "email", "phone")
"""The fields that a patient's keys are derived from."""

FEWEST_DIGITS = 4
"""Of the end of a phone number. With fewer, half of all patients would be found."""

SEARCH_INDEX = [("search_words", 1), ("is_active", 1), ("name_key", 1), ("_id", 1)]
"""The database finds and sorts on it, and reads only what it returns."""

PHONE_INDEX = [("phone_reversed", 1)]
BIRTH_INDEX = [("date_of_birth", 1), ("name_key", 1), ("_id", 1)]

_SHORT = 3
"""Letters. So many patients have a name that begins with so few that sorting them would take long."""

_LENGTHS = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 3))
"""Of what `_of_two` returns, in letters."""

_MOST_WORDS = 6
_WORD = re.compile(r"[^\W_]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")


def patient_keys(*, name: str, email: str | None, phone: str | None) -> dict[str, Any]:
    """Returns the keys by which a patient is listed and found."""
    parts = _WORD.findall(fold(name))[:_MOST_WORDS]
    address = fold(email or "")
    found = {*words_of(name, address.partition("@")[0], phone), *_written_as_one(parts), *_beginnings(parts)}
    if address:
        found.add(_cut(address))
    return {
        "name_key": fold(name),
        "search_words": sorted(found),
        "phone_reversed": None if phone is None else phone.removeprefix("+")[::-1],
    }


def _written_as_one(parts: Sequence[str]) -> Iterator[str]:
    for place in range(len(parts) - 1):
        yield _cut("".join(parts[place:]))


def _beginnings(parts: Sequence[str]) -> Iterator[str]:
    """Yields what `_short` and `_of_two` return for any word or two that one may type for these parts."""
    spellings = [(part, "".join(parts[place:])) for place, part in enumerate(parts)]
    for word in chain.from_iterable(spellings):
        yield from (_short(word[:letters]) for letters in range(1, _SHORT + 1))
    for one, other in combinations(spellings, 2):
        for word, another in product(one, other):
            yield from (_of_two([word[:letters], another[:more]]) for letters, more in _LENGTHS)


def _short(word: str) -> str:
    """Returns the key of those whose name has a word that begins so; no word of theirs is the same."""
    return f"{word} "


def _of_two(words: Sequence[str]) -> str:
    """Returns the first letters of two words: three of each if both have so many, and no more than two otherwise."""
    letters = 3 if all(len(word) >= 3 for word in words) else 2
    return " ".join(sorted(word[:letters] for word in words))


def ending_with(digits: str) -> Mapping[str, Any]:
    """Returns the filter for patients whose phone ends with these digits."""
    return beginning("phone_reversed", digits[::-1])


@dataclass(frozen=True, slots=True)
class Way:
    """A filter for patients, and the index for it; None where the database has to choose."""

    where: Mapping[str, Any]
    index: Sequence[tuple[str, int]] | None = None


def patient_search(typed: str) -> Sequence[Way]:
    """Returns the ways to find what a caller typed: patients whom any of them finds. All parts must be met.

    Each is a query for itself. With several in one filter the database would read whole books in the order of names.
    """
    if _NUMBER.fullmatch(typed) and not _DATE.fullmatch(typed):
        digits = re.sub("[^0-9]", "", typed)
        is_end = len(digits) >= FEWEST_DIGITS and not typed.startswith("+")
        words = [starting_with("search_words", part) for part in dict.fromkeys([typed, *number_beginnings(typed)])]
        return [*([Way(ending_with(digits), PHONE_INDEX)] if is_end else []), *map(Way, words)]
    dates: list[Mapping[str, Any]] = []
    addresses: list[Mapping[str, Any]] = []
    numbers: list[str] = []
    names: list[str] = []
    for part in typed.split():
        if _DATE.fullmatch(part):
            dates.append({"date_of_birth": part})
        elif part.isascii() and part.isdigit() and len(part) >= FEWEST_DIGITS:
            numbers.append(part)
        elif "@" in part[1:]:
            addresses.append(_begins(fold(part)))
        else:
            names.append(part)
    spellings = list(_spellings(" ".join(names)))
    if not (dates or addresses or numbers):
        return [_way_to(words) for words in spellings]
    # These are few, whatever their names.
    named = [{"$or": [_is_named(words) for words in spellings]}] if names else []
    if dates:
        return [Way({"$and": [*dates, *addresses, *map(_has_number, numbers), *named]}, BIRTH_INDEX)]
    if addresses:
        return [Way({"$and": [*addresses, *map(_has_number, numbers), *named]}, SEARCH_INDEX)]
    first, rest = numbers[0], [*map(_has_number, numbers[1:]), *named]
    ends = Way({"$and": [ending_with(first), *rest]}, PHONE_INDEX)
    return [ends, Way({"$and": [starting_with("search_words", first), *rest]})]


def _has_number(digits: str) -> Mapping[str, Any]:
    return {"$or": [starting_with("search_words", digits), ending_with(digits)]}


def _spellings(name: str) -> Iterator[Sequence[str]]:
    """Yields the words typed, and the same with each two neighbours as one: `Mac Donald` finds MacDonald."""
    words = [_cut(word) for word in _WORD.findall(fold(name))[:_MOST_WORDS]]
    yield words
    for place in range(len(words) - 1):
        yield [*words[:place], words[place] + words[place + 1], *words[place + 2 :]]


def _way_to(words: Sequence[str]) -> Way:
    """Returns the way to patients whose name has words that begin so; a long single one may be of the e-mail too."""
    if not words:
        return Way({"search_words": {"$in": []}})
    if len(words) == 1:
        is_short = len(words[0]) <= _SHORT
        return Way({"search_words": _short(words[0])} if is_short else _begins(words[0]), SEARCH_INDEX)
    longest = sorted(words, key=len)[-2:]
    return Way({"search_words": _of_two(longest), **_is_named(words)}, SEARCH_INDEX)


def _begins(word: str) -> Mapping[str, Any]:
    # The expression alone: with a second bound, the database would read each patient, and not the index only.
    return {"search_words": {"$regex": f"^{re.escape(_cut(word))}"}}


def _is_named(words: Sequence[str]) -> Mapping[str, Any]:
    """A word of the name begins with each of these, or several as one do: `oconnor` finds O'Connor."""
    return {"$and": [{"name_key": {"$regex": _in_name(word)}} for word in words]}


def _in_name(word: str) -> str:
    return r"(^|[^\p{L}\p{N}])" + r"[^\p{L}\p{N}]*".join(map(re.escape, word))


def _cut(word: str) -> str:
    return word[:LONGEST]
