"""A record of the desk meets a login only by proof: a code to its phone, or an invitation on paper."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.core.clock import utc_now
from backend.core.settings import settings
from tests import factories
from tests.accounts.login.support import Phones, other_than
from tests.appointments.support import TEN, Book, booked
from tests.directory.support import at_once, changed, code, made, names, read
from tests.factories import PASSWORD, Person, Run, log_in, make_user

NUMBER = "+12125550190"
CHARLES = {"name": "Charles Babbage", "phone": NUMBER, "date_of_birth": "1951-12-26", "notes": "Difficult."}


@pytest.fixture
def record(nurse: Person) -> dict[str, Any]:
    """A patient whom the desk has entered."""
    return made(nurse.client, "/patients", CHARLES)


@pytest.fixture
def charles(run: Run[Any]) -> Person:
    """The same man's account."""
    return make_user(run, Role.PATIENT, name="Charles B.", phone=NUMBER)


def join(person: Person, phones: Phones, born: str = "1951-12-26", **body: Any) -> httpx.Response:
    """Requests a code and sends it with a date of birth."""
    before = len(phones)
    assert person.client.post("/users/me/patients/join/code").status_code == 202
    sent = phones.wait_for(before + 1)
    return person.client.post("/users/me/patients/join", json={"code": sent, "date_of_birth": born, **body})


def invited(staff: Person, record: dict[str, Any], **body: Any) -> str:
    """The code of an invitation."""
    answer = staff.client.post(f"/patients/{record['id']}/invitations", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["code"])


def redeem(person: Person, code: str) -> httpx.Response:
    """Redeems an invitation."""
    return person.client.post("/users/me/patients/redeem", json={"code": code})


def ids(person: Person) -> list[str]:
    """The patients for whom an account acts."""
    return [each["patient_id"] for each in person.client.get("/users/me/patients").json()]


@pytest.mark.parametrize("first", ["the stranger", "the desk"])
def test_a_number_that_is_only_claimed_shows_nothing_and_blocks_nobody(
    api: httpx.Client, nurse: Person, run: Run[Any], first: str
) -> None:
    body = {"name": "Mallory", "email": "mallory@example.com", "phone": NUMBER, "password": PASSWORD}
    if first == "the desk":
        record = made(nurse.client, "/patients", CHARLES)
    token = made(api, "/auth/register", body)["access_token"]
    mallory = factories.make_client(token)
    if first == "the stranger":
        record = made(nurse.client, "/patients", CHARLES)
    clinic = factories.make_clinic(run)
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    with clock.stopped(TEN - timedelta(hours=4)):
        slot = Book(run=run, clinic=clinic, doctor=doctor).slot()
        visit = booked(log_in(run, doctor.user), slot, patient_id=record["id"])

    (own,) = mallory.get("/users/me/patients").json()
    assert own["patient_id"] != record["id"]
    for path in (f"/patients/{record['id']}", f"/patients/{record['id']}/appointments"):
        assert code(mallory.get(path)) == (404, "PATIENT_NOT_FOUND")
    assert mallory.get("/appointments").json()["items"] == []
    assert code(mallory.get(f"/appointments/{visit['id']}")) == (404, "APPOINTMENT_NOT_FOUND")
    assert code(mallory.post("/users/me/patients/redeem", json={"code": "BCDFGHJKLM"})) == (422, "INVITATION_INVALID")
    guess = {"code": "000000", "date_of_birth": CHARLES["date_of_birth"]}
    assert code(mallory.post("/users/me/patients/join", json=guess)) == (422, "CODE_INVALID")
    shown = read(nurse.client, f"/patients/{record['id']}")
    assert (shown["has_login"], shown["phone_verified"]) == (False, False)


def test_a_code_and_the_date_of_birth_join_the_record(
    charles: Person, record: dict[str, Any], nurse: Person, phones: Phones
) -> None:
    before = charles.id
    answer = join(charles, phones)

    assert (answer.status_code, answer.json()["id"]) == (200, record["id"])
    assert "notes" not in answer.json()
    assert ids(charles) == [record["id"]]
    shown = read(nurse.client, f"/patients/{record['id']}")
    assert (shown["has_login"], shown["phone_verified"], shown["name"]) == (True, True, "Charles Babbage")
    assert read(nurse.client, f"/patients/{before}")["id"] == record["id"]
    (link,) = nurse.client.get(f"/patients/{record['id']}/links").json()
    assert (link["relation"], link["verified_by"]) == ("self", "phone")
    assert names(nurse.client, "/patients", q="charles") == ["Charles Babbage"]
    assert read(charles.client, "/users/me")["is_verified"] is True


def test_each_guess_of_a_date_costs_a_code(charles: Person, record: dict[str, Any], phones: Phones) -> None:
    assert code(join(charles, phones, "1951-12-27")) == (422, "RECORD_NOT_MATCHED")
    sent = phones.received[-1].code
    again = {"code": sent, "date_of_birth": "1951-12-26"}
    assert code(charles.client.post("/users/me/patients/join", json=again)) == (422, "CODE_INVALID")
    assert ids(charles) == [charles.id]
    with clock.shifted(timedelta(minutes=2)):
        for n in range(4):
            with clock.shifted(timedelta(minutes=2 * n)):
                charles.client.post("/users/me/patients/join/code")
        with clock.shifted(timedelta(minutes=9)):
            assert code(charles.client.post("/users/me/patients/join/code")) == (429, "TOO_MANY_REQUESTS")
    assert len(phones) == 5


