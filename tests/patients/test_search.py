"""Searches among many patients: what they cost, and that their short ways find what the long ones did."""

from typing import Any

import pytest
from bson import ObjectId

from backend.patients.search import patient_keys
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
    for number in range(COUNT):
        name = f"Ann{number} Garcia"
        keys = patient_keys(name=name, email=f"p{number}@example.com", phone=None)
        db.patients.insert_one({**stored, **keys, "_id": ObjectId(), "name": name})


@pytest.mark.parametrize("typed", ["garcia", "García", "GARCI"])
def test_a_search_for_a_word_reads_no_more_than_it_returns(nurse: Person, many: None, db: Any, typed: str) -> None:
    with recorded(db) as commands:
        found = nurse.client.get("/patients", params={"q": typed, "limit": 10})
    assert len(found.json()["items"]) == 10
    examined = [entry["docsExamined"] for entry in commands.entries if entry["ns"].endswith(".patients")]
    assert sum(examined) == 11


@pytest.mark.parametrize("typed", ["g", "ga", "gar", "ga an", "a g", "garcia ann", "Ann García", "gar a"])
def test_a_search_for_beginnings_stops_when_a_page_is_full(nurse: Person, many: None, db: Any, typed: str) -> None:
    with recorded(db) as commands:
        found = nurse.client.get("/patients", params={"q": typed, "limit": 10})
    assert len(found.json()["items"]) == 10
    of_patients = [entry for entry in commands.entries if entry["ns"].endswith(".patients")]
    assert sum(entry["docsExamined"] for entry in of_patients) == 11
    assert sum(entry["keysExamined"] for entry in of_patients) < COUNT // 2


@pytest.mark.parametrize(
    "typed",
    [
        *("oconnor margaretha", "margaretha o'connor", "marg connor", "o connor marg", "m oc", "o m", "con mar"),
        *("oco mar", "oc", "o", "conn", "meg@example.com", "MEG@EX", "marg meg@example.com"),
        *("meg@example.com o'con", "margarethao"),
    ],
)
def test_words_of_the_name_and_the_email_find_a_patient(nurse: Person, many: None, typed: str) -> None:
    assert names(nurse.client, "/patients", q=typed) == ["Margaretha O'Connor"]


@pytest.mark.parametrize("typed", ["иванов пётр", "ив пе", "и п", "петр ив", "иван", "ив"])
def test_names_of_other_alphabets_are_found(nurse: Person, typed: str) -> None:
    for name in ("Пётр Иванов", "Ван Петрив"):
        made(nurse.client, "/patients", {"name": name})
    assert "Пётр Иванов" in names(nurse.client, "/patients", q=typed)
    assert names(nurse.client, "/patients", q="ванов пет") == []


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
