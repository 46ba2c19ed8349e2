"""Who acts for whom: dependants, links that staff grant and withdraw, and what an account may do for its patients."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.core.clock import utc_now
from backend.patients import registration
from backend.patients import repository as patients
from tests.directory.support import NOWHERE, at_once, changed, code, made, names, read
from tests.factories import Person, Run, log_in, make_user

CHILD = {"name": "Byron Lovelace", "date_of_birth": "2016-05-12", "relation": "parent"}


def own(person: Person) -> list[tuple[str, str]]:
    """Whom an account acts for: name and relation."""
    return [(each["name"], each["relation"]) for each in person.client.get("/users/me/patients").json()]


def linked(staff: Person, account: Person, patient: str, relation: str = "guardian") -> dict[str, Any]:
    """A link that staff grant."""
    return made(staff.client, f"/patients/{patient}/links", {"user_id": account.account_id, "relation": relation})


def test_an_account_adds_a_dependant(patient: Person, nurse: Person) -> None:
    answer = patient.client.post("/users/me/patients", json=CHILD)

    child = answer.json()
    assert (answer.status_code, child["name"], child["date_of_birth"]) == (201, "Byron Lovelace", "2016-05-12")
    assert (child["phone"], child["email"]) == (patient.user.phone, patient.user.email)
    assert answer.headers["Location"] == f"/api/v1/patients/{child['id']}"
    assert read(patient.client, f"/patients/{child['id']}") == child
    assert own(patient) == [(patient.user.name, "self"), ("Byron Lovelace", "parent")]
    assert "notes" not in child
    assert names(nurse.client, "/patients", q="byron") == ["Byron Lovelace"]


@pytest.mark.parametrize(
    "body",
    [
        {**CHILD, "relation": "self"},
        {**CHILD, "relation": "owner"},
        {**CHILD, "date_of_birth": "2999-01-01"},
        {**CHILD, "date_of_birth": None},
        {"name": "Byron", "relation": "parent"},
        {**CHILD, "notes": "x"},
    ],
)
def test_a_malformed_dependant_adds_nobody(patient: Person, db: Any, body: dict[str, Any]) -> None:
    assert code(patient.client.post("/users/me/patients", json=body)) == (422, "VALIDATION_ERROR")
    assert db.patients.find_one({"name": "Byron Lovelace"}, hint="_id_") is None


def test_dependants_are_bounded(patient: Person) -> None:
    for n in range(19):
        made(patient.client, "/users/me/patients", {**CHILD, "name": f"Child {n}"})
    assert code(patient.client.post("/users/me/patients", json=CHILD)) == (409, "TOO_MANY_DEPENDANTS")


def test_a_job_finishes_a_dependant_of_a_dead_process(patient: Person, run: Run[Any], db: Any) -> None:
    made(patient.client, "/users/me/patients", CHILD)
    link = db.patient_links.find_one({"relation": "parent"}, hint="_id_")
    record = db.patients.find_one({"_id": link["patient_id"]})
    pending = {
        "since": utc_now(),
        **{field: record[field] for field in ("name", "date_of_birth", "phone", "email")},
    }
    db.patients.delete_one({"_id": link["patient_id"]})
    db.patient_links.update_one({"_id": link["_id"]}, {"$set": {"pending": pending}})
    assert own(patient) == [(patient.user.name, "self")]

    with clock.stopped(utc_now() + timedelta(minutes=2)):
        assert [run(registration.finish_registrations()) for _ in range(2)] == [1, 0]

    assert own(patient) == [(patient.user.name, "self"), ("Byron Lovelace", "parent")]
    found = run(patients.find({"_id": link["patient_id"]}))
    assert (found.phone, found.date_of_birth) == (patient.user.phone, "2016-05-12")


def test_another_accounts_dependants_are_not_found(patient: Person, run: Run[Any]) -> None:
    child = made(patient.client, "/users/me/patients", CHILD)
    stranger = make_user(run, Role.PATIENT)
    path = f"/patients/{child['id']}"
    answers = [
        stranger.client.get(path),
        stranger.client.patch(path, json={"name": "x"}),
        stranger.client.get(f"{path}/appointments"),
        stranger.client.post("/appointments", json={"slot_id": NOWHERE, "patient_id": child["id"]}),
    ]
    assert [code(answer) for answer in answers] == [(404, "PATIENT_NOT_FOUND")] * 4


def test_staff_grant_and_withdraw_a_link(nurse: Person, patient: Person, run: Run[Any]) -> None:
    child = made(nurse.client, "/patients", {"name": "Henry", "date_of_birth": "2015-01-01"})
    path = f"/patients/{child['id']}"

    link = linked(nurse, patient, child["id"])

    assert (link["user_id"], link["user_name"]) == (patient.account_id, patient.user.name)
    assert (link["relation"], link["verified_by"], link["granted_by"]) == ("guardian", "staff", nurse.id)
    assert nurse.client.get(f"{path}/links").json() == [link]
    assert read(patient.client, path)["name"] == "Henry"

    assert nurse.client.delete(f"{path}/links/{link['id']}").status_code == 204
    assert code(patient.client.get(path)) == (404, "PATIENT_NOT_FOUND")
    assert nurse.client.get(f"{path}/links").json() == []
    assert code(nurse.client.delete(f"{path}/links/{link['id']}")) == (404, "LINK_NOT_FOUND")


def test_links_that_cannot_be_granted_are_not(nurse: Person, patient: Person, run: Run[Any], db: Any) -> None:
    other, walk_in = make_user(run, Role.PATIENT), made(nurse.client, "/patients", {"name": "Walk-in"})
    child = made(nurse.client, "/patients", {"name": "Child"})
    linked(nurse, patient, walk_in["id"])
    before = db.patient_links.count_documents({})

    def grant(person_id: str, account: str, relation: str = "guardian") -> tuple[int, str | None]:
        body = {"user_id": account, "relation": relation}
        return code(nurse.client.post(f"/patients/{person_id}/links", json=body))

    assert grant(walk_in["id"], patient.account_id) == (409, "LINK_EXISTS")
    assert grant(child["id"], patient.account_id, "self") == (409, "SELF_LINK_EXISTS")
    assert grant(other.id, patient.account_id, "self") == (409, "SELF_LINK_EXISTS")
    assert grant(patient.id, patient.account_id) == (409, "LINK_EXISTS")
    assert grant(NOWHERE, patient.account_id) == (404, "PATIENT_NOT_FOUND")
    assert grant(walk_in["id"], NOWHERE) == (422, "UNKNOWN_ACCOUNT")
    assert grant(walk_in["id"], other.id) == (422, "UNKNOWN_ACCOUNT"), "a patient's id is no account's"
    assert grant(walk_in["id"], other.account_id, "friend") == (422, "VALIDATION_ERROR")
    assert db.patient_links.count_documents({}) == before


def test_nobody_acts_for_somebody_who_acts_for_them(nurse: Person, run: Run[Any], db: Any) -> None:
    one, two, three = (make_user(run, Role.PATIENT) for _ in range(3))
    linked(nurse, one, two.id)
    linked(nurse, two, three.id)
    before = db.patient_links.count_documents({})

    for account, person in ((two, one), (three, one), (three, two)):
        body = {"user_id": account.account_id, "relation": "carer"}
        answer = nurse.client.post(f"/patients/{person.id}/links", json=body)
        assert code(answer) == (409, "CIRCULAR_LINK")
    assert db.patient_links.count_documents({}) == before


def test_of_two_links_at_once_that_close_a_circle_both_never_stay(nurse: Person, run: Run[Any], db: Any) -> None:
    for _ in range(5):
        one, two = make_user(run, Role.PATIENT), make_user(run, Role.PATIENT)
        wanted = [(one, two), (two, one)]
        at_once(
            *(
                lambda account=account, person=person: nurse.client.post(
                    f"/patients/{person.id}/links", json={"user_id": account.account_id, "relation": "carer"}
                )
                for account, person in wanted
            )
        )
        kept = [account for account, _ in wanted if len(own(account)) == 2]
        assert len(kept) <= 1


def test_staff_see_who_has_a_login_and_whose_phone_is_proven(
    nurse: Person, patient: Person, run: Run[Any], db: Any
) -> None:
    path = f"/patients/{patient.id}"
    assert [read(nurse.client, path)[name] for name in ("has_login", "phone_verified")] == [True, False]

    db.users.update_one({"_id": patient.user.id}, {"$set": {"verified_phone": patient.user.phone}})
    assert read(nurse.client, path)["phone_verified"] is True
    child = made(patient.client, "/users/me/patients", CHILD)
    shown = read(nurse.client, f"/patients/{child['id']}")
    assert [shown[name] for name in ("has_login", "phone_verified")] == [False, True]
    assert changed(nurse.client, path, phone="+12125550199")["phone_verified"] is False


def test_a_member_of_staff_may_be_a_patient_too(nurse: Person, admin: Person) -> None:
    record = made(admin.client, "/patients", {"name": nurse.user.name})
    linked(admin, nurse, record["id"], "self")
    assert own(nurse) == [(nurse.user.name, "self")]
    assert read(admin.client, f"/patients/{record['id']}")["has_login"] is True


def test_a_child_who_comes_of_age_is_listed_and_not_cut_off(patient: Person, nurse: Person, run: Run[Any]) -> None:
    born = {"today": "2016-05-12", "tomorrow": "2016-05-14", "unknown": "2017-01-01"}
    children = {
        name: made(patient.client, "/users/me/patients", {**CHILD, "name": name, "date_of_birth": day})
        for name, day in born.items()
    }
    made(patient.client, "/users/me/patients", {**CHILD, "name": "grandmother", "relation": "carer"})

    with clock.stopped(datetime(2034, 5, 12, 12, tzinfo=UTC)):
        desk, parent = log_in(run, nurse.user), log_in(run, patient.user)
        assert names(desk.client, "/patients", of_age=True) == ["today"]
        path = f"/patients/{children['today']['id']}"
        assert read(parent.client, path)["name"] == "today", "nobody is cut off"
        changed(desk.client, f"/patients/{children['unknown']['id']}", date_of_birth="2015-01-01")
        assert names(desk.client, "/patients", of_age=True) == ["today", "unknown"]

        (link,) = desk.client.get(f"{path}/links").json()
        kept = desk.client.post(f"{path}/links/{link['id']}/keep")
        assert kept.json()["reviewed_at"] == "2034-05-12T12:00:00Z"
        assert names(desk.client, "/patients", of_age=True) == ["unknown"]
        assert read(parent.client, path)["name"] == "today"
