"""Nobody is entered twice unnoticed, and nobody is refused for a namesake."""

from typing import Any

import pytest

from backend.patients.duplicates import is_similar
from tests.directory.support import code, made, names
from tests.factories import Person

CHARLES = {"name": "Charles Babbage", "phone": "+12125550160", "date_of_birth": "1951-12-26"}


@pytest.mark.parametrize(
    "again",
    [
        {"name": "Charles Babbage", "date_of_birth": "1951-12-26"},
        {"name": "BABBAGE Charles", "date_of_birth": "1951-12-26"},
        {"name": "Charls Babage", "date_of_birth": "1951-12-26"},
        {"name": "Charles Bábbage", "phone": "(212) 555-0160"},
        {"name": "Charles Babbage", "phone": "+12125550160", "date_of_birth": "1951-12-27"},
    ],
)
def test_a_person_who_is_there_already_is_shown(nurse: Person, again: dict[str, Any]) -> None:
    charles = made(nurse.client, "/patients", CHARLES)

    answer = nurse.client.post("/patients", json=again)

    assert code(answer) == (409, "POSSIBLE_DUPLICATE")
    assert answer.json()["candidates"] == [{field: charles[field] for field in ("id", *CHARLES)}]
    assert names(nurse.client, "/patients") == ["Charles Babbage"]
    made(nurse.client, "/patients", {**again, "confirm_new": True})


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Charles Babbage"},
        {"name": "Charles Babbage", "date_of_birth": "1951-12-27", "phone": "+12125550161"},
        {"name": "Henry Babbage", "date_of_birth": "1951-12-26", "phone": "+12125550160"},
        {"name": "Ada Lovelace", "date_of_birth": "1951-12-26"},
    ],
)
def test_another_person_is_entered_at_once(nurse: Person, other: dict[str, Any]) -> None:
    made(nurse.client, "/patients", CHARLES)
    assert made(nurse.client, "/patients", other)["name"] == other["name"]


def test_a_deactivated_record_is_no_candidate(nurse: Person) -> None:
    charles = made(nurse.client, "/patients", CHARLES)
    nurse.client.delete(f"/patients/{charles['id']}")
    made(nurse.client, "/patients", CHARLES)


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        ("Jon Smith", "John Smyth", True),
        ("Lech Wałęsa", "Lech Walesa", True),
        ("Maria García", "García, Maria", True),
        ("Ana Garcia", "Tom Garcia", False),
        ("Lea Stein", "Ben Stein", False),
        ("x", "y", False),
    ],
)
def test_names_are_similar_whatever_the_spelling(one: str, other: str, similar: bool) -> None:
    assert is_similar(one, other) is similar
