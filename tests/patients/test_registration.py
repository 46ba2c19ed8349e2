"""Registering makes an account, its own patient record and the link between them, whenever the process dies."""

from datetime import timedelta
from typing import Any

import pytest

from backend.accounts import repository as accounts
from backend.accounts.documents import Role, User
from backend.accounts.profiles import PendingPatient
from backend.core import clock
from backend.core.clock import utc_now
from backend.patients import registration
from backend.patients import repository as patients
from backend.patients.links import repository as links_repository
from tests.directory.support import changed, read
from tests.factories import PASSWORD_HASH, Person, Run, log_in

MINUTE = timedelta(minutes=1)


def new_account() -> User:
    """An account as it is inserted."""
    return User(
        name="Ada Lovelace",
        email="ada@example.com",
        phone="+12125550181",
        role=Role.PATIENT,
        password_hash=PASSWORD_HASH,
        language="es",
        pending_patient=PendingPatient(date_of_birth="1985-04-12", address="12 Elm Street"),
    )


@pytest.mark.parametrize("written", ["account", "record", "link"])
def test_a_job_finishes_what_a_dead_process_left(run: Run[Any], db: Any, written: str) -> None:
    user = new_account()
    assert user.pending_patient is not None
    run(accounts.insert(user))
    if written != "account":
        run(patients.insert_once(registration.own_record(user, user.pending_patient)))
    if written == "link":
        run(links_repository.insert_once(registration.own_link(user, user.pending_patient)))

    assert run(registration.finish_registrations()) == 0, "it may be under way"
    with clock.stopped(utc_now() + 2 * MINUTE):
        assert [run(registration.finish_registrations()) for _ in range(2)] == [1, 0]

    assert "pending_patient" not in db.users.find_one({"_id": user.id})
    ada = log_in(run, user)
    (own,) = ada.client.get("/users/me/patients").json()
    assert (own["name"], own["relation"], own["date_of_birth"]) == ("Ada Lovelace", "self", "1985-04-12")
    record = read(ada.client, f"/patients/{own['patient_id']}")
    assert (record["phone"], record["email"], record["language"], record["address"]) == (
        *("+12125550181", "ada@example.com", "es"),
        "12 Elm Street",
    )
    assert db.patients.count_documents({"phone": "+12125550181"}) == 1
    assert db.patient_links.count_documents({"user_id": user.id}) == 1


def test_finishing_late_keeps_what_was_changed_meanwhile(run: Run[Any], nurse: Person) -> None:
    user = new_account()
    run(accounts.insert(user))
    run(registration.write_own_record(user))
    assert user.pending_patient is not None
    path = f"/patients/{user.pending_patient.patient_id}"
    changed(nurse.client, path, address="14 Elm Street")

    run(registration.write_own_record(user))

    assert read(nurse.client, path)["address"] == "14 Elm Street"


def test_contacts_of_the_account_change_the_own_record_where_they_were_the_same(
    patient: Person, nurse: Person
) -> None:
    path = f"/patients/{patient.id}"
    changed(nurse.client, path, email="other@example.com")

    changed(patient.client, "/users/me", name="Ada King", email="new@example.com", phone="+12125550182")

    record = read(nurse.client, path)
    assert (record["name"], record["email"], record["phone"]) == ("Ada King", "other@example.com", "+12125550182")


def test_staff_have_no_patients_until_somebody_links_them(nurse: Person, admin: Person, doctor: Person) -> None:
    for person in (nurse, admin, doctor):
        assert person.client.get("/users/me/patients").json() == []
