"""Records that may be of the same person: the same date of birth or phone, and a similar name."""

from collections.abc import Sequence
from datetime import date
from difflib import SequenceMatcher

from backend.core.mongo.text_search import fold
from backend.patients import repository
from backend.patients.documents import Patient

_SIMILAR = 0.8
"""How much of two names must be the same, from 0 to 1: `Jon Smith` and `John Smyth` are at 0.84."""

_MOST_SHOWN = 10


async def find_duplicates(*, name: str, date_of_birth: date | None, phone: str | None) -> Sequence[Patient]:
    """Returns active patients with the same date of birth or phone and a similar name, at most ten."""
    born = None if date_of_birth is None else date_of_birth.isoformat()
    if born is None and phone is None:
        return []
    found = await repository.find_with(date_of_birth=born, phone=phone)
    return [each for each in found if is_similar(each.name, name)][:_MOST_SHOWN]


def is_similar(one: str, other: str) -> bool:
    """Returns whether two names may be spellings of the same one, in whatever order their parts are."""
    first, second = (" ".join(sorted(fold(name).split())) for name in (one, other))
    return SequenceMatcher(None, first, second).ratio() >= _SIMILAR
