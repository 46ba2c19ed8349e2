"""Searches among many patients: what they cost, and that their short ways find what the long ones did."""

from typing import Any

import pytest

from tests.appointments.commands import recorded
from tests.directory.support import made, names
from tests.factories import Person

COUNT = 120


@pytest.fixture
def many(db: Any, nurse: Person) -> None:
    """A common surname among others, and one patient of each name that is looked for."""
    like = made(nurse.client, "/patients", {"name": "Margaretha O'Connor", "email": "meg@example.com"})
    stored = db.patients.find_one({"name": like["name"]}, hint="_id_")
    del stored["_id"]
    db.patients.insert_many(
        {
            **stored,
            "name": f"Ann{number} Garcia",
            "name_key": f"ann{number} garcia",
            "search_words": ["com", "example", f"ann{number}", f"ann{number}garcia", "garcia", f"p{number}"],
        }
        for number in range(COUNT)
    )


@pytest.mark.parametrize("typed", ["garcia", "García", "GARCI"])
def test_a_search_for_a_word_reads_no_more_than_it_returns(nurse: Person, many: None, db: Any, typed: str) -> None:
    with recorded(db) as commands:
        found = nurse.client.get("/patients", params={"q": typed, "limit": 10})
    assert len(found.json()["items"]) == 10
    examined = [entry["docsExamined"] for entry in commands.entries if entry["ns"].endswith(".patients")]
    assert sum(examined) == 11


@pytest.mark.parametrize(
    "typed",
    ["oconnor margaretha", "margaretha o'connor", "marg connor", "o connor marg", "meg@example.com", "marg meg"],
)
def test_each_word_may_be_of_the_name_or_the_email(nurse: Person, many: None, typed: str) -> None:
    assert names(nurse.client, "/patients", q=typed) == ["Margaretha O'Connor"]


def test_a_page_goes_on_where_the_one_before_ended(nurse: Person, many: None) -> None:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = nurse.client.get("/patients", params={"q": "ann garcia", "limit": 50, **cursor}).json()
        found += [row["name"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == sorted(f"Ann{number} Garcia" for number in range(COUNT))


@pytest.mark.parametrize("typed", ["connor nobody", "garcia oconnor", "margarethao nnor", "nna garcia"])
def test_words_that_are_not_all_there_find_nobody(nurse: Person, many: None, typed: str) -> None:
    assert nurse.client.get("/patients", params={"q": typed}).json()["items"] == []


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_a_page_of_those_found_in_several_ways_has_no_more_than_it_may(nurse: Person, limit: int) -> None:
    """`Mary Ann` also finds Maryann, and Ann Mary: each way alone would fill the page."""
    people = ["Ann Mary Able", "Ann Mary Baker", "Ann Mary Clark", "Maryann Able", "Maryann Baker", "Maryann Clark"]
    for name in people:
        made(nurse.client, "/patients", {"name": name})
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = nurse.client.get("/patients", params={"q": "mary ann", "limit": limit, **cursor}).json()
        assert len(page["items"]) <= limit
        found += [row["name"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == people
