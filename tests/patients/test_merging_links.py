"""Which accounts act for a patient after two records were merged, and what forbids it."""

from typing import Any

import pytest

from tests.appointments.support import refused
from tests.directory.support import made, read
from tests.factories import Person, Run, make_user
from tests.patients.merging import CARL, CHARLES, Row, entered, everything, merged, try_merging, undone


@pytest.fixture
def charles(nurse: Person) -> Row:
    """The record that is to survive, without an account of its own."""
    return entered(nurse, CHARLES)


@pytest.fixture
def carl(nurse: Person) -> Row:
    """A second record of the same man."""
    return entered(nurse, CARL)


def link(nurse: Person, account: Person, record: Row, relation: str) -> Row:
    """Lets an account act for a patient."""
    return made(
        nurse.client, f"/patients/{record['id']}/links", {"user_id": account.account_id, "relation": relation}
    )


def acting(nurse: Person, record: Row) -> set[tuple[str, str]]:
    """Who acts for a patient: account and relation."""
    return {
        (each["user_id"], each["relation"]) for each in nurse.client.get(f"/patients/{record['id']}/links").json()
    }


def own(person: Person) -> list[tuple[str, str]]:
    """For whom an account acts: patient and relation."""
    return [(each["patient_id"], each["relation"]) for each in person.client.get("/users/me/patients").json()]


def test_accounts_of_the_other_record_act_for_the_survivor(
    admin: Person, nurse: Person, charles: Row, run: Run[Any]
) -> None:
    account = make_user(run, "patient", name="Carl Babbage")
    other = {"id": account.id}
    carer = make_user(run, "patient")
    link(nurse, carer, other, "carer")

    report = merged(admin, charles, other)

    assert (report["links_moved"], report["links_removed"]) == (2, 0)
    assert own(account) == [(charles["id"], "self")]
    assert own(carer) == [(carer.id, "self"), (charles["id"], "carer")]
    assert read(nurse.client, f"/patients/{charles['id']}")["has_login"] is True
    undone(admin, charles, other)
    assert own(account) == [(other["id"], "self")]
    assert own(carer) == [(carer.id, "self"), (other["id"], "carer")]
    assert acting(nurse, charles) == set()


def test_an_account_that_acts_for_both_keeps_one_link(
    admin: Person, nurse: Person, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    daughter = make_user(run, "patient")
    first, _ = link(nurse, daughter, charles, "carer"), link(nurse, daughter, carl, "guardian")
    before = everything(db)["patient_links"]

    assert merged(admin, charles, carl, dry_run=True)["links_removed"] == 1
    report = merged(admin, charles, carl)

    assert (report["links_moved"], report["links_removed"]) == (0, 1)
    (kept,) = nurse.client.get(f"/patients/{charles['id']}/links").json()
    assert (kept["id"], kept["relation"]) == (first["id"], "carer")
    undone(admin, charles, carl)
    assert everything(db)["patient_links"] == before


def test_an_own_account_that_was_also_a_carer_stays_the_own_one(
    admin: Person, nurse: Person, charles: Row, run: Run[Any], db: Any
) -> None:
    account = make_user(run, "patient")
    link(nurse, account, charles, "carer")
    before = [(row["_id"], row["patient_id"]) for row in everything(db)["patient_links"]]
    merged(admin, charles, {"id": account.id})
    assert own(account) == [(charles["id"], "self")]
    undone(admin, charles, {"id": account.id})
    assert [(row["_id"], row["patient_id"]) for row in everything(db)["patient_links"]] == before
    link_of_other_kind = next(row for row in everything(db)["patient_links"] if row["relation"] == "self")
    assert link_of_other_kind.get("merged_from") in (None, [])


def test_two_records_with_active_accounts_are_not_merged(admin: Person, run: Run[Any], db: Any) -> None:
    one, two = make_user(run, "patient"), make_user(run, "patient")
    before = everything(db)
    for dry_run in (True, False):
        answer = try_merging(admin, {"id": one.id}, {"id": two.id}, dry_run=dry_run)
        refused(answer, 409, "SELF_LINK_EXISTS")
    assert everything(db) == before


@pytest.mark.parametrize("inactive", ["ours", "theirs", "both"])
def test_the_own_account_that_is_active_stays(admin: Person, nurse: Person, run: Run[Any], inactive: str) -> None:
    ours, theirs = make_user(run, "patient"), make_user(run, "patient")
    for account, name in ((ours, "ours"), (theirs, "theirs")):
        if inactive in (name, "both"):
            assert admin.client.delete(f"/users/{account.account_id}").status_code in (200, 204)
    merged(admin, {"id": ours.id}, {"id": theirs.id})
    kept = theirs if inactive == "ours" else ours
    assert acting(nurse, {"id": ours.id}) == {(kept.account_id, "self")}
    undone(admin, {"id": ours.id}, {"id": theirs.id})
    for account in (ours, theirs):
        assert acting(nurse, {"id": account.id}) == {(account.account_id, "self")}


def test_a_merge_that_would_close_a_circle_is_refused(
    admin: Person, nurse: Person, carl: Row, run: Run[Any], db: Any
) -> None:
    ada, byron = make_user(run, "patient"), make_user(run, "patient")
    link(nurse, ada, {"id": byron.id}, "parent")
    link(nurse, byron, carl, "carer")
    before = everything(db)
    for survivor, other in (({"id": ada.id}, carl), (carl, {"id": ada.id})):
        for dry_run in (True, False):
            refused(try_merging(admin, survivor, other, dry_run=dry_run), 409, "CIRCULAR_LINK")
    assert everything(db) == before


def test_the_survivors_date_of_birth_decides_when_a_child_is_of_age(
    admin: Person, nurse: Person, run: Run[Any]
) -> None:
    adult = entered(nurse, {"name": "Lea B.", "date_of_birth": "2001-01-01"})
    child = entered(nurse, {"name": "Lea B", "date_of_birth": "2019-01-01"})
    link(nurse, make_user(run, "patient"), child, "parent")
    assert read(nurse.client, "/patients", of_age="true")["items"] == []
    merged(admin, adult, child)
    assert [row["id"] for row in read(nurse.client, "/patients", of_age="true")["items"]] == [adult["id"]]
