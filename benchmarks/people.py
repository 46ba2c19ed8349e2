"""Patients by the million, as a large provider has them: a few surnames are very common, most are rare."""

import itertools
import multiprocessing
from bisect import bisect
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

import pymongo
from bson import ObjectId, encode
from bson.raw_bson import RawBSONDocument

from benchmarks import book
from benchmarks.asks import token_of
from benchmarks.load import request
from benchmarks.models import Raw

_BATCH = 5000
_WRITERS = 2
_OLDEST = date(1930, 1, 1)
_DAYS = 95 * 365
_DOMAINS = ("gmail.com", "gmail.com", "outlook.com", "icloud.com", "yahoo.com", "example.org")

_COMMON_SURNAMES = (
    "García",
    "Smith",
    "Johnson",
    "Williams",
    "Brown",
    "Nguyen",
    "O'Connor",
    "Müller",
    "Van Kirk",
    "Łukasz",
)
_COMMON_FIRST_NAMES = ("María", "James", "Mary", "José", "Anna", "John", "Chloé", "Zoë", "Ali", "Björn")
_SYLLABLES = tuple(
    f"{first}{vowel}{last}"
    for first in ("b", "d", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w")
    for vowel, last in (("a", "r"), ("e", ""), ("i", "n"), ("o", "l"))
)
_ENDINGS = (
    "son",
    "ez",
    "ski",
    "mann",
    "ley",
    "ton",
    "ra",
    "ini",
    "berg",
    "wood",
    "ck",
    "va",
    "ne",
    "ford",
    "ard",
    "ing",
)


@dataclass(frozen=True)
class Names:
    """Names with how many bear them: each next one somewhat fewer, the first one a hundredth of all."""

    names: Sequence[str]
    shares: Sequence[float]

    @classmethod
    def of(cls, common: Sequence[str], count: int) -> "Names":
        """The common ones, and made ones up to a number."""
        made = ("".join(parts).capitalize() for parts in itertools.product(_SYLLABLES, _SYLLABLES, _ENDINGS))
        # In no order, or the frequent ones would all begin with the same letters.
        step = len(_SYLLABLES) ** 2 * len(_ENDINGS) // count
        rest = list(itertools.islice(made, 0, None, step))
        Random(4).shuffle(rest)
        names = [*common, *rest][:count]
        flattened = 12  # without it, the first one alone would have a tenth
        return cls(names, list(itertools.accumulate(1 / (place + flattened) for place in range(len(names)))))

    def any(self, random: Random) -> str:
        """One of them, the common ones more often."""
        return self.names[bisect(self.shares, random.random() * self.shares[-1])]


SURNAMES = Names.of(_COMMON_SURNAMES, 30_000)
FIRST_NAMES = Names.of(_COMMON_FIRST_NAMES, 4_000)


@dataclass(frozen=True)
class Somebody:
    """What people are looked for by."""

    first_name: str
    surname: str
    born: str
    phone: str


def people(first: int, count: int) -> Iterator[Somebody]:
    """So many of them, from the n-th on."""
    random = Random(first)
    for number in range(first, first + count):
        yield Somebody(
            first_name=FIRST_NAMES.any(random),
            surname=SURNAMES.any(random),
            born=(_OLDEST + timedelta(days=random.randrange(_DAYS))).isoformat(),
            phone=f"+1212{number * 7919 % 10_000_000:07}",
        )


def searches(count: int, *, by: ObjectId) -> dict[str, list[bytes]]:
    """Searches for some of so many patients, by what the caller gives: one page for each, as staff type it."""
    some = [next(people(first, 1)) for first in range(0, count, max(_BATCH, count // 150 // _BATCH * _BATCH))]
    letters = sorted({who.surname[0] for who in some} | {who.first_name[0] for who in some})
    typed: dict[str, list[dict[str, str]]] = {
        "a common surname": [{"q": name} for name in _COMMON_SURNAMES],
        "a surname": [{"q": who.surname} for who in some],
        "first name and surname": [{"q": f"{who.first_name} {who.surname}"} for who in some],
        "a name that nobody has": [{"q": f"{who.surname} {who.first_name[::-1]}"} for who in some],
        "the beginnings of both": [{"q": f"{who.surname[:3]} {who.first_name[:2]}"} for who in some],
        "one or two letters": [*({"q": letter} for letter in letters), *({"q": who.surname[:2]} for who in some)],
        "date of birth": [{"q": who.born} for who in some] + [{"date_of_birth": who.born} for who in some],
        "last four digits": [{"q": who.phone[-4:]} for who in some]
        + [{"phone_ends_with": who.phone[-4:]} for who in some],
        "surname and date of birth": [{"q": f"{who.surname} {who.born}"} for who in some],
        "first name and last digits": [{"q": f"{who.first_name} {who.phone[-4:]}"} for who in some],
        "all of these": [{"q": f"{who.surname} {who.born} {who.phone[-4:]}"} for who in some],
    }
    token = token_of(by)
    return {
        title: [request("GET", f"/api/v1/patients?{urlencode(params)}", token=token) for params in asked]
        for title, asked in typed.items()
    }


def write_patients(url: str, database: str, like: Raw, staff: Raw, count: int) -> None:
    """Fills an empty database: copies of a patient under other names, numbers and dates of birth, and one user."""
    with pymongo.MongoClient[Any](url) as client:
        client[database].users.insert_one({**staff, "sessions": [book.session_of(staff["_id"])]})
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_WRITERS, spawn) as writers:
        firsts = range(0, count, _BATCH)
        shares = [firsts[number::_WRITERS] for number in range(_WRITERS)]
        tasks = [writers.submit(_write, url, database, like, share) for share in shares]
        for task in tasks:
            task.result()


def _write(url: str, database: str, like: Raw, firsts: Sequence[int]) -> None:
    with pymongo.MongoClient[Any](url, w=1, journal=False) as client:
        patients = client[database].patients
        for first in firsts:
            rows = [
                RawBSONDocument(encode(_row(like, first + n, who))) for n, who in enumerate(people(first, _BATCH))
            ]
            patients.insert_many(rows, ordered=False)


def _row(like: Raw, number: int, who: Somebody) -> Raw:
    from backend.patients.search import patient_keys

    name = f"{who.first_name} {who.surname}"
    address = f"p{number}@{_DOMAINS[number % len(_DOMAINS)]}"
    return {
        **like,
        **patient_keys(name=name, email=address, phone=who.phone),
        "_id": ObjectId(number.to_bytes(12, "big")),
        "name": name,
        "email": address,
        "phone": who.phone,
        "date_of_birth": who.born,
    }
