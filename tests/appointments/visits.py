"""What the tests of visit types share: a type of the book's clinic, and searches for where it can start."""

import itertools
from typing import Any

import httpx

from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from tests.appointments.support import Book, done

_number = itertools.count(1)


def visit_type(book: Book, minutes: int = 90, **fields: Any) -> str:
    """A new visit type of the book's clinic; three slots of half an hour, unless said otherwise."""
    wanted = NewVisitType(**{"names": {"en": f"Visit {next(_number)}"}, "minutes": minutes, **fields})
    return str(book.run(create_visit_type(book.clinic.clinic_id, wanted)).visit_type_id)


def starts(client: httpx.Client, type_id: str, **params: Any) -> list[str]:
    """The ids of the slots in which such a visit can start."""
    found = done(client.get("/slots", params={"visit_type_id": type_id, "limit": 100, **params}))
    return [slot["id"] for slot in found["items"]]