def test_the_code_goes_to_the_number_of_the_record(record: dict[str, Any], run: Run[Any], phones: Phones) -> None:
    other = make_user(run, Role.PATIENT)
    assert code(join(other, phones)) == (422, "RECORD_NOT_MATCHED")
    other.client.post("/users/me/patients/join/code")
    wrong = {"code": other_than(phones.received[-1].code), "date_of_birth": "1951-12-26"}
    assert code(other.client.post("/users/me/patients/join", json=wrong)) == (422, "CODE_INVALID")


def test_twins_need_an_invitation(charles: Person, nurse: Person, record: dict[str, Any], phones: Phones) -> None:
    made(nurse.client, "/patients", {**CHARLES, "name": "Henry Babbage"})
    assert code(join(charles, phones)) == (422, "RECORD_NOT_MATCHED")
    assert redeem(charles, invited(nurse, record)).json()["id"] == record["id"]


def test_a_mother_joins_a_child_that_the_desk_entered(run: Run[Any], nurse: Person, phones: Phones) -> None:
    mother = make_user(run, Role.PATIENT, phone=NUMBER)
    child = made(nurse.client, "/patients", {"name": "Lea", "phone": NUMBER, "date_of_birth": "2020-01-01"})
    assert join(mother, phones, "2020-01-01", relation="parent").status_code == 200
    assert ids(mother) == [mother.id, child["id"]]


def test_an_invitation_works_for_one_account(
    nurse: Person, record: dict[str, Any], charles: Person, run: Run[Any], db: Any
) -> None:
    paper = invited(nurse, record)
    spelled = f" {paper[:5].lower()}-{paper[5:]} "
    assert paper not in str(list(db.patient_invitations.find({}, hint="_id_")))

    assert redeem(charles, spelled).json()["id"] == record["id"]

    assert ids(charles) == [record["id"]]
    assert code(redeem(make_user(run, Role.PATIENT), paper)) == (422, "INVITATION_INVALID")
    assert code(redeem(charles, paper)) == (409, "LINK_EXISTS")


def test_of_two_who_redeem_one_invitation_at_once_one_does(
    nurse: Person, record: dict[str, Any], run: Run[Any]
) -> None:
    people = [make_user(run, Role.PATIENT) for _ in range(4)]
    paper = invited(nurse, record)
    answers = at_once(*(lambda person=person: redeem(person, paper) for person in people))
    assert sorted(map(code, answers), key=str) == [(200, None), *[(422, "INVITATION_INVALID")] * 3]


def test_an_invitation_ends(nurse: Person, record: dict[str, Any], run: Run[Any], charles: Person) -> None:
    first = invited(nurse, record)
    second = invited(nurse, record)
    assert code(redeem(charles, first)) == (422, "INVITATION_INVALID"), "a newer one replaces it"
    with clock.stopped(utc_now() + timedelta(days=14, seconds=1)):
        assert code(redeem(log_in(run, charles.user), second)) == (422, "INVITATION_INVALID")
    nurse.client.delete(f"/patients/{record['id']}")
    assert code(redeem(charles, second)) == (422, "INVITATION_INVALID")


def test_guessing_invitations_is_limited(charles: Person, nurse: Person, record: dict[str, Any]) -> None:
    paper = invited(nurse, record)
    for _ in range(settings.LOGIN_ATTEMPTS):
        assert code(redeem(charles, "BCDFGHJKLM")) == (422, "INVITATION_INVALID")
    assert code(redeem(charles, paper)) == (429, "TOO_MANY_REQUESTS")


def test_a_record_with_a_login_is_not_joined_to_another(
    nurse: Person, record: dict[str, Any], charles: Person, run: Run[Any]
) -> None:
    redeem(charles, invited(nurse, record))
    other = make_user(run, Role.PATIENT)
    assert code(redeem(other, invited(nurse, record))) == (409, "SELF_LINK_EXISTS")
    assert ids(other) == [other.id]


def test_appointments_of_the_own_record_come_along(
    nurse: Person, record: dict[str, Any], charles: Person, run: Run[Any], db: Any
) -> None:
    clinic = factories.make_clinic(run)
    doctor = factories.make_doctor(run, clinic, weekly_hours=[])
    changed(charles.client, f"/patients/{charles.id}", address="1 Dorset Street")
    with clock.stopped(TEN - timedelta(hours=4)):
        slots = Book(run=run, clinic=clinic, doctor=doctor).slots(2, capacity=2)
        desk, online = log_in(run, nurse.user), log_in(run, charles.user)
        clinic_desk = log_in(run, factories.make_nurse(run, clinic).user)
        at_the_desk = booked(clinic_desk, slots[0], patient_id=record["id"])
        stuck, free = (booked(online, slot) for slot in slots)
        answer = redeem(online, invited(desk, record))
        assert (answer.json()["id"], answer.json()["address"]) == (record["id"], "1 Dorset Street")
        found = online.client.get("/appointments").json()["items"]
        assert [each["id"] for each in found] == [at_the_desk["id"], stuck["id"], free["id"]]
        undecided = clinic_desk.client.get("/appointments", params={"needs_decision": "true"}).json()["items"]
        assert [each["id"] for each in undecided] == [stuck["id"]]
        assert ids(online) == [record["id"]]


def test_a_member_of_staff_without_a_record_redeems_one(nurse: Person, admin: Person, record: dict[str, Any]) -> None:
    changed(admin.client, f"/patients/{record['id']}", name=nurse.user.name)
    assert redeem(nurse, invited(admin, record)).status_code == 200
    assert ids(nurse) == [record["id"]]
